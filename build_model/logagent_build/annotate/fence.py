r"""Log lines inside a prompt: data, delimited, bounded, each with an id that cannot be guessed.

    BEGIN LINES 5f0c9a1b2c3d4e5f
    [k3f8] sshd[#]: Failed password for root
    [p0q2] \x1b[2Jcleared
    END LINES 5f0c9a1b2c3d4e5f

Guarantees: a line is one line of printable characters of bounded length (`sanitise.printable`:
escapes for controls, bidirectional marks and line separators), so it can neither end the block
nor look like two lines; fence and ids are hashes over the seed and *all* lines of the block, so
that whoever writes one of them cannot know them; the same lines and seed give the same block,
so that a prompt asked again is found in the store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from logagent.sanitise import printable

__all__ = [
    "LONGEST_LINE",
    "Block",
    "block",
    "examples",
    "read_block",
    "read_examples",
    "read_sequence",
    "sequence",
]

LONGEST_LINE = 400  # [characters] the rest of a line is cut off
_LETTERS, _DIGITS = "bcdfghjkmnpqrstvwxz", "23456789"  # none that look alike, hardly a word
_BLOCK = re.compile(r"^BEGIN LINES ([0-9a-f]{16})\n(.*?)\nEND LINES \1$", re.DOTALL | re.MULTILINE)
_EXAMPLES = re.compile(
    r"^BEGIN EXAMPLES ([0-9a-f]{16})\n(.*?)\nEND EXAMPLES \1$", re.DOTALL | re.MULTILINE
)
_EXAMPLE = re.compile(r"(normal|anomalous): (.*?)(?:  \(because: .*\))?")
_SEQUENCE = re.compile(
    r"^BEGIN SEQUENCE ([0-9a-f]{16})\n(.*?)\nEND SEQUENCE \1$", re.DOTALL | re.MULTILINE
)
_LINE = re.compile(r"\[([a-z0-9]{4})\] (.*)")


@dataclass(frozen=True, slots=True)
class Block:
    """Log lines as they stand in a prompt."""

    text: str
    ids: tuple[str, ...]
    """One for each line, in order."""
    fence: str


def block(lines: Sequence[str | bytes], seed: str, longest: int = LONGEST_LINE) -> Block:
    """Put lines into a block.

    Args:
        lines: in the order they are shown.
        seed: tells blocks of the same lines apart.
        longest: [characters] of a line.
    """
    shown = [printable(line, longest) for line in lines]
    whole = hashlib.sha256(repr((seed, shown)).encode(errors="replace"))
    fence = whole.hexdigest()[:16]
    ids: list[str] = []
    taken: set[str] = set()
    number = 0
    while len(ids) < len(shown):
        digest = hashlib.sha256(f"{whole.hexdigest()} {number}".encode()).digest()
        number += 1
        made = "".join(
            (_LETTERS, _DIGITS)[place % 2][digest[place] % len((_LETTERS, _DIGITS)[place % 2])]
            for place in range(4)
        )
        if made not in taken:
            taken.add(made)
            ids.append(made)
    rows = [f"[{name}] {line}" for name, line in zip(ids, shown, strict=True)]
    text = "\n".join((f"BEGIN LINES {fence}", *rows, f"END LINES {fence}"))
    return Block(text, tuple(ids), fence)


def examples(shown: Sequence[tuple[str | bytes, str, str]], longest: int = LONGEST_LINE) -> str:
    """Put labelled lines into a block of their own; empty if there are none.

    Args:
        shown: line, label and reason (or nothing) of each.
        longest: [characters] of a line.
    """
    rows = [
        f"{label}: {printable(line, longest)}"
        + (f"  (because: {printable(reason, longest)})" if reason else "")
        for line, label, reason in shown
    ]
    if not rows:
        return ""
    fence = hashlib.sha256(repr(rows).encode(errors="replace")).hexdigest()[:16]
    return "\n".join((f"BEGIN EXAMPLES {fence}", *rows, f"END EXAMPLES {fence}"))


def sequence(shown: Sequence[str | bytes], longest: int = LONGEST_LINE) -> str:
    """Put consecutive lines of a log into a block of their own; empty if there are none.

    Args:
        shown: in the order of the log.
        longest: [characters] of a line.
    """
    rows = [f"({number}) {printable(line, longest)}" for number, line in enumerate(shown, 1)]
    if not rows:
        return ""
    fence = hashlib.sha256(repr(rows).encode(errors="replace")).hexdigest()[:16]
    return "\n".join((f"BEGIN SEQUENCE {fence}", *rows, f"END SEQUENCE {fence}"))


def read_examples(text: str) -> list[tuple[str, bool]]:
    """Return the lines of the last block of examples in a text, and whether each is anomalous."""
    blocks = _EXAMPLES.findall(text)
    found = (_EXAMPLE.fullmatch(row) for row in blocks[-1][1].split("\n")) if blocks else ()
    return [(match[2], match[1] == "anomalous") for match in found if match]


def read_sequence(text: str) -> list[str]:
    """Return the lines of the last block of consecutive lines in a text, as they are shown."""
    blocks = _SEQUENCE.findall(text)
    rows = blocks[-1][1].split("\n") if blocks else []
    return [row.partition(" ")[2] for row in rows]


def read_block(text: str) -> dict[str, str]:
    """Return the lines of the last block in a text by their ids, as they are shown there."""
    blocks = _BLOCK.findall(text)
    if not blocks:
        return {}
    found = (_LINE.fullmatch(row) for row in blocks[-1][1].split("\n"))
    return {match[1]: match[2] for match in found if match}
