"""Blocks of lines to verdicts: fast key, caches, and the model for what neither has seen.

The hot path. For a block of some hundred lines: one pass for the fast keys, one ``map`` of
``hash``, one ``map`` of the cache's ``get``; all in C. What misses is looked up by loose key, what
misses again is normalised and looked up by template, and only what no cache knows is scored:

    block → fast key → loose key → template → model

Each step works on all the misses of a block at once.

Guarantees: one verdict per line, in order; a line's verdict is that of a template. Lines equal
but for digits or hexadecimal numbers share a verdict, unless the digits carry meaning
(`logagent.kept`). Memory: three caches of fixed capacity.

Keys are stored as 64-bit hashes: two keys share one by accident with a probability of about 1e-10
at these capacities, and not on purpose, since Python's hash of bytes is seeded at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from logagent.blocks import Block
from logagent.cache import TwoGenerationCache
from logagent.keys import BlockHashes, CodePlaces, fast_keys, loose_keys
from logagent.model import Floats
from logagent.normalise import templates

__all__ = [
    "IGNORED",
    "NORMAL",
    "Judge",
    "Said",
    "TemplateScorer",
    "Verdict",
    "group_key",
    "mask_names",
]

# Entries per generation. Sixteen systems' logs mixed have about 5,000 fast keys.
FAST_CAPACITY = 5_400  # two thirds of 8,192: what a dict of 0.15 MB holds without growing
LOOSE_CAPACITY = 2_700  # likewise, of 4,096
TEMPLATE_CAPACITY = 2_700
# Logs full of fresh identifiers (UUIDs in every line) miss every fast key and hit every loose one.
# After so many blocks of that in a row, that many are judged by loose keys at once; then one block
# is tried again.
_STREAK_BLOCKS = 32
_SKIP_BLOCKS = 256
TEMPLATE_BYTES = 512  # [bytes] of a template kept for display
# A name with a masked identifier in it: pod "web-*-xkvd" and node "pool-*-q7b" are one of many, and
# their unmasked rests vary as well. Masked as a whole for grouping, never for the score.
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# Before the number of the day, of which a small one may have a space more; after it; in between.
_DATE = re.compile(
    rb"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?" + _MONTH + rb" +#"
    rb"|(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?# " + _MONTH + rb"(?= )"
    rb"|(?<=[/-])" + _MONTH + rb"(?=[/-])"
)
_COMPOUND = re.compile(rb"[^\s\"'`=,;:()\[\]{}<>|]*\*[^\s\"'`=,;:()\[\]{}<>|]*")


class TemplateScorer(Protocol):
    """What the judge needs of a model; `logagent.scorer.Scorer` is the real one."""

    def scores(self, templates: Sequence[bytes]) -> Floats:
        """Return float32 (n,), in [0, 1], 1 is anomalous."""
        ...


class Said(Protocol):
    """What operators have said of groups; `logagent.overrides.Overrides` is the real one."""

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        ...

    def forced(self, group: bytes) -> bool | None:
        """Return True if a group is anomalous, False if normal, None if nothing was said of it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the model says of a template. Compared by identity: one object per template."""

    score: float
    """In [0, 1], 1 is anomalous."""
    anomalous: bool
    """Whether the score reached the threshold."""
    template: bytes
    """The masked line, cut to `TEMPLATE_BYTES`; empty for the shared `NORMAL`."""
    group: bytes = b""
    """What its lines are grouped by; empty means the template."""
    forced: bool = False
    """Whether it is anomalous because an operator said so, whatever the score."""


NORMAL: Final = Verdict(0.0, False, b"")
"""Stands for every normal line, unless the caller wants each one's score."""


IGNORED: Final = Verdict(0.0, False, b"")
"""Stands for every line that the model flags and an operator called normal; the lines of a stack
trace below such a line are part of it (`logagent.traces`)."""

_NORMAL_PAIRS: Final = ((NORMAL, False), (NORMAL, True))

_Entry: TypeAlias = Verdict | CodePlaces
"""What a fast key leads to: its verdict, or where to find the number that decides it."""


