"""Compressed streams, expanded a little at a time.

Guarantees: memory is bounded whatever the archive asks for: `INPUT_BYTES`, what the caller
asks for, and for xz and zstd the decoder's window: `XZ_MEMORY_BYTES`, and the 128 MiB that is
zstd's own limit, at most. An archive that is truncated, damaged or expands without end gives
what could be read of it and then ends; nothing is raised.

Left to others: telling an archive from other files, and what is inside (`sources`).
"""

import importlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from logagent.blocks import BLOCK_BYTES

__all__ = [
    "CODECS",
    "INPUT_BYTES",
    "STEP_BYTES",
    "XZ_MEMORY_BYTES",
    "ZSTD_MAGIC",
    "Codec",
    "Expanded",
    "ExpansionLimits",
]

INPUT_BYTES = 16 * 1024
"""[bytes] Compressed bytes given to a decoder at once; arbitrary, a few disk pages."""

STEP_BYTES = 8 * 1024
"""[bytes] Most that bzip2, xz and zstd return at once, so that no more than this is lost
before the damaged place of an archive. gzip loses nothing."""

XZ_MEMORY_BYTES = 80 * 1024 * 1024
"""[bytes] Most an xz decoder may allocate. `xz -9` asks for 65 MiB, the default (-6) for 9;
more is asked for by special options or on purpose only."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""What a zstd archive starts with, known also where it cannot be expanded."""

Read = Callable[[int], bytes]


class ExpansionLimits(Protocol):
    """Where expanding an archive ends; `sources.Limits` says what each means."""

    @property
    def max_ratio(self) -> int:
        """Longest expansion, output over input; 0 for none."""
        ...

    @property
    def free_bytes(self) -> int:
        """Output that no ratio is asked of [bytes]."""
        ...

    @property
    def max_output_bytes(self) -> int | None:
        """Most that is read of one archive [bytes]; None for no limit."""
        ...


class _Decoder(Protocol):
    """What bz2's, lzma's and zstd's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _DamagedError(Exception):
    """A gzip member is damaged; `salvaged` is what came before the damage."""

    def __init__(self, message: str, salvaged: bytes) -> None:
        super().__init__(message)
        self.salvaged = salvaged


class _Gunzip:
    """One gzip member, with the interface of the other decoders."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._full and not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        data = self._inflate.unconsumed_tail + data
        # A checksum that does not match discards the call's output; the copy, 40 KiB, brings
        # it back a byte at a time.
        before = self._inflate.copy()
        try:
            output = self._inflate.decompress(data, max(max_length, 0))
        except zlib.error as error:
            salvaged = bytearray()
            try:
                for place in range(len(data)):
                    salvaged += before.decompress(data[place : place + 1])
            except zlib.error:
                pass  # the same damage, met at its very byte
            raise _DamagedError(str(error), bytes(salvaged)) from error
        self._full = len(output) == max_length
        return output


@dataclass(frozen=True, slots=True)
class Codec:
    """A way of compressing one stream of bytes."""

    name: str
    magic: bytes
    new: Callable[[], _Decoder]
    errors: Callable[[], tuple[type[Exception], ...]]
    step_bytes: int = STEP_BYTES


def _codecs() -> list[Codec]:
    """List the codecs of this interpreter; their libraries are imported when one is met."""

    def new_xz() -> _Decoder:
        lzma = importlib.import_module("lzma")
        decoder: _Decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY_BYTES)
        return decoder

    found = [
        Codec("gzip", b"\x1f\x8b\x08", _Gunzip, lambda: (_DamagedError,), BLOCK_BYTES),
        Codec(
            "bzip2",
            b"BZh",
            lambda: importlib.import_module("bz2").BZ2Decompressor(),
            lambda: (OSError, EOFError, ValueError),
        ),
        Codec(
            "xz",
            b"\xfd7zXZ\0",
            new_xz,
            lambda: (importlib.import_module("lzma").LZMAError, EOFError),
        ),
    ]
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        return found
    errors = (zstd.ZstdError, EOFError)
    return [*found, Codec("zstd", ZSTD_MAGIC, zstd.ZstdDecompressor, lambda: errors)]


CODECS: Final = tuple(_codecs())
"""What can be expanded here, each with the bytes its archives start with."""


class Expanded:
    """The bytes inside a compressed stream: any number of members, one after the other."""

    def __init__(
        self, read: Read, codec: Codec, limits: ExpansionLimits, stop: Callable[[str, str], None]
    ) -> None:
        """Read compressed bytes from `read`; `stop` hears (kind, message) when it ends early."""
        self._read = read
        self._codec = codec
        self._limits = limits
        self._stop = stop
        self._decoder = codec.new()
        self._pending = b""
        self._ended = False
        self._input_bytes = 0
        self._output_bytes = 0
        self._foreign = False  # what follows the last member does not start like one

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" when there is no more to be had."""
        parts: list[bytes] = []
        left = size
        while left and not self._ended:
            if self._decoder.eof and not self._next_member():
                break
            data = b""
            if self._decoder.needs_input:
                if parts:
                    break  # hand over what there is rather than wait for a pipe
                data = self._input()
                if not data:
                    self._end("truncated-archive", "truncated archive")
                    break
            output = self._decode(data, min(left, self._codec.step_bytes))
            if output:
                parts.append(output)
                left -= len(output)
        return b"".join(parts)

    def _decode(self, data: bytes, size: int) -> bytes:
        """Decode one step and keep to the limits."""
        try:
            output = self._decoder.decompress(data, size)
        except self._codec.errors() as error:
            output = getattr(error, "salvaged", b"")
            if self._foreign:
                self._end("trailing-data", "ignored what follows the archive")
            elif "emory" in str(error):
                needs = f"needs more than {XZ_MEMORY_BYTES >> 20} MiB of memory to expand"
                self._end("unsupported", f"{needs}; use `xz -dc FILE | logagent scan -`; stopped")
            else:
                self._end("damaged-archive", f"damaged archive ({error})", len(output))
        limits, most = self._limits, self._limits.max_output_bytes
        if most is not None and self._output_bytes + len(output) > most:
            output = output[: most - self._output_bytes]
            self._end("expansion-limit", f"expands to more than {most} bytes: stopped", len(output))
        self._output_bytes += len(output)
        ratio = limits.max_ratio
        if (
            ratio
            and self._output_bytes > limits.free_bytes
            and self._output_bytes > ratio * self._input_bytes
        ):
            self._end("expansion-limit", f"expands more than {ratio} times: stopped")
        return output

    def _next_member(self) -> bool:
        """Start on the next member, past zeros used as padding; say whether there is one."""
        self._pending = self._decoder.unused_data.lstrip(b"\0")
        while not self._pending:
            data = self._input()
            if not data:
                self._ended = True
                return False
            self._pending = data.lstrip(b"\0")
        self._decoder = self._codec.new()
        start = self._pending[: len(self._codec.magic)]
        self._foreign = not self._codec.magic.startswith(start)
        return True

    def _input(self) -> bytes:
        """Take compressed bytes, b"" at the end."""
        data, self._pending = self._pending, b""
        if not data:
            data = self._read(INPUT_BYTES)
            self._input_bytes += len(data)
        return data

    def _end(self, kind: str, what: str, more_bytes: int = 0) -> None:
        """Report once, and read no more."""
        if not self._ended:
            self._ended = True
            help_text = "; --max-expand lifts the limit" if kind == "expansion-limit" else ""
            read_bytes = self._output_bytes + more_bytes
            self._stop(kind, f"{self._codec.name}: {what} after {read_bytes} bytes{help_text}")
