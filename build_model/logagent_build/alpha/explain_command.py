"""`logagent-build explain`: alerts.jsonl → report as Markdown, JSON or HTML.

Guarantees: what was replied is in the report, even if it is little or nothing; the report says who
replied to which prompt, and what was paid. Whatever an annotator raises comes through: with a store
of replies behind it, the same command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent_build.alpha import explain_report
from logagent_build.alpha.alerts import read_alerts
from logagent_build.alpha.explain import MOST_GROUPS, PROMPT, Ask, Prompt, explain, prompt
from logagent_build.annotate import prompt_files

__all__ = ["FORMATS", "Report", "explain_alerts", "replies_of"]

FORMATS = ("markdown", "json", "html")


@dataclass(frozen=True, slots=True)
class Report:
    """A report, and how much of it was answered."""

    text: str
    asked: int
    """Groups asked about; 0 if the text is prompts."""
    answered: int
    """Groups with a reply."""


def explain_alerts(
    alerts: Path,
    ask: Ask | None,
    name: str,
    form: str,
    *,
    file: str = PROMPT,
    most: int = MOST_GROUPS,
    bill: Callable[[], Mapping[str, Any]] = dict,
    say: Callable[[str], None] = lambda _text: None,
) -> Report:
    """Return a root-cause report of an alert file.

    Args:
        alerts: JSON Lines of an agent.
        ask: whom; None returns the prompts as JSON Lines instead: to ask by hand.
        name: who answers, for the report.
        form: one of `FORMATS`.
        file: name or path of the prompt.
        most: groups explained, gravest first.
        bill: tells what was asked and paid, for the report.
        say: told of what was left out.

    Raises:
        LogagentError: the prompt cannot be used, or asking ends.
        OSError, ValueError: the file cannot be read, or holds no alerts; or `form` is unknown.
    """
    if form not in FORMATS:
        raise ValueError(f"format {form!r} is none of {', '.join(FORMATS)}")
    asked = prompt_files.load(file, "explain")
    groups = read_alerts(alerts, problem=say)
    if len(groups) > most:
        say(f"{len(groups):,} groups; the {most:,} gravest are explained")
    if ask is None:
        made = (prompt(group, asked) for group in groups[:most])
        text = "".join(
            json.dumps(
                {
                    "group": each.group,
                    "prompt": f"{asked.name} {asked.version}",
                    "system": each.system,
                    "user": each.user,
                }
            )
            + "\n"
            for each in made
        )
        return Report(text, 0, 0)
    reports = explain(groups, ask, most=most, file=asked)
    name = f"{name}, prompt {asked.name} {asked.version}"
    if form == "json":
        versioned = {"name": asked.name, "version": asked.version, "sha256": asked.digest}
        text = explain_report.as_json(reports, name, {"prompt": versioned} | dict(bill()))
    else:
        write = explain_report.as_markdown if form == "markdown" else explain_report.as_html
        text = write(reports, name)
    return Report(text, len(reports), sum(bool(each.reply) for each in reports))


def replies_of(path: Path) -> Ask:
    """Return an `Ask` that has the replies of a file: JSON Lines with ``group`` and ``reply``.

    The other half of asking by hand: prompts out, replies in. Groups without one get none.

    Raises:
        OSError: the file cannot be read.
        ValueError: a row is malformed; names file and line.
    """
    found: dict[str, str] = {}
    for number, row in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
        if not row.strip():
            continue
        try:
            record = json.loads(row)
            found[str(record["group"])] = str(record["reply"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ValueError(f"{path}:{number}: no JSON with a group and a reply") from None

    def ask(prompts: Sequence[Prompt]) -> list[str | None]:
        return [found.get(each.group) for each in prompts]

    return ask
