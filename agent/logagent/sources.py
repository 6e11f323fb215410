"""What to read: paths to files, files to bytes, whatever they were packed in.

`expand` turns the paths of a command line into files, each once. `open_source` opens one
and sees from its first bytes, never from its name, whether it is gzip, bzip2, xz, zstd,
UTF-16, or no text at all. `open_all` does both; this is the whole use of the module:

    for source in open_all(paths, limits, on_problem):
        for block in source.blocks(): ...

Guarantees: trouble with a log is never raised: it becomes a `SourceProblem`, what could be
read until then is delivered, and the next source is read. A source of any size, an archive
that expands without end included, is read in bounded memory: O(limits.block_bytes +
limits.max_line_bytes) and what `archives` needs.

Left to others: following a file as it grows (a growing file ends where its end is met), and
making names safe to show (`sanitise`): names are as the file system gave them.
"""

import codecs
import os
import select
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from logagent.archives import CODECS, ZSTD_MAGIC, Expanded, Read
from logagent.blocks import BLOCK_BYTES, MAX_LINE_BYTES, Block, BlockReader
from logagent.paths import STDIN, SourceProblem, expand, find, trouble

__all__ = ["Limits", "Source", "SourceProblem", "expand", "open_all", "open_source"]

PROBE_BYTES = 8 * 1024
"""[bytes] Looked at to tell text from binary; `file` and `grep` look at about as much."""

_MAGIC_BYTES = 8
"""[bytes] Enough to know any of the signatures that are waited for on a pipe."""

