"""The distinct templates of one system's log, of any length, in bounded memory.

Lines come in blocks, as the agent reads them, and go through the agent's own judge: fast key →
loose key → template, with its bounded caches in between. Where the agent asks a model for the
score of a template, a table gives it a number.

Each template has its count of lines, up to `VARIANTS` lines with different texts, and the lines
around its first. Of the texts the first bytes are kept, enough for their template.

Guarantees: the same blocks give the same table; `settle` forgets what is only speed, so a table
that was saved there and goes on is the same as one that never stopped. At most `most` templates
when asked for, a quarter more in between, and never over `_MOST_BYTES` of text: then half of the
places go to those with most lines, and half to a sample of the others, drawn by hash, so that it
is uniform over templates, rare ones too. What is let go is counted. Memory: O(most).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent.blocks import Block
from logagent.judge import Judge
from logagent.normalise import MAX_TEMPLATE_BYTES

from logagent_build.calibrate.entries import AROUND, VARIANTS

__all__ = ["Kept", "Table", "chosen", "kept_of"]

_MOST_BYTES = 192 << 20  # [bytes] of text: 3.8 kB a template at 50,000; logs need about 1 kB
_AROUND_BYTES = 640  # [bytes] of a neighbouring line: prompts show 600 characters
_TRIES = 24  # blocks without a new text after which a template is looked at no more
_LOOKED_AT = 16  # lines of a template in one block that are compared with those it has
_NEVER = float("inf")  # no score is anomalous: verdicts are numbers here


@dataclass(slots=True)
class Kept:
    """One template, and what may be told of it."""

    template: bytes
    count: int
    """Lines."""
    variants: list[bytes]
    """Lines with different texts, the first that came first; none until it is looked at."""
    before: list[bytes]
    """Up to `AROUND` lines before the first, oldest first."""
    after: list[bytes]
    """Up to `AROUND` lines after it."""
    tries: int = 0
    """Blocks without a new text."""

    @property
    def size(self) -> int:
        """[bytes] Of text."""
        return len(self.template) + sum(map(len, (*self.variants, *self.before, *self.after)))

    def row(self) -> list[Any]:
        """Return it as msgpack and JSON can hold it."""
        return [
            self.template,
            self.count,
            self.variants,
            self.before,
            self.after,
            self.tries,
        ]


def kept_of(row: Sequence[Any]) -> Kept:
    """Return what `Kept.row` gave.

    Raises:
        ValueError: it did not.
    """
    template, count, variants, before, after, tries = row
    return Kept(template, int(count), list(variants), list(before), list(after), int(tries))


class _Numbers:
    """Gives templates numbers, in the place of a scorer; new ones go to the end."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def scores(self, templates: Sequence[bytes]) -> Any:
        return np.array([self._table.number(each) for each in templates], np.float64)


