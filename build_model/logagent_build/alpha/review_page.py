"""A self-contained page to look at clusters, representatives, labels, votes and doubts.

Labels can be changed, of a cluster or of single templates; the page exports the changes as a file
of corrections (`review`), which a later run reads; those that this run had read are in it again,
also those for templates that this log does not have.
Guarantees: log text is printable and escaped and stands in elements only, never in script or
attributes; the page loads nothing and sends nothing, which its content security policy forbids
besides; its one script is constant, named there by hash. Bounded: at most
`MOST_SHOWN` templates of a cluster are shown, all are corrected.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

from logagent.sanitise import printable

from logagent_build.alpha.corrections import FORMAT
from logagent_build.alpha.review import UNSURE, Entry, Reviewable
from logagent_build.alpha.voting import TAU

__all__ = ["page"]

MOST_SHOWN = 40
_LONGEST = 300  # [characters] of a line on the page

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem auto; max-width: 80rem }
header { position: sticky; top: 0; background: #fff; border-bottom: 1px solid #ccc }
section { border-left: 4px solid #4a8; margin: 1rem 0; padding: .2rem 1rem; background: #fafafa }
section.anomalous { border-color: #b33 } section.doubtful { background: #fff6e0 }
table { border-collapse: collapse; width: 100% }
td { border-bottom: 1px solid #e3e3e3; padding: .15rem .5rem }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
code { font-size: 85%; overflow-wrap: anywhere } .meta { color: #555 }
.changed { outline: 2px solid #36c }
svg { max-width: 32%; height: auto } .plots { text-align: center }
"""
_SCRIPT = """
"use strict";
const edits = new Map();
const earlier = new Map();
for (const one of document.querySelectorAll("section"))
  for (const pair of one.dataset.members.split(" ")) {
    const [key, was, reviewed] = pair.split(":");
    if (reviewed) earlier.set(key, Number(was));
  }
for (const pair of document.getElementById("export").dataset.elsewhere.split(" ").filter(Boolean)) {
  const [key, label] = pair.split(":");
  earlier.set(key, Number(label));
}
function set(key, value, was) {
  if (value === was) edits.delete(key); else edits.set(key, Number(value));
  document.getElementById("changes").textContent = edits.size + " changes";
}
function mark(box) { box.classList.toggle("changed", box.value !== box.dataset.was); }
for (const box of document.querySelectorAll("select[data-key]"))
  box.addEventListener("change", () => {
    set(box.dataset.key, box.value, box.dataset.was);
    mark(box);
  });
for (const box of document.querySelectorAll("select[data-cluster]"))
  box.addEventListener("change", () => {
    const section = box.closest("section");
    if (box.value === "") return;
    const known = new Map();
    for (const one of section.querySelectorAll("select[data-key]")) {
      one.value = box.value; mark(one); known.set(one.dataset.key, one.dataset.was);
    }
    for (const pair of section.dataset.members.split(" ")) {
      const [key, was] = pair.split(":");
      set(key, box.value, known.has(key) ? known.get(key) : was);
    }
  });
document.getElementById("export").addEventListener("click", () => {
  const all = [...new Map([...earlier, ...edits])].sort();
  const labels = all.map(([template, label]) => ({ template, label }));
  const text = JSON.stringify({ format: FORMAT, labels }, null, 1) + "\\n";
  const link = document.createElement("a");
  link.href = "data:application/json;charset=utf-8," + encodeURIComponent(text);
  link.download = "review.json";
  link.click();
});
document.getElementById("only").addEventListener("change", (event) => {
  for (const one of document.querySelectorAll("section"))
    one.hidden = event.target.checked && !one.classList.contains("doubtful");
});
""".replace("FORMAT", repr(FORMAT).replace("'", '"'))


