"""Groups of lines that differ in a name only: told as one.

``Error syncing pod … container "grafana"`` and the same of container ``ksm`` have two templates, as
no mask knows that these are names, and yet an operator wants one alert. Two groups are of one
family if one program wrote them and their messages share most words (Jaccard index). Short
messages are left alone by that rule: ``Failed to start nginx.service`` and ``… mysql.service``
share four words of six. Where a line bears no program's name, all of it is compared.

Words are letters only, without case; each is one of `BITS` bits, so that a comparison is one AND
of two integers. Two words may share a bit: 40 words do so 1.5 times on average, which moves an
index by 0.02. The program is in the bits above.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

__all__ = ["LIKENESS", "likeness", "nearest", "program_of", "words_of"]

BITS = 512
LIKENESS = 0.7
"""Share of common words from which two groups are one family."""
_LEAST_WORDS = 4  # a message of less says too little to be like another

_WORDS = (1 << BITS) - 1
_HEADER_BYTES = 200  # [bytes] in which the program's name is looked for
# A name, with the number of its process or its module, before the first colon and space; nothing
# that is quoted or assigned is before it.
_PROGRAM = re.compile(
    rb"^(?:[^\"=]{0,120}?[\s\]])??([A-Za-z][\w./-]{1,40})(?:\([^)\s]*\))?(?:\[[^\]\s]*\])?: "
)
_WORD = re.compile(rb"[A-Za-z_\x80-\xff]{2,}")


def program_of(group: bytes) -> bytes:
    """Return the name of the program that wrote a line, empty if it bears none."""
    found = _PROGRAM.match(group, 0, _HEADER_BYTES)
    return found[1] if found else b""


def words_of(group: bytes) -> int:
    """Return the words of a group's key or of a template, as a set of `BITS` bits, and program."""
    words, start = 0, 0
    if (found := _PROGRAM.match(group, 0, _HEADER_BYTES)) is not None:
        start, words = found.end(), zlib.crc32(found[1]) << BITS
    for word in _WORD.findall(group, start):
        words |= 1 << (zlib.crc32(word.lower()) % BITS)
    return words


def likeness(one: int, other: int) -> float:
    """Return the share of words that two sets have in common, in [0, 1]; 0 if programs differ."""
    if (one ^ other) >> BITS:
        return 0.0
    either = ((one | other) & _WORDS).bit_count()
    return (one & other & _WORDS).bit_count() / either if either else 0.0


def nearest(words: int, known: Iterable[tuple[bytes, int]]) -> bytes | None:
    """Return the key of the most alike of the known sets, None if none is of the family."""
    if not words & _WORDS:
        return None
    # A message of a few words is like another only if it has just the same.
    best = LIKENESS if (words & _WORDS).bit_count() >= _LEAST_WORDS else 1.0
    found = None
    for key, each in known:
        if (share := likeness(words, each)) >= best and (found is None or share > best):
            best, found = share, key
    return found
