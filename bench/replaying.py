"""Lines with times through the agent's judge and alert policy, and what comes of each.

`replay` is `logagent replay` with the times given instead of read off the lines. Guarantees: the
judge, the joining of traces, the settings and the policy are the agent's own; a line's place in the
input is known of every alert. Leaves to others: what to replay, and what to make of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from logagent.blocks import BLOCK_BYTES, Block
from logagent.config import Config
from logagent.judge import NORMAL, Judge, Verdict
from logagent.policy.adaptation import HostAdaptation, lowest_score
from logagent.policy.policy import Policy, Settings, Telling
from logagent.policy.telling import Teller
from logagent.replay import Events, Replay, Told
from logagent.scorer import Scorer
from logagent.service.parts import policy_settings
from logagent.sinks import Alert
from logagent.traces import Joiner
from planting import Healthy, Kind, Planted

Figures = dict[str, Any]
ALERTS = frozenset({"new", "again", "burst"})
"""Tellings that ask for attention; digests and notes about the budget are apart."""


class Quiet(Teller):
    """Says the first line of the lead, and asks the model for no explanation: much faster."""

    def alert(self, telling: Telling) -> Alert | None:
        """See `Teller.alert`."""
        if telling.kind in ("held", "aftermath"):
            return None
        text = telling.groups[0].first.text if telling.groups else b""
        return Alert("0" * 16, b"{}", text.decode("utf-8", "replace"), 4)


@dataclass(slots=True)
class Replayed:
    """What came of some lines."""

    told: list[Told]
    policy: Policy
    """As it is in the end."""
    anomalous: int
    keys: dict[int, list[bytes]] = field(default_factory=dict)
    """By index of the planted kind's line: the keys of its anomalous lines."""

    def alerts(self) -> list[Told]:
        """Return what asks for attention."""
        return [told for told in self.told if told.kind in ALERTS]

    def lead(self, key: bytes) -> bytes:
        """Return the key of the group that lines of a key are counted in."""
        group = self.policy.lead(key)
        return key if group is None else group.key


class Agent:
    """The agent as it is by default, for one replay after another."""

    def __init__(self, scorer: Scorer, threshold: float) -> None:
        self.threshold = threshold
        self.settings: Settings = policy_settings(Config())
        self.clear_score = float(scorer.bundle.manifest.thresholds["low"])
        self.floor = lowest_score(threshold)
        self._judge = Judge(scorer, threshold, floor=self.floor)  # its caches change no verdict
        self._quiet = Quiet(scorer, "host")

    def adaptation(self) -> HostAdaptation:
        """Return the habits of a host that nothing is known of."""
        return HostAdaptation(self.clear_score)

    def replay(self, lines: Iterable[Planted], teller: Teller | None = None) -> Replayed:
        """Run the policy over lines in the order of time, each source judged by itself."""
        events = Events()
        keys: dict[int, list[bytes]] = {}
        for rows in _by_source(lines):
            joiner = Joiner()
            for block, piece in _blocks(rows):
                verdicts, joined = joiner.join(block, self._judge.judge(block))
                times = [row.seconds for row in piece]
                name = piece[0].source
                events.add(name, name.encode(), block, verdicts, joined, time_of=times.__getitem__)
                _note(keys, piece, verdicts)
        replay = Replay(
            teller or self._quiet,
            self.settings,
            self.threshold,
            events.began,
            adaptation=self.adaptation(),
        )
        told = list(replay.run(events.sorted(), events.last_at, events.boots))
        return Replayed(told, replay.policy, events.anomalous, keys)


def _note(keys: dict[int, list[bytes]], rows: Sequence[Planted], verdicts: list[Verdict]) -> None:
    if verdicts.count(NORMAL) == len(verdicts):
        return
    for row, verdict in zip(rows, verdicts, strict=True):
        if row.index is not None and verdict.anomalous:
            keys.setdefault(row.index, []).append(verdict.group or verdict.template)


def _by_source(lines: Iterable[Planted]) -> Iterable[list[Planted]]:
    sources: dict[str, list[Planted]] = {}
    for line in lines:
        sources.setdefault(line.source, []).append(line)
    return sources.values()


def _blocks(rows: Sequence[Planted]) -> Iterator[tuple[Block, Sequence[Planted]]]:
    """Yield blocks of whole lines with the rows that they hold."""
    start = size = offset = 0
    for at, row in enumerate(rows):
        if size + len(row.text) + 1 > BLOCK_BYTES and at > start:
            yield _block(rows, start, at, offset)
            start, offset, size = at, offset + size, 0
        size += len(row.text) + 1
    if rows:
        yield _block(rows, start, len(rows), offset)


def _block(
    rows: Sequence[Planted], start: int, stop: int, offset: int
) -> tuple[Block, Sequence[Planted]]:
    piece = rows[start:stop]
    return Block(b"\n".join(row.text for row in piece), start + 1, offset), piece


@dataclass(frozen=True, slots=True)
class Setting:
    """What all parts of `policy.py` need."""

    agent: Agent
    scorer: Scorer
    logs: list[Healthy]
    failures: list[Kind]
    harmless: list[Kind]
    rounds: int
    """Samples of a figure about time."""
    seed: int
    """Of the times of planting."""