def page(seen: Reviewable) -> str:
    """Return the page: doubtful clusters first, then those with most lines in doubt."""
    clusters: dict[int, list[Entry]] = {}
    for entry in seen.entries:
        clusters.setdefault(entry.cluster, []).append(entry)
    order = sorted(clusters, key=lambda c: (not _in_doubt(clusters[c]), -_expected(clusters[c]), c))
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    lines = sum(entry.lines for entry in seen.entries)
    elsewhere = " ".join(f"{key}:{int(label)}" for key, label in seen.elsewhere)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Review of labels</title>",
        f'<meta http-equiv=Content-Security-Policy content="{policy}">',
        f"<style>{_STYLE}</style><h1>Review of labels</h1>",
        f"<p class=meta>{lines:,} lines, {len(seen.entries):,} templates, {len(clusters):,} "
        f"clusters, {seen.calls:,} lines asked of {html.escape(printable(seen.annotator))}; about "
        f"{_expected(seen.entries):,.0f} lines expected to be wrong.</p>",
        f"<div class=plots>{''.join(seen.plots)}</div>",
        f'<header><button id=export data-elsewhere="{elsewhere}">Export corrections</button> '
        "<b id=changes>0 changes</b> "
        "<label><input type=checkbox id=only> doubtful clusters only</label></header>",
    ]
    parts += [_section(number, clusters[number]) for number in order]
    parts.append(f"<script>{_SCRIPT}</script>")
    return "\n".join(parts) + "\n"


def _expected(entries: Sequence[Entry]) -> float:
    return sum(entry.wrong * entry.lines for entry in entries)


def _in_doubt(entries: Sequence[Entry]) -> bool:
    votes = "".join(entry.votes for entry in entries)
    yes, no = votes.count("1"), votes.count("0")
    disagree = max(yes, no) < TAU * (yes + no) or not yes + no
    return disagree or any(entry.wrong >= UNSURE for entry in entries)


def _section(number: int, entries: Sequence[Entry]) -> str:
    lines = sum(entry.lines for entry in entries)
    anomalous = sum(entry.lines for entry in entries if entry.anomalous)
    votes = "".join(entry.votes for entry in entries)
    order = sorted(
        entries, key=lambda each: (not each.votes, -each.wrong * each.lines, -each.lines, each.key)
    )
    kind = ("normal", "anomalous")[2 * anomalous > lines]
    doubt = _in_doubt(entries)
    members = " ".join(
        f"{entry.key}:{int(entry.anomalous)}{':reviewed' * entry.reviewed}" for entry in entries
    )
    rows = "".join(map(_row, order[:MOST_SHOWN]))
    more = len(order) - MOST_SHOWN
    rest = f"<p class=meta>and {more:,} more templates</p>" if more > 0 else ""
    return (
        f'<section class="{kind}{" doubtful" * doubt}" data-members="{members}">'
        f"<h2>Cluster {number}: {kind}{', in doubt' * doubt}</h2>"
        f"<p class=meta>{lines:,} lines, {anomalous:,} of them anomalous; {len(entries):,} "
        f"templates; {votes.count('1')} of {len(votes)} votes say anomalous. All of it: "
        "<select data-cluster><option value=''>as below<option value=0>normal"
        "<option value=1>anomalous</select></p><table><tr><th>label<th>lines<th>votes"
        f"<th>doubt<th>first line{rows}</table>{rest}</section>"
    )


def _row(entry: Entry) -> str:
    label = int(entry.anomalous)
    chosen = ("", " selected") if label else (" selected", "")
    text = html.escape(entry.text[:_LONGEST])
    why = f"<br><span class=meta>{html.escape(entry.reason)}</span>" if entry.reason else ""
    return (
        f"<tr><td><select data-key={entry.key} data-was={label}>"
        f"<option value=0{chosen[0]}>normal<option value=1{chosen[1]}>anomalous</select>"
        f"<td class=n>{entry.lines:,}<td class=n>{entry.votes}{' reviewed' * entry.reviewed}"
        f"<td class=n>{entry.wrong:.2f}<td><code>{text}</code>{why}"
    )
