"""The report of a build: one self-contained page for whoever built it.

Guarantees: no script, nothing loaded from elsewhere; log text and names are made printable, bounded
and escaped; a simulation is called one at the top. It shows log lines: for its owner.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from logagent.sanitise import printable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logagent_build.alpha.corrections import template_key
from logagent_build.calibrate.entries import Entries
from logagent_build.folder.labelling import doubtful
from logagent_build.folder.strategies import Labels
from logagent_build.folder.verify_tables import checks, on_own_logs

__all__ = ["page"]

_SHOWN = 25  # templates in a table of lines
_PLOTTED = 40  # systems in a plot
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: left; vertical-align: top }
th { border-bottom: 2px solid #999 } td { border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
code { font-size: 85%; overflow-wrap: anywhere } svg { max-width: 100%; height: auto }
.warn { border: 2px solid #b50; padding: .5rem 1rem; background: #fff3e6 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(record: dict[str, Any], entries: Entries, labels: Labels) -> str:
    """Return the page.

    Args:
        record: of the build, complete.
        entries: what was labelled.
        labels: theirs.
    """
    read, label, train, verify = (record[key] for key in ("read", "label", "train", "verify"))
    held_out = train["held_out"]
    own = {name: held_out["auroc"][name] for name in train["systems"] if name in held_out["auroc"]}
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>logagent: {_text(record['bundle']['name'])}</title><style>{_STYLE}</style>",
        f"<h1>Bundle {_text(record['bundle']['name'])}</h1>",
    ]
    if record["simulation"]:
        parts.append(
            "<p class=warn><b>A simulation labelled these lines, no model.</b> The figures show "
            "that the way works, not how good a model's labels would be.</p>"
        )
    parts += [
        f"<p>{read['lines']:,} lines of {len(read['systems']):,} systems, "
        f"{label['templates'] - label['unlabelled_templates']:,} of {label['templates']:,} "
        f"templates labelled by {_text(label['annotator'])} "
        f"({_text(label['strategy'])}, {label['calls']:,} lines asked). Commit "
        f"<code>{_text(train['commit'])}</code>, SHA-256 "
        f"<code>{_text(record['bundle']['sha256'])}</code>.</p>",
        "<h2>Read</h2>",
        _table(
            ("system", "files", "lines", "new keys", "templates", "lines per template"),
            [
                (
                    row["name"],
                    row["files"],
                    row["lines"],
                    row["new_keys"],
                    row["templates"],
                    f"{row['lines'] / max(1, row['templates']):,.1f}",
                )
                for row in read["systems"]
            ],
        ),
        _problems(read["problems"]),
        "<div class=plots>",
        _plot("Lines, new keys, templates", lambda axes: _reduction(axes, read["systems"])),
        _plot("Groups the agent would report of these logs", lambda axes: _groups(axes, verify)),
        _plot("Your systems, left out of training", lambda axes: _areas(axes, own)) if own else "",
        _plot("Soft labels of your templates", lambda axes: _labels(axes, labels)),
        "</div>",
        "<h2>What the agent would report of these logs</h2>",
        _table(*on_own_logs(verify)),
        "<h2>Checks</h2>",
        _table(*checks(verify)),
        "<h2>Labels in doubt</h2><p>Where most lines may be labelled wrong. What is wrong goes "
        "into a file of corrections by its key, and that to <code>--review</code>.</p>",
        _lines(entries, labels, doubtful(entries, labels, _SHOWN)),
        "<h2>Labelled anomalous</h2>",
        _lines(entries, labels, _heaviest(entries, labels)),
    ]
    return "\n".join(parts)


def _heaviest(entries: Entries, labels: Labels) -> list[int]:
    hot = np.flatnonzero(labels.anomalous)
    order = np.argsort(-entries.count[hot], kind="stable")[:_SHOWN]
    return [int(at) for at in hot[order]]


def _text(value: object, most: int = 300) -> str:
    return html.escape(printable(str(value), most))


def _problems(found: dict[str, int]) -> str:
    if not found:
        return ""
    told = ", ".join(f"{_text(kind)} {count:,}" for kind, count in found.items())
    return f"<p>Files with problems: {told}.</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    body = []
    for row in rows:
        cells = (
            f"<td class=n>{cell:,}" if isinstance(cell, int) else f"<td>{_text(cell)}"
            for cell in row
        )
        body.append("<tr>" + "".join(cells))
    return f"<table><tr>{''.join(f'<th>{_text(each)}' for each in head)}{''.join(body)}</table>"


def _lines(entries: Entries, labels: Labels, chosen: Sequence[int]) -> str:
    body = "".join(
        f"<tr><td>{'anomalous' if labels.anomalous[at] else 'normal'}"
        f"<td class=n>{labels.wrong[at]:.2f}<td class=n>{int(entries.count[at]):,}"
        f"<td>{_text(entries.names[int(entries.domain[at])])}"
        f"<td><code>{template_key(entries.templates[at])}</code>"
        f"<td><code>{html.escape(printable(entries.variants[at][0], 300))}</code>"
        for at in chosen
    )
    head = "<tr><th>label<th>may be wrong<th>lines<th>system<th>key<th>first line"
    return f"<table>{head}{body}</table>" if body else "<p>None.</p>"


def _reduction(axes: Axes, systems: Sequence[dict[str, Any]]) -> None:
    largest = sorted(systems, key=lambda row: row["lines"])[-_PLOTTED:]
    places = np.arange(len(largest))
    for offset, key, name in ((0.25, "lines", "lines"), (0, "new_keys", "new keys"), (-0.25, "templates", "templates")):  # fmt: skip  # noqa: E501
        axes.barh(places + offset, [max(1, row[key]) for row in largest], 0.25, label=name)
    axes.set_yticks(places, [_label(row["name"]) for row in largest])
    axes.set_xscale("log")
    axes.set_xlim(left=0.8)
    axes.legend(fontsize=8, loc="lower right")


def _groups(axes: Axes, verify: dict[str, Any]) -> None:
    rows = sorted(verify["systems"].items(), key=lambda each: each[1]["normal"]["groups"])
    rows = rows[-_PLOTTED:]
    places = np.arange(len(rows))
    for offset, name in ((0.25, "low"), (0, "normal"), (-0.25, "high")):
        axes.barh(places + offset, [row[name]["groups"] for _, row in rows], 0.25, label=name)
    axes.set_yticks(places, [_label(name) for name, _ in rows])
    axes.legend(fontsize=8, loc="lower right")


def _areas(axes: Axes, own: dict[str, float]) -> None:
    names = sorted(own, key=own.__getitem__)[:_PLOTTED]
    places = np.arange(len(names))  # names that are cut may be alike
    axes.barh(places, [own[name] for name in names])
    axes.set_yticks(places, [_label(name) for name in names])
    axes.axvline(0.5, color="0.6", linewidth=1)
    axes.set(xlabel="AUROC against the labels", xlim=(0, 1))


def _labels(axes: Axes, labels: Labels) -> None:
    axes.hist(labels.soft, bins=20, range=(0, 1))
    axes.set(xlabel="soft label", ylabel="templates", yscale="log")


def _label(name: str) -> str:
    # What the font lacks would be warned of; between dollars would be read as mathematics.
    return printable(name, 24).encode("ascii", "replace").decode().replace("$", r"\$")


def _plot(title: str, draw: Any) -> str:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    draw(axes)
    axes.tick_params(axis="y", labelsize=7)
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "logagent"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return f"<div>{text[text.index('<svg') :]}</div>"
