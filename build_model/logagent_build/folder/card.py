"""The model card of a bundle made of a user's logs, as Markdown.

Guarantees: only figures of the record; a simulation is called one in the first lines; no log line
is in it, and names of systems cannot break out of their cells.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from logagent.sanitise import printable

from logagent_build.folder.verify_tables import SENSITIVITIES, checks, on_own_logs

__all__ = ["card"]

_MARKS = re.compile(r"([\\`*_{}\[\]|#!~])")


def card(record: dict[str, Any]) -> str:
    """Return the model card of a build's record."""
    label, train, verify = record["label"], record["train"], record["verify"]
    held_out = train["held_out"]
    own = [name for name in train["systems"] if name in held_out["auroc"]]
    parts = [
        f"# Model card: {_cell(record['bundle']['name'])}",
        *(
            ["**Its labels come from a simulation, not from a model: for trying the way only.**"]
            if record["simulation"]
            else []
        ),
        f"Made by `logagent-build build` from {record['read']['lines']:,} lines of "
        f"{len(record['read']['systems']):,} systems; {record['bundle']['bytes']:,} bytes, SHA-256 "
        f"`{record['bundle']['sha256']}`, commit `{_cell(train['commit'])}`.",
        "## What it is for",
        "Ranking single lines of logs like these by how much an operator would want to see them. "
        "It judges what a line says, not its order, its rate, or its absence. Not for decisions "
        "without a person.",
        "## Data",
        _table(
            ("system", "files", "lines", "with a new key", "templates", "no room for"),
            [
                (
                    row["name"],
                    row["files"],
                    row["lines"],
                    row["new_keys"],
                    row["templates"],
                    row["let_go_templates"],
                )
                for row in record["read"]["systems"]
            ],
        ),
        _base(train),
        "## Labels",
        f"{_cell(label['annotator'])} was asked about {label['calls']:,} lines (strategy "
        f"{label['strategy']}, at most {label['calls_allowed']:,}); "
        f"{label['templates'] - label['unlabelled_templates']:,} templates have labels"
        + (
            f" ({label['left_out_templates']:,} more were left out, for there is room for so many "
            f"only: {label['left_out_lines']:,} lines)"
            if label["left_out_templates"]
            else ""
        )
        + f", {label['anomalous_templates']:,} of them "
        f"anomalous, {label['anomalous_lines']:,} lines. {_silence(label)}"
        f"{label['reviewed_templates']:,} labels are a person's. "
        f"{label['expected_wrong_lines']:,.0f} lines are expected to be labelled "
        f"wrong, by the strategy's own reckoning. {_paid(label['paid'])}",
        "## How good it is",
        "Measured against these labels, not against the truth. Systems were left out of training "
        f"({_cell(held_out['rule'])}): AUROC {held_out['auroc_mean']:.3f} in the mean of "
        f"{len(held_out['auroc']):,} systems.",
        _table(
            ("your system, left out", "AUROC"),
            [(name, f"{held_out['auroc'][name]:.3f}") for name in own],
        )
        if own
        else "None of your systems has both normal and anomalous lines: for none of them there is "
        "a figure.",
        _table(
            ("sensitivity", "threshold", "normal templates flagged", "anomalous ones found"),
            [
                (
                    name,
                    f"{row['threshold']:.3f}",
                    f"{row['false_alarm_share']:.2%}",
                    f"{row['recall']:.1%}",
                )
                for name in SENSITIVITIES
                if (row := train["thresholds"]["held_out"].get(name))
            ],
        ),
        "## On your own logs",
        "What `logagent scan` would report of the logs it was made of, groups of lines that say "
        "the same:",
        _table(*on_own_logs(verify)),
        "## Checks",
        _table(*checks(verify)),
    ]
    return "\n\n".join(parts) + "\n"


def _base(train: dict[str, Any]) -> str:
    if train["base"] == "shipped":
        return (
            f"Trained on {train['templates']:,} templates of these systems beside the shipped "
            f"corpora ({train['all_systems']:,} systems, {train['all_templates']:,} templates in "
            "all), minimal pairs and lexicon. The tokenizer is learnt from the shipped texts alone."
        )
    return (
        f"Trained on {train['templates']:,} templates of these systems alone; words of theirs are "
        "in the tokenizer."
    )


def _silence(label: dict[str, Any]) -> str:
    if not label["unanswered"] and not label["unlabelled_templates"]:
        return ""
    return (
        f"{label['unanswered']:,} lines were asked about without an answer; "
        f"{label['unlabelled_templates']:,} templates have no label and were not trained on. "
    )


def _paid(paid: dict[str, Any] | None) -> str:
    if paid is None:
        return "Nothing was paid."
    dollars = "" if paid["dollars"] is None else f", ${paid['dollars']:.4f}"
    tokens = paid["input_tokens"] + paid["output_tokens"]
    return f"{paid['requests']:,} requests, {tokens:,} tokens{dollars}."


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else _cell(cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(text: object) -> str:
    return _MARKS.sub(r"\\\1", html.escape(printable(str(text), 300), quote=False))
