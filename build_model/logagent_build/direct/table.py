"""A comparison as a Markdown table, and as rows of JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from logagent.sanitise import printable

from logagent_build.annotate import budget as money
from logagent_build.direct.comparison import Row

__all__ = ["as_rows", "markdown"]

_HEAD = (
    "| data set | detector | lines | precision | recall | F1 | ambiguous | unanswered "
    "| requests | tokens asked | tokens answered | cost |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
)


def markdown(rows: Sequence[Row], model: str, price: money.Price | None) -> str:
    """Return the table with its notes.

    Args:
        rows: in order.
        model: that was asked; begins with ``simulated`` if none was.
        price: of the model, if known.
    """
    if model.startswith("simulated"):
        said = f"**Simulation: no model was asked**, replies are wrong at stated rates ({model}).\n"
    else:
        said = f"Model: {_cell(model)}.\n"
    notes = []
    truths: dict[str, list[str]] = {}
    for row in rows:
        if row.truth and row.data not in truths.setdefault(row.truth, []):
            truths[row.truth].append(row.data)
    notes += [f"Truth of {', '.join(map(_cell, n))}: {truth}." for truth, n in truths.items()]
    if any(row.trained for row in rows):
        notes.append("\\* trained on lines of this data set: no fair comparison.")
    return said + "\n" + _HEAD + "".join(_row(row, price) for row in rows) + _listed(notes)


def _listed(notes: Sequence[str]) -> str:
    return "\n" + "".join(f"{note}\n" for note in notes)


def _row(row: Row, price: money.Price | None) -> str:
    asked: tuple[str, ...]
    if row.cost is None:
        asked = ("", "", "0", "0", "0", "none")
    else:
        dollars = row.dollars(price)
        asked = (
            f"{row.ambiguous:,}",
            f"{row.unanswered:,}",
            f"{row.cost.requests:,}",
            f"{row.cost.input_tokens:,}",
            f"{row.cost.output_tokens:,}",
            "price not known" if dollars is None else money.shown(dollars),
        )
    cells = (
        _cell(row.data),
        _cell(row.detector) + (" \\*" if row.trained else ""),
        f"{row.lines:,}",
        *(
            "–" if value is None else f"{value:.3f}"
            for value in (row.precision, row.recall, row.f1)
        ),
        *asked,
    )
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def as_rows(rows: Sequence[Row], price: money.Price | None) -> list[dict[str, Any]]:
    """Return the same for a file of JSON."""
    return [
        dataclasses.asdict(row)
        | {"precision": row.precision, "recall": row.recall, "f1": row.f1}
        | {"dollars": row.dollars(price)}
        for row in rows
    ]
