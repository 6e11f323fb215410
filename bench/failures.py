"""Which planted failures does the model see at all, before any policy?

    python bench/failures.py

Scores every line of failures.toml through the agent's own judge. A failure counts as seen when one
of its lines reaches the threshold within five lines of its onset; a harmless look-alike, when any
does. Also counts how many of the lines stand in the training corpora, up to their numbers, and
what is seen without those: a program's fixed texts are in both.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.judge import Judge
from logagent.scorer import Scorer
from logagent.traces import Joiner
from measure import ROOT, machine_facts, main, print_table, public_command, write_result
from planting import START, STYLES, Kind, Style, read_kinds, rendered

WITHIN_LINES = 5  # of the onset, itself the first: an alert that comes later is late
SENSITIVITIES = ("low", "normal", "high")
_LEAST_CHARS = 20  # of a message that can be recognised in the corpora
_NUMBERS = re.compile(r"[0-9a-fx]*\d[0-9a-fx]*")


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of a kind."""

    kind: Kind
    style: Style
    scores: tuple[float, ...]
    """Of every line."""
    groups: int
    """Groups of its anomalous lines at the normal threshold, traces joined."""
    known: tuple[bool, ...]
    """Of every line, whether it stands in the training corpora."""

    def first(self, threshold: float, *, unknown_only: bool = False) -> int | None:
        """Return how many lines after the onset the first anomalous line comes; -1 is early."""
        for index, score in enumerate(self.scores):
            if score >= threshold and not (unknown_only and self.known[index]):
                return index - self.kind.onset
        return None

    def seen(self, threshold: float, *, unknown_only: bool = False) -> bool:
        """Tell whether it would be alerted in time (a harmless kind: at all)."""
        first = self.first(threshold, unknown_only=unknown_only)
        return first is not None and (self.kind.harmless or first < WITHIN_LINES)


class Corpora:
    """The lines of the training corpora, numbers masked."""

    def __init__(self, folder: Path = ROOT / "corpora") -> None:
        texts = (path.read_text("utf-8", "replace") for path in folder.iterdir() if path.is_file())
        self._text = _NUMBERS.sub("0", "\n".join(texts))

    def know(self, message: str) -> bool:
        """Tell whether a message stands there, up to its numbers."""
        masked = _NUMBERS.sub("0", message.strip())
        return len(masked) >= _LEAST_CHARS and masked in self._text


def score(
    scorer: Scorer, threshold: float, kinds: Sequence[Kind], style: Style, corpora: Corpora
) -> list[Scores]:
    """Score every kind as it looks in a log of that style."""
    found = []
    for kind in kinds:
        block = Block(b"\n".join(rendered(kind, style, START + 40_000)), 1, 0)
        verdicts = Judge(scorer, threshold, keep_normal=True).judge(block)
        grouped, _ = Joiner().join(block, verdicts)
        groups = {verdict.group or verdict.template for verdict in grouped if verdict.anomalous}
        found.append(
            Scores(
                kind,
                style,
                tuple(verdict.score for verdict in verdicts),
                len(groups),
                tuple(corpora.know(message) for _, _, message in kind.lines),
            )
        )
    return found


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--style", choices=STYLES, default="syslog", help="of the printed table")
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    options = parser.parse_args()
    scorer = Scorer(Bundle.load(options.bundle))
    thresholds = scorer.bundle.manifest.thresholds
    failures, harmless = read_kinds()
    corpora = Corpora()
    by_style = {
        style: score(scorer, thresholds["normal"], [*failures, *harmless], style, corpora)
        for style in STYLES
    }
    rows = [_row(one, thresholds) for one in by_style[options.style]]
    header = ("kind", "onset", "normal", "low", "high", "groups", "known", "scores")
    print_table(header, [_cells(row) for row in rows])
    shares = {
        style: {name: _shares(scores, thresholds[name]) for name in SENSITIVITIES}
        for style, scores in by_style.items()
    }
    lines = [known for one in by_style["syslog"] if not one.kind.harmless for known in one.known]
    print(f"{sum(lines)} of {len(lines)} lines of failures stand in the corpora, up to numbers")
    columns = ("style", *(f"{name}: seen, new lines only, harmless" for name in SENSITIVITIES))
    print_table(
        columns,
        [
            [style, *(" ".join(map(str, cell.values())) for cell in by_name.values())]
            for style, by_name in shares.items()
        ],
    )
    facts: dict[str, Any] = {"command": public_command(), "machine": machine_facts()}
    facts |= {"failures": len(failures), "harmless": len(harmless), "within": WITHIN_LINES}
    facts |= {"lines": len(lines), "known_lines": sum(lines)}
    write_result("failures", facts | {"shares": shares, "rows": rows}, options.results)


def _shares(scores: Sequence[Scores], threshold: float) -> dict[str, int]:
    failures = [one for one in scores if not one.kind.harmless]
    return {
        "seen": sum(one.seen(threshold) for one in failures),
        "seen_by_new_lines": sum(one.seen(threshold, unknown_only=True) for one in failures),
        "harmless_seen": sum(one.seen(threshold) for one in scores if one.kind.harmless),
    }


def _row(one: Scores, thresholds: dict[str, float]) -> dict[str, Any]:
    first = {name: one.first(thresholds[name]) for name in SENSITIVITIES}
    seen = {name: one.seen(thresholds[name]) for name in SENSITIVITIES}
    row = {"kind": one.kind.name, "harmless": one.kind.harmless, "onset": one.kind.onset}
    row |= {"first_after_onset": first, "seen": seen, "groups": one.groups}
    return row | {
        "scores": [round(value, 3) for value in one.scores],
        "known": [int(known) for known in one.known],
    }


def _cells(row: dict[str, Any]) -> list[str]:
    first = [row["first_after_onset"][name] for name in ("normal", "low", "high")]
    firsts = ["-" if at is None else f"{at:+d}" for at in first]
    known = f"{sum(row['known'])}/{len(row['known'])}"
    mark = "harmless: " if row["harmless"] else ""
    scores = " ".join(f"{value:.2f}".removeprefix("0") for value in row["scores"])
    return [mark + row["kind"], str(row["onset"]), *firsts, str(row["groups"]), known, scores]


if __name__ == "__main__":
    main(run)
