"""A calibration's course, drawn as MaidLog's Fig. 5 and told as its Tables III and IV.

What needs the truth is left out where it is not known. Answers of a simulation are said to be
such in every figure and table.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

from logagent_build.calibrate.evidence import KINDS
from logagent_build.calibrate.rounds import Round

__all__ = ["course_plot", "markdown"]

_PARTS = 6  # groups of rounds in the table


def course_plot(rounds: Sequence[Round], taken: int, note: str = "") -> str:
    """Draw precision, recall and F1 of the labels by round, if known, and what changed; SVG.

    Args:
        rounds: the initial one first.
        taken: round whose labels are taken.
        note: under the title, such as that it was a simulation.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415  # slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415  # likewise

    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasSVG(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    number = [row.number for row in rounds]
    told = [(row.number, row.quality) for row in rounds if row.quality is not None]
    for name in ("precision", "recall", "f1"):
        if told:
            upper.plot([at for at, _ in told], [getattr(q, name) for _, q in told], label=name)
    if told:
        upper.set_ylim(0, 1)
    else:
        upper.plot(number, [row.anomalous for row in rounds], label="entries labelled anomalous")
    lower.plot(number, [row.signal for row in rounds], label="S, see the stopping rule")
    lower.bar(number, [row.changed for row in rounds], color="0.8", label="changed labels")
    for axes in (upper, lower):
        axes.axvline(taken, color="0.5", linestyle=":", label="labels taken")
        axes.legend(fontsize="small")
    lower.set_xlabel("round")
    upper.set_title("Calibration" + (f"\n{note}" if note else ""), fontsize="small")
    held = io.StringIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue()


def markdown(rounds: Sequence[Round], taken: int, annotator: str) -> str:
    """Return the tables.

    Args:
        rounds: the initial one first.
        taken: round whose labels are taken.
        annotator: who answered.
    """
    asked = rounds[1:]
    out = [
        f"Answers of {annotator}. {len(asked)} rounds, {sum(r.asked for r in asked):,} queries; "
        f"labels of round {taken} are taken.",
        "",
        "| rounds | queries | changed | answers against the label | candidates wrong | "
        "support wrong | precision | recall | F1 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    size = max(1, -(-len(asked) // _PARTS))
    parts = [asked[at : at + size] for at in range(0, len(asked), size)]
    for part in parts:
        queries = sum(row.asked for row in part)
        against = sum(sum(row.against.values()) for row in part)
        quality = part[-1].quality
        cells = [
            f"{part[0].number} to {part[-1].number}",
            f"{queries:,}",
            f"{sum(row.changed for row in part):,}",
            _share(against, queries),
            _mean([row.candidates_wrong for row in part]),
            _mean([row.support_wrong for row in part]),
            *(
                ["–"] * 3
                if quality is None
                else [f"{x:.3f}" for x in (quality.precision, quality.recall, quality.f1)]
            ),
        ]
        out.append(f"| {' | '.join(cells)} |")
    out += [
        "",
        "| kind of evidence | queries | answers against the label | of these right | wrong |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        queries = sum(row.kinds.get(kind, 0) for row in asked)
        against = sum(row.against.get(kind, 0) for row in asked)
        known = [row for row in asked if row.repaired is not None and row.broken is not None]
        right = sum((row.repaired or {}).get(kind, 0) for row in known)
        wrong = sum((row.broken or {}).get(kind, 0) for row in known)
        last = f"{right:,} | {wrong:,}" if known else "– | –"
        out.append(f"| {kind} | {queries:,} | {_share(against, queries)} | {last} |")
    flips = sum(row.changed for row in asked)
    turns = sum((a.anomalous > b.anomalous) for a, b in pairwise(rounds))
    out += ["", f"Labels changed {flips:,} times; in {turns} rounds anomalous ones became fewer."]
    return "\n".join(out) + "\n"


def _share(some: int, whole: int) -> str:
    return f"{some / whole:.1%}" if whole else "–"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.1%}" if known else "–"
