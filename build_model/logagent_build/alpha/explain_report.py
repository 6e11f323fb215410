"""Root-cause reports on paper: Markdown, JSON, and one self-contained page of HTML.

Guarantees: no script, nothing loaded from elsewhere. Log text and replies are printable already
(`explain`); here they are escaped for the place they go to: HTML by entities, Markdown inside code
spans that they cannot leave, or with its marks escaped.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from logagent.sanitise import printable

from logagent_build.alpha.explain import Explained

__all__ = ["as_html", "as_json", "as_markdown"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
article { border-left: 4px solid #b33; padding: .1rem 1rem; margin: 1.5rem 0; background: #fafafa }
code { font-size: 85%; overflow-wrap: anywhere } .meta, .note { color: #555 }
pre { font-size: 80%; white-space: pre-wrap; overflow-wrap: anywhere; color: #444 }
pre b { color: #b33 }
"""
_NO_REPLY = "no explanation could be had"


def as_json(
    reports: Sequence[Explained], annotator: str, about: Mapping[str, Any] | None = None
) -> str:
    """Return the reports as one JSON document, with who wrote them, and what is to be said of it.

    Args:
        reports: of the groups.
        annotator: who wrote them.
        about: further fields: the prompt, what was paid.
    """
    rows: list[dict[str, Any]] = []
    for each in reports:
        group = each.group
        rows.append(
            {
                "group": group.key,
                "text": group.text,
                "category": group.category or None,
                "score": group.score,
                "lines": group.lines,
                "alerts": group.alerts,
                "hosts": sorted(group.hosts),
                "sources": sorted(group.sources),
                "first": group.first or None,
                "last": group.last or None,
                "why": group.why,
                "like": group.like or None,
                "context": {"before": group.before, "after": group.after},
                "related": group.related,
                "causes": list(each.causes),
                "recommendations": list(each.recommendations),
                "reply": each.reply or None,
                "shortened": each.shortened,
            }
        )
    head = {"annotator": printable(annotator)} | dict(about or {})
    return json.dumps(head | {"reports": rows}, indent=1) + "\n"


def as_markdown(reports: Sequence[Explained], annotator: str) -> str:
    """Return the reports as Markdown."""
    parts = [
        "# Root causes\n",
        f"{len(reports)} groups of alerts; explained by {_plain(printable(annotator))}.\n",
    ]
    for number, each in enumerate(reports, 1):
        parts += [f"## {number}. {_code(each.group.text)}\n", _plain(_meta(each)) + "\n"]
        if not each.reply:
            parts.append(f"*{_NO_REPLY}*\n")
        for title, items in (("Causes", each.causes), ("Recommendations", each.recommendations)):
            if items:
                parts.append(f"**{title}**\n")
                parts.append("".join(f"- {_plain(item)}\n" for item in items))
        context = [*each.group.before, f"> {each.group.text}", *each.group.after]
        if len(context) > 1:
            parts.append("".join(f"    {line}\n" for line in context))
    return "\n".join(parts)


def as_html(reports: Sequence[Explained], annotator: str) -> str:
    """Return the reports as one self-contained page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Root causes</title>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",  # noqa: E501
        f"<style>{_STYLE}</style><h1>Root causes</h1>",
        f"<p class=meta>{len(reports)} groups of alerts; explained by "
        f"{_text(printable(annotator))}.</p>",
    ]
    for each in reports:
        group = each.group
        parts.append(f"<article><h2><code>{_text(group.text)}</code></h2>")
        parts.append(f"<p class=meta>{_text(_meta(each))}</p>")
        if not each.reply:
            parts.append(f"<p class=note>{_NO_REPLY}</p>")
        for title, items in (("Causes", each.causes), ("Recommendations", each.recommendations)):
            if items:
                listed = "".join(f"<li>{_text(item)}" for item in items)
                parts.append(f"<h3>{title}</h3><ul>{listed}</ul>")
        if group.before or group.after:
            lines = [*map(_text, group.before), f"<b>{_text(group.text)}</b>"]
            context = "\n".join([*lines, *map(_text, group.after)])
            parts.append(f"<details><summary>context</summary><pre>{context}</pre></details>")
        parts.append("</article>")
    return "\n".join(parts) + "\n"


def _meta(each: Explained) -> str:
    group = each.group
    hosts = sorted(group.hosts)
    named = ", ".join(hosts[:3]) + (f" and {len(hosts) - 3} more" if len(hosts) > 3 else "")
    facts = [
        group.category,
        f"score {group.score:.2f}",
        f"{group.lines:,} lines in {group.alerts:,} alerts",
        named,
        f"{group.first} to {group.last}" if group.first != group.last else group.first,
        f"because of: {', '.join(group.why)}" if group.why else "",
        "the reply was shortened" if each.shortened else "",
    ]
    return "; ".join(fact for fact in facts if fact)


def _text(value: str) -> str:
    return html.escape(value)


def _plain(value: str) -> str:
    """Escape what Markdown would read as marks, links or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", value)


def _code(value: str) -> str:
    """Return a code span that the text cannot leave: fenced by more backticks than it has."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {value} {fence}"