_BINARY: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x7fELF", "a program"),
    (b"\x89PNG\r\n", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip archive; use `unzip -p FILE | logagent scan -`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; use `7z x -so FILE | logagent scan -`"),
    (b"SQLite format 3\0", "a database"),
    (b"LPKSHHRH", "a systemd journal; use `journalctl --file FILE | logagent scan -`"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture"),
)
"""Signatures of files that are not text, and what to say of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where reading a source ends, so that no file can keep the scan busy for ever."""

    max_ratio: int = 200
    """Longest expansion of an archive, output over input; 0 for none. Logs expand 5 to 60 times,
    very repetitive ones 100; gzip cannot do more than 1,032, bzip2, xz and zstd much more."""

    free_bytes: int = 256 * 1024 * 1024
    """[bytes] Output that no ratio is asked of: seconds of scanning, so a small log that repeats
    one line is always read whole."""

    max_output_bytes: int | None = None
    """[bytes] Most that is read of any one archive, after expansion; None for no limit."""

    max_line_bytes: int = MAX_LINE_BYTES
    """[bytes] Longest line kept whole."""

    block_bytes: int = BLOCK_BYTES
    """[bytes] Largest usual block."""

    binary: bool = False
    """Read what does not look like text, and tar archives, all the same."""


Report = Callable[[SourceProblem], None]

_BOMS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SIGNATURES: Final = (*_BOMS, ZSTD_MAGIC, *(c.magic for c in CODECS), *(m for m, _ in _BINARY))


class Source:
    """One log, open for reading; close it, or let `open_all` do so.

    Nothing here raises for trouble with the log: `problems` has what happened so far.
    """

    def __init__(self, name: str, fd: int, limits: Limits, report: Report) -> None:
        """Take over `fd`, look at its first bytes, and settle how to read it."""
        self.name = name
        """The path, or `-`; raw, so make it safe before showing it."""
        self.problems: list[SourceProblem] = []
        """What went wrong so far; at most a handful."""
        self.compressed = False
        """Whether the bytes read are expanded from an archive."""
        self.text_bytes = 0
        """[bytes] Of text that were read so far, after expansion."""
        self.cut_lines = 0
        """Lines longer than `limits.max_line_bytes`, known when `blocks` has ended."""
        status = os.fstat(fd)
        self._regular = stat.S_ISREG(status.st_mode)
        self.size_bytes = status.st_size if self._regular else None
        """[bytes] Size on disk when opened; None for a pipe."""
        self._fd = fd
        self._limits = limits
        self._report = report
        self._position = 0
        self._ended = False
        self._read, self._head = self._probe()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of text, perhaps fewer; b"" at the end or at trouble."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._read(size)
        self.text_bytes += len(data)
        return data

    def blocks(self) -> Iterator[Block]:
        """Yield the source as blocks of whole lines; report cut lines at the end."""
        limits = self._limits
        reader = BlockReader(
            self.read, block_bytes=limits.block_bytes, max_line_bytes=limits.max_line_bytes
        )
        yield from reader
        self.cut_lines = reader.cut_lines
        if reader.cut_lines:
            longest = f"longer than {limits.max_line_bytes} bytes"
            message = f"{reader.cut_lines} lines {longest} were cut by {reader.cut_bytes} bytes"
            self._problem("long-lines", message, partial=False)

    def position_bytes(self) -> int:
        """Return how much of the file on disk was read [bytes]; compare with `size_bytes`."""
        return self._position

    def close(self) -> None:
        """Close the file; standard input stays open. May be called again."""
        fd, self._fd = self._fd, -1
        if fd > 0:
            os.close(fd)

    def _problem(self, kind: str, message: str, *, partial: bool = True) -> None:
        problem = SourceProblem(self.name, kind, message, partial)
        self.problems.append(problem)
        self._report(problem)

    def _read_fd(self, size: int) -> bytes:
        """Read the file itself, turning its trouble into the end of it."""
        if self._ended or self._fd < 0:
            return b""
        try:
            data = _read_waiting(self._fd, size)
            # A file of /proc has a size of 0 all along, so being past the end proves nothing.
            if not data and self.size_bytes is not None:
                size_now = os.fstat(self._fd).st_size
                if size_now < min(self._position, self.size_bytes):
                    self._problem("shrunk", f"shrank while it was read, {self._position} bytes in")
        except OSError as error:  # EIO, ESTALE, EISDIR, ...: this source is over, whichever it is
            data = b""
            self._problem("unreadable", f"{error.strerror} after {self._position} bytes")
        self._position += len(data)
        self._ended = not data
        return data

    def _probe(self) -> tuple[Read, bytes]:
        """Return how to read the text, and the first of it."""
        read: Read = self._read_fd
        head = self._fill(read, b"")
        codec = next((codec for codec in CODECS if head.startswith(codec.magic)), None)
        if codec:
            self.compressed = True
            read = Expanded(_joined(head, read), codec, self._limits, self._problem).read
            head = self._fill(read, b"")
        reason = None if self._limits.binary else not_text(head)
        if reason:
            self._problem(*reason)
            return _nothing, b""
        if head.startswith(_BOMS):
            return _utf8_from_utf16(_joined(head, read)), b""
        return read, head

    def _fill(self, read: Read, head: bytes) -> bytes:
        """Read the first bytes: enough to judge a file, no more than there is of a pipe."""
        while len(head) < PROBE_BYTES:
            data = read(PROBE_BYTES - len(head))
            head += data
            starts = len(head) < _MAGIC_BYTES and any(m.startswith(head) for m in _SIGNATURES)
            if not data or not (self._regular or starts):
                break
        return head


def open_source(
    path: str,
    limits: Limits | None = None,
    on_problem: Report | None = None,
    *,
    regular_only: bool = False,
) -> Source | SourceProblem:
    """Open one file, or standard input for `-`; a problem if that cannot be done.

    `on_problem` hears of every later problem, of which `Source.problems` keeps a list. With
    `regular_only` a pipe or device is refused, and opening one does not wait: for files
    found in a folder, where one may have taken the place of another since.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (os.O_NONBLOCK if regular_only else 0)
    try:
        fd = 0 if path == STDIN else os.open(path, flags)
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        return trouble(path, error, "vanished")
    if stat.S_ISDIR(mode) or (regular_only and not stat.S_ISREG(mode)):
        if fd:
            os.close(fd)
        return SourceProblem(path, "unreadable", "not a file", partial=True)
    return Source(path, fd, limits or Limits(), on_problem or _ignore)


def open_all(
    paths: Sequence[str], limits: Limits | None = None, on_problem: Report | None = None
) -> Iterator[Source]:
    """Yield every source of `paths`, open, and close it when the next one is asked for."""
    report = on_problem or _ignore
    for found in find(paths):
        if isinstance(found, SourceProblem):
            report(found)
            continue
        path, named = found
        source = open_source(path, limits, report, regular_only=not named)
        if isinstance(source, SourceProblem):
            report(source)
            continue
        try:
            yield source
        finally:
            source.close()


def not_text(head: bytes) -> tuple[str, str] | None:
    """Say why a source that starts like this is skipped: a kind and a message; None for text."""
    if head[257:262] == b"ustar":
        return "tar", "a tar archive, skipped; use `tar -xOf FILE | logagent scan -`"
    if head.startswith(ZSTD_MAGIC):
        hint = "use `zstd -dc FILE | logagent scan -`"
        return "unsupported", f"zstd needs Python >= 3.14; {hint}"
    known = next((what for magic, what in _BINARY if head.startswith(magic)), None)
    hint = "binary file, skipped (use --binary to force)"
    if known:
        return "binary", f"{hint}: {known}"
    utf16 = head.startswith(_BOMS)
    if head.count(0) * 10 > len(head) and (not utf16 or head.startswith(codecs.BOM_UTF32_LE)):
        return "binary", hint
    return None


def _utf8_from_utf16(read: Read) -> Read:
    """Return a read() of UTF-8 over one of UTF-16 with a byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    ended = False

    def read_utf8(size: int) -> bytes:
        nonlocal ended
        while not ended:
            data = read(max(size // 2, 2))  # two bytes of UTF-16 are at most three of UTF-8
            ended = not data
            text = decoder.decode(data, final=ended)
            if text:
                return text.encode()
        return b""

    return read_utf8


def _joined(head: bytes, read: Read) -> Read:
    """Return a read() that gives `head` first."""

    def read_joined(size: int) -> bytes:
        nonlocal head
        if head:
            data, head = head[:size], head[size:]
            return data
        return read(size)

    return read_joined


def _read_waiting(fd: int, size: int) -> bytes:
    """Read from a file that may be in non-blocking mode, as an inherited stdin can be."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:  # EAGAIN: nothing there yet, and not the end either
            select.select([fd], [], [])


def _nothing(_size: int) -> bytes:
    return b""


def _ignore(_problem: SourceProblem) -> None:
    return None