@dataclass(slots=True)
class Counters:
    """What happened to the lines, for ``--stats`` and the benchmarks."""

    lines: int = 0
    """Lines judged."""
    fast_misses: int = 0
    """Lines whose fast key was not cached, or not asked for."""
    loose_misses: int = 0
    """Lines that were normalised: no cache had their fast or their loose key."""
    template_misses: int = 0
    """Distinct templates scored by the model (again, if forgotten)."""


class Judge:
    """Gives every line a verdict."""

    def __init__(
        self,
        scorer: TemplateScorer,
        threshold: float,
        *,
        keep_normal: bool = False,
        overrides: Said | None = None,
        floor: float | None = None,
    ) -> None:
        """Set up empty caches.

        Args:
            scorer: the model.
            threshold: score at or above which a line is anomalous.
            keep_normal: give normal lines verdicts of their own, with score and template,
                instead of the shared `NORMAL`. Slower and larger.
            overrides: what operators have said; goes before what the model says.
            floor: score from which a normal line has a verdict of its own as well, for whom a
                score below the threshold can mean something; None: the threshold.
        """
        self.counters = Counters()
        self.hashes: BlockHashes | None = None
        """Of keys, if somebody else asks for those of the same blocks."""
        self._scorer = scorer
        self._threshold = threshold
        self._floor = 0.0 if keep_normal else threshold if floor is None else floor
        self._overrides = overrides
        self._by_fast_key: TwoGenerationCache[_Entry] = TwoGenerationCache(FAST_CAPACITY)
        # A verdict, and whether its line has a number that fast keys lack.
        self._by_loose_key: TwoGenerationCache[tuple[Verdict, bool]] = TwoGenerationCache(
            LOOSE_CAPACITY
        )
        self._by_template: TwoGenerationCache[Verdict] = TwoGenerationCache(TEMPLATE_CAPACITY)
        self._streak = 0  # blocks in a row for which fast keys were of no use
        self._skip = 0  # blocks still to be judged without them

    def teach(self, overrides: Said | None) -> None:
        """Take over what operators have said; it holds from the next line on."""
        self._overrides = overrides
        self._by_fast_key.clear()
        self._by_loose_key.clear()
        self._by_template.clear()
        self._streak = self._skip = 0

    def judge(self, block: Block) -> list[Verdict]:
        """Return a verdict for every line of a block."""
        if self._skip:
            self._skip -= 1
            if self.hashes is None:
                keys = list(map(hash, loose_keys(block.data)))
            else:
                keys = self.hashes.loose(block.data)
            pairs, _ = self._judge_loosely(keys, block.lines)
            self.counters.lines += len(pairs)
            self.counters.fast_misses += len(pairs)
            return [verdict for verdict, _ in pairs]
        if self.hashes is None:
            keys = list(map(hash, fast_keys(block.data)))
        else:
            keys = self.hashes.fast(block.data)
        found = list(map(self._by_fast_key.young, keys))
        self.counters.lines += len(found)
        # A set of a list is one C pass; `in` on the list itself would compare object by object.
        if any(type(entry) is not Verdict for entry in set(found)):
            self._settle(block, keys, found)
        return found  # type: ignore[return-value]  # _settle left verdicts only

    def _settle(self, block: Block, keys: list[int], found: list[_Entry | None]) -> None:
        """Judge the lines whose fast key is unknown, or not enough."""
        known = self._by_fast_key.get
        misses = []
        for index, entry in enumerate(found):
            if type(entry) is Verdict:
                continue
            if entry is None:  # the old generation may have it
                entry = found[index] = known(keys[index])  # noqa: PLW2901
            if type(entry) is CodePlaces:
                with_codes = hash((keys[index], entry.read(block.line(index))))
                entry = found[index] = known(with_codes)  # noqa: PLW2901
            if entry is None:
                misses.append(index)
        if misses:
            self._judge_misses(block, misses, keys, found)

    def _judge_misses(
        self, block: Block, misses: list[int], keys: list[int], found: list[_Entry | None]
    ) -> None:
        """Judge the lines at `misses`, and remember their verdicts by fast key."""
        self.counters.fast_misses += len(misses)
        lines = [block.line(index) for index in misses]
        loose = loose_keys(b"\n".join(lines))
        pairs, unknown = self._judge_loosely(list(map(hash, loose)), lambda: lines)
        remember = self._by_fast_key.add
        for at, (index, (verdict, coded)) in enumerate(zip(misses, pairs, strict=True)):
            found[index] = verdict
            if not coded:
                remember(keys[index], verdict)
            elif (places := CodePlaces.find(lines[at], loose[at])) is not None:
                remember(keys[index], places)
                remember(hash((keys[index], places.read(lines[at]))), verdict)
        useless = len(misses) > len(found) // 2 and unknown < len(misses) // 4
        self._streak = self._streak + 1 if useless else 0
        if self._streak >= _STREAK_BLOCKS:
            self._skip = _SKIP_BLOCKS

    def _judge_loosely(
        self, keys: list[int], lines: Callable[[], list[bytes]]
    ) -> tuple[list[tuple[Verdict, bool]], int]:
        """Judge lines by loose key; what no cache knows is normalised and judged by template.

        Args:
            keys: hash of the loose key of every line.
            lines: gives the lines themselves; called only if needed.

        Returns:
            For every line its verdict and whether it has a number that fast keys lack; and how
            many lines no cache knew.
        """
        found = list(map(self._by_loose_key.young, keys))
        if None not in set(found):
            return found, 0  # type: ignore[return-value]  # no None
        known = self._by_loose_key.get
        misses = []
        for index, pair in enumerate(found):
            if pair is None:
                found[index] = known(keys[index])
                if found[index] is None:
                    misses.append(index)
        if misses:
            self.counters.loose_misses += len(misses)
            texts = lines()
            masked = templates([texts[index] for index in misses])
            verdicts = self.judge_templates(masked.templates)
            for index, verdict, coded in zip(misses, verdicts, masked.coded.tolist(), strict=True):
                # One shared pair for all normal lines: a cache full of them stays small.
                pair = _NORMAL_PAIRS[coded] if verdict is NORMAL else (verdict, coded)
                found[index] = pair
                self._by_loose_key.add(keys[index], pair)
        return found, len(misses)  # type: ignore[return-value]  # no None

    def judge_templates(self, masked: list[bytes]) -> list[Verdict]:
        """Return a verdict for every template."""
        keys = list(map(hash, masked))
        verdicts = list(map(self._by_template.young, keys))
        unknown: dict[int, bytes] = {}
        for index, verdict in enumerate(verdicts):
            if verdict is None:
                key = keys[index]
                if key not in unknown:
                    verdicts[index] = self._by_template.get(key)
                    if verdicts[index] is None:
                        unknown[key] = masked[index]
        if not unknown:
            return verdicts  # type: ignore[return-value]  # all found
        self.counters.template_misses += len(unknown)
        scores = self._scorer.scores(list(unknown.values())).tolist()
        judged = {
            key: self._verdict(score, template)
            for (key, template), score in zip(unknown.items(), scores, strict=True)
        }
        for key, verdict in judged.items():
            self._by_template.add(key, verdict)
        return [
            judged[key] if verdict is None else verdict
            for key, verdict in zip(keys, verdicts, strict=True)
        ]

    def _verdict(self, score: float, template: bytes) -> Verdict:
        anomalous = score >= self._threshold
        forced = None
        if self._overrides is not None and not self._overrides.empty:
            forced = self._overrides.forced(group_key(template))
            anomalous = anomalous if forced is None else forced
        if forced is False and self._floor:
            return IGNORED if score >= self._threshold else NORMAL
        if not anomalous and score < self._floor:
            return NORMAL
        shown = template[:TEMPLATE_BYTES]
        # A line that nobody will group, of many that are kept for their scores, needs no key.
        group = group_key(shown) if anomalous or self._floor else b""
        return Verdict(score, anomalous, shown, b"" if group == shown else group, forced is True)


def group_key(template: bytes) -> bytes:
    """Return what the lines of a template are grouped by."""
    return mask_names(template[:TEMPLATE_BYTES])


def mask_names(template: bytes) -> bytes:
    """Return a template with dates masked, and each name that holds an identifier as a whole.

    The model may read the name of a month; a group must not end with it.
    """
    if b"*" in template:
        template = _COMPOUND.sub(b"*", template)
    before = b""
    while before != template:  # what was masked may be the number after another month
        before, template = template, _DATE.sub(_date_masked, template)
    return template


def _date_masked(found: re.Match[bytes]) -> bytes:
    return b"# #" if b"#" in found[0] else b"#"
