"""One self-contained HTML page of what a bundle does on targets: figures, plots, flagged lines.

Guarantees: no script, nothing loaded from elsewhere; log text is made printable and escaped.
Plots are SVG by matplotlib.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from logagent.bundle import Bundle
from logagent.sanitise import printable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logagent_build.examine import Examination, figures

__all__ = ["page"]

_BINS = 10  # of the reliability plot
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: left }
th { border-bottom: 2px solid #999 } td { border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: 85%; overflow-wrap: anywhere } svg { max-width: 100%; height: auto }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem }
"""


def page(bundle: Bundle, seen: Sequence[Examination]) -> str:
    """Return the page.

    Args:
        bundle: the one examined.
        seen: what it gave on each target.
    """
    record = bundle.manifest.record
    held_out = record.get("held_out", {})
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>logagent: {_text(bundle.manifest.name)}</title><style>{_STYLE}</style>",
        f"<h1>Bundle {_text(bundle.manifest.name)}</h1>",
        f"<p>Commit <code>{_text(record.get('commit', 'unknown'))}</code>, "
        f"SHA-256 <code>{_text(bundle.sha256)}</code></p>",
        "<h2>Targets</h2>",
        _table([(each.target.name, figures(each)) for each in seen]),
    ]
    labelled = [each for each in seen if _has_both(each)]
    if labelled:
        parts += [
            "<div class=plots>",
            _plot("ROC", labelled, _roc),
            _plot("Precision and recall", labelled, _precision_recall),
            _plot("Reliability", labelled, _reliability),
            "</div>",
        ]
    if "auroc" in held_out:
        parts += [
            "<h2>Systems left out of training</h2>",
            f"<p>{_text(held_out.get('rule', ''))}: mean AUROC "
            f"{_text(held_out.get('auroc_mean'))}. One bar per system.</p>",
            _bars(held_out["auroc"]),
        ]
    for each in seen:
        flagged = figures(each).get("flagged_at_normal")
        if flagged:
            parts += [f"<h2>Flagged at normal sensitivity: {_text(each.target.name)}</h2>"]
            parts += [_flagged(flagged)]
    return "\n".join(parts)


def _text(value: object) -> str:
    return html.escape(printable(str(value), 500))


def _has_both(seen: Examination) -> bool:
    labels = seen.target.labels
    return labels is not None and 0 < int(labels.sum()) < len(labels)


def _number(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    columns = ("lines", "anomalous", "auroc", "average_precision", "brier")
    names = sorted({name for _, row in rows for name, cell in row.items() if _is_point(cell)})
    points = ("precision", "recall", "f1", "flagged_share", "groups_per_10000_lines")
    head = "".join(f"<th>{name.replace('_', ' ')}" for name in ("target", *columns))
    head += "".join(f"<th>{_text(at)}: {name.replace('_', ' ')}" for at in names for name in points)
    body = []
    for target, row in rows:
        cells = [_number(row.get(name)) for name in columns]
        cells += [_number(row.get(at, {}).get(name)) for at in names for name in points]
        numbers = "".join(f"<td class=n>{cell}" for cell in cells)
        body.append(f"<tr><td>{_text(target)}{numbers}")
    return f"<div style='overflow-x:auto'><table><tr>{head}{''.join(body)}</table></div>"


def _is_point(cell: object) -> bool:
    return isinstance(cell, dict) and "threshold" in cell and "flagged_share" in cell


def _flagged(rows: Sequence[dict[str, Any]]) -> str:
    body = "".join(
        f"<tr><td class=n>{row['lines']}<td class=n>{row['score']:.2f}"
        f"<td><code>{_text(row['text'])}</code>"
        for row in rows
    )
    return f"<table><tr><th>lines<th>score<th>first of them{body}</table>"


def _plot(title: str, seen: Sequence[Examination], draw: Any) -> str:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    for each in seen:
        draw(axes, each)
    axes.legend(fontsize=8)
    return _svg(figure)


def _counts(seen: Examination) -> tuple[Any, Any]:
    """Return true and false positives at every distinct score, highest first."""
    labels = seen.target.labels
    if labels is None:
        raise ValueError(f"{seen.target.name}: no labels")
    order = np.argsort(-seen.scores, kind="stable")
    ends = np.append(seen.scores[order][1:] != seen.scores[order][:-1], True)
    true = np.cumsum(labels[order].astype(np.int64))[ends]
    false = np.cumsum(1 - labels[order].astype(np.int64))[ends]
    return true, false


def _roc(axes: Axes, seen: Examination) -> None:
    true, false = _counts(seen)
    axes.plot(np.r_[0, false / false[-1]], np.r_[0, true / true[-1]], label=seen.target.name)
    axes.set(xlabel="false alarm share", ylabel="recall", xlim=(0, 1), ylim=(0, 1.01))


def _precision_recall(axes: Axes, seen: Examination) -> None:
    true, false = _counts(seen)
    axes.plot(true / true[-1], true / (true + false), label=seen.target.name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))


def _reliability(axes: Axes, seen: Examination) -> None:
    labels = seen.target.labels
    at = np.minimum((seen.scores * _BINS).astype(int), _BINS - 1)
    count = np.bincount(at, minlength=_BINS)
    there = count > 0
    mean = np.bincount(at, seen.scores, _BINS)[there] / count[there]
    share = np.bincount(at, labels, _BINS)[there] / count[there]
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    axes.plot(mean, share, marker="o", markersize=3, label=seen.target.name)
    axes.set(xlabel="score", ylabel="share of anomalies", xlim=(0, 1), ylim=(0, 1.01))


def _bars(areas: dict[str, float]) -> str:
    names = sorted(areas, key=areas.__getitem__)
    figure = Figure(figsize=(9, 0.16 * len(names) + 1), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(names, [areas[name] for name in names], color="#4878a8")
    axes.axvline(0.5, color="0.6", linewidth=1)
    axes.set(xlabel="AUROC", xlim=(0.3, 1), ylim=(-1, len(names)))
    axes.tick_params(axis="y", labelsize=6)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "logagent"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
