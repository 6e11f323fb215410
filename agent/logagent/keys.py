"""Keys under which the verdict of a line is remembered: what varies deleted, at C speed.

* the **fast key**: the line with its digits deleted. A few passes over a whole block of lines;
  equal keys mean "the same message, other numbers";
* the **loose key**: also without the letters of hexadecimal numbers, so that lines with fresh
  UUIDs and addresses share one; twice the work.

Both keep stand-alone zeros and HTTP status classes; the loose key also keeps the numbers after
code, status, errno and the like (`logagent.kept`), which the fast key has lost: `CodePlaces` finds
them again.

Guarantees: one key per line, in order, for any bytes; the key of a line does not depend on the
lines beside it. Memory: O(bytes of the call).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from logagent.kept import CODE_DIGITS, IS_LETTER, ZERO, follow_code, http_statuses, ranges, zeros

__all__ = ["BlockHashes", "CodePlaces", "fast_keys", "loose_keys"]

_DIGITS = b"0123456789"
# What stands for kept numbers in a key; control bytes are not mistaken for text.
_ZERO_MARK = 0x01
_HTTP_MARK = 0x0E  # plus the class, 1 to 5
_CODE_MARK = 0x60  # plus the digit's byte: 0x90-0x99, which no ASCII text has
_HEX_REACH = 6  # [bytes] around a digit taken for the same hexadecimal number or UUID: with 4, one
# line in thirty with three UUIDs kept a letter; each more costs 0.1 ns per byte


def fast_keys(block: bytes) -> list[bytes]:
    """Return the fast key of every line of a block.

    Args:
        block: whole lines joined by newlines, without the last newline.

    Returns:
        One key per line. Keys are equal if the lines are equal but for digits, unless those
        digits are a stand-alone zero or an HTTP status class.
    """
    raw = np.frombuffer(block, np.uint8)
    marked = raw.copy()
    marked[zeros(raw)] = _ZERO_MARK
    if b'"' in block:
        statuses = http_statuses(raw)
        marked[statuses] = _HTTP_MARK + (raw[statuses] - ZERO)
    block = marked.tobytes()
    return block.translate(None, _DIGITS).split(b"\n")


def loose_keys(block: bytes) -> list[bytes]:
    """Return the loose key of every line of a block.

    As `fast_keys`, and equal for lines that differ in hexadecimal numbers; different for lines
    that differ in a number after code, status, errno and the like.

    Not exact: letters a-f and hyphens within `_HEX_REACH` of a digit go too (``fd0`` is ``cd0``).
    """
    raw = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    digit = (raw - ZERO) < 10
    passable = ((raw | 0x20) - ord("a")) < 6
    passable |= raw == ord("-")  # the groups of a UUID, some of which have no digit
    drop = digit
    for _ in range(_HEX_REACH):  # grow from the digits over what is passable
        grown = drop.copy()
        grown[1:] |= drop[:-1]
        grown[:-1] |= drop[1:]
        grown &= passable
        grown |= drop
        drop = grown
    marked = raw * ~drop  # dropped bytes become NUL
    marked[zeros(raw)] = _ZERO_MARK
    statuses = http_statuses(raw)
    marked[statuses] = _HTTP_MARK + (raw[statuses] - ZERO)

    # Numbers that may follow a word: the byte before is no letter, the one before that no digit.
    starts = digit[2:] & ~digit[1:-1] & ~digit[:-2]
    starts &= (raw[1:-1] <= ord("=")) | (raw[1:-1] == ord("["))
    at = np.flatnonzero(starts) + 2
    end = at + 1
    for _ in range(CODE_DIGITS):
        end += digit[end]
    alone = ~IS_LETTER[raw[end]]
    at, end = at[alone], end[alone]
    codes = follow_code(raw, at, end)
    codes[np.searchsorted(at, statuses)] = False
    digits = ranges(at[codes], end[codes])
    marked[digits] = raw[digits] + _CODE_MARK
    return marked.tobytes().translate(None, b"\0").split(b"\n")[1:-1]


class BlockHashes:
    """Hashes of keys, worked out once for those who ask about the same block in turn.

    Memory: O(lines of a block), and the block: the latest one.
    """

    def __init__(self) -> None:
        self._block = b""
        self._fast: list[int] | None = None
        self._loose: list[int] | None = None

    def fast(self, block: bytes) -> list[int]:
        """Return the hash of every line's fast key, not to be changed."""
        self._turn_to(block)
        if self._fast is None:
            self._fast = list(map(hash, fast_keys(block)))
        return self._fast

    def loose(self, block: bytes) -> list[int]:
        """Return the hash of every line's loose key, not to be changed."""
        self._turn_to(block)
        if self._loose is None:
            self._loose = list(map(hash, loose_keys(block)))
        return self._loose

    def _turn_to(self, block: bytes) -> None:
        if block is not self._block:  # the same object: a comparison of bytes is not worth it
            self._block, self._fast, self._loose = block, None, None


_CODE_IN_KEY = re.compile(rb"[\x90-\x99]+")
_ANCHOR = re.compile(rb"[A-Za-z]+[^0-9A-Za-z\x80-\xff]{1,3}\Z")
_ANCHOR_BYTES = 24  # [bytes] before a code that are looked at; part of a long word will do
_DIGITS_HERE = re.compile(rb"-?(\d*)")  # loose keys have lost the sign as well


@dataclass(frozen=True, slots=True, eq=False)
class CodePlaces:
    """Where the lines of one fast key keep the numbers that the fast key lacks.

    Lets a line be looked up without its loose key: by fast key and `read`.
    """

    anchors: tuple[bytes, ...]
    """The text before each number, in order: ``status: ``."""

    @classmethod
    def find(cls, line: bytes, loose_key: bytes) -> CodePlaces | None:
        """Return the places in `line`, or None if they cannot be found again by their text."""
        anchors, codes = [], []
        for code in _CODE_IN_KEY.finditer(loose_key):
            before = loose_key[max(code.start() - _ANCHOR_BYTES, 0) : code.start()]
            anchor = _ANCHOR.search(before)
            if anchor is None:
                return None
            anchors.append(anchor[0])
            codes.append(bytes(byte - _CODE_MARK for byte in code[0]))
        places = cls(tuple(anchors))
        return places if anchors and places.read(line) == tuple(codes) else None

    def read(self, line: bytes) -> tuple[bytes, ...]:
        """Return the digits found after each anchor; empty where there are none."""
        codes = []
        at = 0
        for anchor in self.anchors:
            at = line.find(anchor, at)
            if at < 0:
                return ()
            at += len(anchor)
            codes.append(_DIGITS_HERE.match(line, at)[1])  # type: ignore[index]  # always matches
        return tuple(codes)