class Table:
    """Templates of one system."""

    def __init__(self, most: int) -> None:
        """Begin with nothing; `most` templates are kept."""
        if most < 4:
            raise ValueError(f"at least 4 templates are kept, not {most}")
        self.most = most
        self.lines = 0
        """Lines that came, empty ones too."""
        self.keys = 0
        """Lines whose fast key was not known: what the cheapest step left over."""
        self.let_go = 0
        """Templates that there was no room for; one that came again counts again."""
        self.let_go_lines = 0
        """Lines of theirs."""
        self._kept: list[Kept] = []
        self._number: dict[bytes, int] = {}
        self._count = np.zeros(0, np.int64)  # lines of each, ahead of `Kept.count`
        self._wanting = np.zeros(0, np.bool_)  # which are still looked at for other texts
        self._bytes = 0
        self._tail: list[bytes] = []  # last lines of the file so far
        self._open: list[int] = []  # templates whose first line was among the last
        self._judge = self._new_judge()

    def _new_judge(self) -> Judge:
        return Judge(_Numbers(self), _NEVER, keep_normal=True)

    def __len__(self) -> int:
        """Return the number of templates."""
        return len(self._kept)

    def number(self, template: bytes) -> int:
        """Return a template's number; a new one is added."""
        found = self._number.setdefault(template, len(self._kept))
        if found == len(self._kept):
            self._kept.append(Kept(template, 0, [], [], []))
            self._bytes += len(template)
        return found

    def add(self, block: Block) -> None:
        """Take in a block of lines of the file that is being read."""
        misses = self._judge.counters.fast_misses
        before = len(self._kept)
        verdicts = self._judge.judge(block)
        of = np.fromiter((verdict.score for verdict in verdicts), np.int64, len(verdicts))
        self.lines += len(of)
        self.keys += self._judge.counters.fast_misses - misses
        self._grow()
        there, first, count = np.unique(of, return_index=True, return_counts=True)
        self._count[there] += count
        self._continue(block, len(of))
        for at in np.flatnonzero(there >= before).tolist():
            self._surround(block, int(there[at]), int(first[at]), len(of))
        wanting = self._wanting[there]
        if wanting.any():
            for entry in there[wanting].tolist():
                self._look(block, entry, np.flatnonzero(of == entry))
        last = range(max(0, len(of) - AROUND), len(of))
        self._tail = (self._tail + [block.line(at)[:_AROUND_BYTES] for at in last])[-AROUND:]
        if len(self._kept) > self.most + self.most // 4 or self._bytes > _MOST_BYTES:
            self._shrink(self.most)

    def end_file(self) -> None:
        """Say that what comes next is of another file: nobody's neighbour here."""
        self._tail, self._open = [], []

    def settle(self) -> None:
        """Forget caches, so that from here on the result depends on what `state` holds alone."""
        self._judge = self._new_judge()

    def finish(self) -> list[Kept]:
        """Return the templates, at most `most`, in order of first appearance.

        Those of empty lines are left out.
        """
        if len(self._kept) > self.most or self._bytes > _MOST_BYTES:
            self._shrink(self.most)
        self._write_counts()
        return [each for each in self._kept if each.template.strip() and each.variants]

    def _grow(self) -> None:
        more = len(self._kept) - len(self._count)
        if more:
            self._count = np.concatenate((self._count, np.zeros(more, np.int64)))
            self._wanting = np.concatenate((self._wanting, np.ones(more, np.bool_)))

    def _continue(self, block: Block, lines: int) -> None:
        """Give templates that began at the end of the block before the lines after it."""
        for entry in self._open:
            kept = self._kept[entry]
            for at in range(min(AROUND - len(kept.after), lines)):
                self._text(kept.after, block.line(at)[:_AROUND_BYTES])
        self._open = [at for at in self._open if len(self._kept[at].after) < AROUND]

    def _surround(self, block: Block, entry: int, first: int, lines: int) -> None:
        kept = self._kept[entry]
        here = [block.line(at)[:_AROUND_BYTES] for at in range(max(0, first - AROUND), first)]
        for line in (self._tail + here)[-AROUND:]:
            self._text(kept.before, line)
        for at in range(first + 1, min(lines, first + 1 + AROUND)):
            self._text(kept.after, block.line(at)[:_AROUND_BYTES])
        if len(kept.after) < AROUND:
            self._open.append(entry)

    def _look(self, block: Block, entry: int, places: npt.NDArray[np.int64]) -> None:
        """Keep lines of a template with texts that it has not yet."""
        kept = self._kept[entry]
        known = len(kept.variants)
        if len(places) > _LOOKED_AT:
            places = places[np.linspace(0, len(places) - 1, num=_LOOKED_AT).astype(np.int64)]
        for at in places.tolist():
            line = block.line(at)[:MAX_TEMPLATE_BYTES]
            if line not in kept.variants:
                self._text(kept.variants, line)
                if len(kept.variants) == VARIANTS:
                    break
        kept.tries += len(kept.variants) == known
        if len(kept.variants) == VARIANTS or kept.tries == _TRIES:
            self._wanting[entry] = False

    def _text(self, texts: list[bytes], line: bytes) -> None:
        texts.append(line)
        self._bytes += len(line)

    def _write_counts(self) -> None:
        for kept, count in zip(self._kept, self._count.tolist(), strict=True):
            kept.count = count

    def _shrink(self, places: int) -> None:
        """Let go of templates until few enough are left, and of too much text as well."""
        self._write_counts()
        while True:
            stay = chosen(self._kept, places)
            kept = [self._kept[at] for at in stay]
            size = sum(each.size for each in kept)
            if size <= _MOST_BYTES * 3 // 4 or places < 8:
                break
            places //= 2
        gone = len(self._kept) - len(kept)
        self.let_go += gone
        self.let_go_lines += int(self._count.sum()) - sum(each.count for each in kept)
        number = {old: new for new, old in enumerate(stay)}
        self._open = [number[at] for at in self._open if at in number]
        self._count, self._wanting = self._count[stay], self._wanting[stay]
        self._kept, self._bytes = kept, size
        self._number = {each.template: at for at, each in enumerate(kept)}
        self.settle()  # what is remembered there are the old numbers

    def state(self) -> dict[str, Any]:
        """Return all that goes on needs, for msgpack; call `settle` as well."""
        self._write_counts()
        return {
            "most": self.most,
            "lines": self.lines,
            "keys": self.keys,
            "let_go": [self.let_go, self.let_go_lines],
            "kept": [each.row() for each in self._kept],
            "wanting": self._wanting.tobytes(),
            "tail": self._tail,
            "open": self._open,
        }

    @classmethod
    def of(cls, state: dict[str, Any]) -> Table:
        """Return the table that `state` was taken of."""
        table = cls(int(state["most"]))
        table.lines, table.keys = int(state["lines"]), int(state["keys"])
        table.let_go, table.let_go_lines = map(int, state["let_go"])
        table._kept = [kept_of(row) for row in state["kept"]]
        table._number = {each.template: at for at, each in enumerate(table._kept)}
        table._count = np.array([each.count for each in table._kept], np.int64)
        table._wanting = np.frombuffer(state["wanting"], np.bool_).copy()
        table._bytes = sum(each.size for each in table._kept)
        table._tail, table._open = list(state["tail"]), list(state["open"])
        return table


def chosen(kept: Sequence[Kept], places: int) -> list[int]:
    """Return which templates stay, in order: half by lines, half by hash."""
    if len(kept) <= places:
        return list(range(len(kept)))
    heavy = sorted(range(len(kept)), key=lambda at: (-kept[at].count, kept[at].template))
    rest = heavy[places // 2 :]
    drawn = sorted(rest, key=lambda at: hashlib.blake2b(kept[at].template, digest_size=8).digest())
    return sorted(heavy[: places // 2] + drawn[: places - places // 2])
