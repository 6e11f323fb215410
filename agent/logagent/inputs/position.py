"""How far one incarnation of a log was read, and how to know its bytes again.

A log that is rotated lives through many incarnations: each is one stream of bytes that only grows,
whatever file holds it now. `Position` remembers one of them by where it was (device, inode) *and*
by what was read of it: a hash of its first bytes and one of the bytes just before the offset.
So it is found again after a rename, a copy or compression, and never taken for another that got
the same inode.

Guarantees: constant size, whatever was read; no log text is kept, only hashes; `from_list` never
trusts what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, Final

__all__ = ["HEAD_BYTES", "TAIL_BYTES", "Position", "digest", "fingerprint"]

HEAD_BYTES = 4096
"""[bytes] First bytes that identify an incarnation: one page, more than almost any banner. With 1
KiB, generations with a header of 2 kB were taken for each other after a crash (`bench/soak.py`)."""

TAIL_BYTES = 64
"""[bytes] Before the offset: enough to hold a time or a number; read along with what follows."""

_DIGEST_BYTES = 12  # [bytes] 96 bits: no two heads are equal by accident
_LARGEST = 1 << 63


def digest(data: bytes | memoryview) -> bytes:
    """Return a short hash of some bytes of a log."""
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


def fingerprint(log: str, generation: int, head: bytes) -> bytes:
    """Return what sets an incarnation's record ids apart from any other's, 8 bytes.

    Args:
        log: path of the log, absolute.
        generation: which incarnation.
        head: its first line, or more of it.
    """
    first = head[:HEAD_BYTES].split(b"\n", 1)[0]
    place = b"%s\0%d\0" % (log.encode("utf-8", "surrogateescape"), generation)
    return blake2b(place + first, digest_size=8).digest()


@dataclass(slots=True, eq=False)
class Position:
    """One incarnation of a log, and how much of it every sink has taken. About 500 bytes."""

    log: str
    """Absolute path by which the log is known: where its newest incarnation is written."""
    place: str
    """Absolute path where this incarnation was last seen."""
    generation: int = 1
    """Counts the incarnations of a log, the oldest first."""
    device: int = 0
    inode: int = 0
    version: int = -1
    """The file system's generation of the inode, which changes when the inode is used again;
    -1 where the file system does not tell."""
    offset: int = 0
    """[bytes] Taken, of the text: of a compressed file, after expansion."""
    line: int = 1
    """Number of the line at `offset`, from 1; 0 if nobody counted the lines before it."""
    start: int = 0
    """[bytes] Where its first line begins: behind the hole that copytruncate may leave."""
    head_bytes: int = 0
    """How many bytes from there `head` is of, at most `HEAD_BYTES`. Known before the first line is
    taken, so that even after a crash the same lines get the same ids."""
    head: bytes = b""
    """`digest` of them; empty if there are none."""
    tail: bytes = b""
    """`digest` of the last `TAIL_BYTES` (or fewer) before `offset`."""
    skipping: bool = False
    """Whether `offset` is inside an over-long line whose rest is thrown away."""
    finished: bool = False
    """Whether nothing more is expected: rotated and read to its end, or never to be read."""
    fingerprint: bytes = b""
    """Of its record ids, once its first line was seen."""

    @property
    def identity(self) -> tuple[int, int]:
        """The file: (device, inode)."""
        return self.device, self.inode

    def to_list(self) -> list[Any]:
        """Return the fields, for msgpack."""
        return [getattr(self, name) for name, _ in _FIELDS]

    @classmethod
    def from_list(cls, values: object) -> Position:
        """Read what `to_list` wrote.

        Raises:
            ValueError: it did not write this.
        """
        if not isinstance(values, list) or len(values) != len(_FIELDS):
            raise ValueError("a position has other fields")
        for (name, expected), value in zip(_FIELDS, values, strict=True):
            if type(value) is not expected:
                raise ValueError(f"a position's {name} is not {expected.__name__}")
            if isinstance(value, int) and not -1 <= value < _LARGEST:
                raise ValueError(f"a position's {name} is out of range")
        position = cls(*values)
        if (
            not 0 <= position.head_bytes <= HEAD_BYTES
            or min(position.offset, position.start, position.line) < 0
        ):
            raise ValueError("a position is out of range")
        return position


_TYPES: Final = {"str": str, "int": int, "bytes": bytes, "bool": bool}
_FIELDS: Final = tuple((item.name, _TYPES[str(item.type)]) for item in fields(Position))
