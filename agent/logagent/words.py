"""Templates to plain words: what the tokenizer of a bundle is given.

Lower case, camel humps set apart (``OutOfMemory`` is three words), everything but letters, digits
and ``#`` a space. A byte above 127 is a letter: UTF-8 of any language stays whole, and
the tokenizer learns its pieces. Done here for all templates at once: as regular expressions inside
the tokenizer the same cost three quarters of the time that a never-seen line takes. Shared with the
pipeline.

Guarantees: one text per template, in order, for any bytes without newline, of ``[a-z0-9# ]`` and
`HIGH` only; at most `limit` bytes of a template are read.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import numpy as np

__all__ = ["HIGH", "plain_words"]

HIGH = "".join(chr(0x100 + byte) for byte in range(128, 256))
"""What stands for the bytes 128 to 255: letters, as Latin-1's own hold two kinds of space."""

_CHARACTERS = bytes(range(128)).decode("ascii") + HIGH

_SPACE = ord(" ")
_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789#\n"


def _plain() -> bytes:
    table = bytearray(b" " * 256)
    for byte in _KEPT:
        table[byte] = byte
    for byte in range(128, 256):
        table[byte] = byte
    for upper in range(ord("A"), ord("Z") + 1):
        table[upper] = upper + ord("a") - ord("A")
    return bytes(table)


_PLAIN = _plain()
_LOWER = np.isin(np.arange(256), np.arange(ord("a"), ord("z") + 1))
_UPPER = np.isin(np.arange(256), np.arange(ord("A"), ord("Z") + 1))


def plain_words(templates: Sequence[bytes], limit: int) -> list[str]:
    """Return the words of templates, separated by spaces.

    Args:
        templates: see `logagent.normalise.templates`; newlines in them are taken for spaces.
        limit: bytes read of each.
    """
    if not templates:
        return []
    joined = b"\n".join([template[:limit].replace(b"\n", b" ") for template in templates])
    raw = np.frombuffer(joined, np.uint8)
    humps = np.flatnonzero(_LOWER[raw[:-1]] & _UPPER[raw[1:]]) + 1
    spaced = np.insert(raw, humps, _SPACE).tobytes()
    plain = spaced.translate(_PLAIN)
    return codecs.charmap_decode(plain, "strict", _CHARACTERS)[0].split("\n")
