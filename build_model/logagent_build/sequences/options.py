"""What options of `sequences` and `sessions` mean together: a rule, and what labels are of.

Guarantees: what contradicts is refused, with the options' names, before any log is read.
"""

from __future__ import annotations

from pathlib import Path

from logagent.sequences.rules import Rule, session_key, window_length

from logagent_build.sequences.line_labels import Incidents, LineLabels, WindowLabels
from logagent_build.sequences.lines import read_labels

__all__ = ["labels_for", "rule_for"]


def rule_for(
    session_key_: str | None,
    window: str | None = None,
    window_seconds: str | None = None,
    *,
    timeout_seconds: float,
    across: bool,
    max_events: int,
) -> Rule:
    """Return the rule that the options name.

    Raises:
        ValueError: they make none.
    """
    given = [each is not None for each in (session_key_, window, window_seconds)]
    if sum(given) != 1:
        raise ValueError("give one of --session-key, --window, --window-seconds")
    if session_key_ is not None:
        try:
            key = session_key(session_key_)
        except ValueError as error:
            raise ValueError(f"--session-key: {error}") from None
        return Rule(
            key=key,
            timeout_seconds=timeout_seconds,
            across=across,
            max_events=max_events,
        )
    if timeout_seconds or across:
        raise ValueError("windows have no --session-timeout and no --session-across")
    if window is not None:
        lines, steps = _length(window, "--window", whole=True)
        return Rule(window_lines=int(lines), steps=steps, max_events=max_events)
    seconds, steps = _length(window_seconds or "", "--window-seconds", whole=False)
    return Rule(window_seconds=seconds, steps=steps, max_events=max_events)


def _length(text: str, option: str, *, whole: bool) -> tuple[float, int]:
    try:
        return window_length(text, whole=whole)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def labels_for(
    rule: Rule,
    labels: Path | None,
    incidents: Path | None,
    votes: Path | None,
    rare: float | None = None,
) -> dict[bytes, bool] | WindowLabels:
    """Read the labels that were given.

    Raises:
        OSError: a file cannot be read.
        ValueError: it has no labels, or they are not for such sequences.
    """
    if rule.key is not None:
        if incidents is not None:
            raise ValueError("--incidents are for windows; sessions need --labels")
        if votes is not None and rare is not None:
            raise ValueError("give --votes or --rare")
        if labels is None and votes is None and rare is None:
            raise ValueError(
                "sessions need --labels (a session, a tab, 0 or 1, one to a line), --votes, or "
                "--rare 0.01: what fewer sessions than that are like is anomalous then"
            )
        return read_labels(labels) if labels is not None else {}
    if votes is not None or rare is not None:
        raise ValueError("--votes and --rare are for sessions; windows need --labels, --incidents")
    if (labels is None) == (incidents is None):
        raise ValueError("windows need one of --labels (of lines) and --incidents (times)")
    if labels is not None:
        return LineLabels(labels)
    return Incidents(incidents or Path(), rule)
