"""`logagent status`: what the running agent says of itself, for people or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logagent.config import load
from logagent.errors import EXIT_OK, StateError
from logagent.report import size_text
from logagent.sanitise import printable
from logagent.service.status import ask

__all__ = ["status_command"]

_GROUPS = 10  # shown of those that have more to tell than was told; --json has a thousand
_SOURCES = 20  # shown; those that lag most come first, --json has a thousand


def status_command(config: Path | None, state_dir: Path | None, *, as_json: bool) -> int:
    """Print the status of the agent that uses this state folder.

    Raises:
        ConfigError: the configuration, which names the state folder, cannot be used.
        StateError: no agent runs there, or it is of another version.
    """
    overrides = {"state.dir": None if state_dir is None else str(state_dir)}
    answer = ask(load(config, overrides).state.folder())
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return EXIT_OK
    try:
        lines = [printable(line, 300) for line in _lines(answer)]
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        raise StateError(
            "the agent answers as another version would; --json shows what it said"
        ) from None
    sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_OK


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    get = answer.get
    model, cache, memory = get("model", {}), get("cache", {}), get("memory", {})
    yield (
        f"logagent {get('version')}, process {get('pid')}, up {_age(get('uptime_seconds', 0))}, "
        f"{size_text(memory.get('rss_anon_bytes', 0))} private memory"
    )
    yield (
        f"model     {model.get('name')} {str(model.get('sha256', ''))[:12]}, backend "
        f"{model.get('backend')}, threshold {model.get('threshold', 0):.3f}"
    )
    yield (
        f"read      {get('lines', 0):,} lines, {size_text(get('bytes', 0))}; "
        f"{get('anomalous_lines', 0):,} anomalous, {get('alerts', 0):,} alerts; "
        f"{cache.get('fast_key_hits', 0):.1%} of lines known by key"
    )
    lag = size_text(get("lag_bytes", 0))
    yield f"behind    {lag}" + ("; BLOCKED, see problems" if get("blocked") else "")
    groups, known = get("groups", {}), get("known_groups", [])
    if groups:
        hidden = f"; {get('hidden_lines', 0):,} lines ignored" if get("overrides") else ""
        yield (
            f"groups    {groups.get('known', 0):,} known, {groups.get('pending', 0):,} about to be "
            f"told, {groups.get('held', 0):,} held back for the digest{hidden}"
        )
    if sequences := get("sequences", None):
        yield f"sequences {_sequences(sequences)}"
    elif get("sequences_enabled"):
        yield "sequences NOT JUDGED, see problems"
    kinds = [each for each in get("known_sequences", []) if each.get("state") == "held"]
    for kind in kinds[:_GROUPS]:
        yield (
            f"  {kind['id']}  held, ×{kind['count']:,}, {kind['since_told']:,} since told  "
            f"{kind['about']}"
        )
    waiting = [each for each in known if each.get("state") == "held" or each.get("since_told")]
    for group in waiting[:_GROUPS]:
        yield (
            f"  {group['id']}  {group['state']}, ×{group['count']:,}, {group['since_told']:,} "
            f"since told, last {group['last'][5:16]}  {group['text']}"
        )
    for sink in get("sinks", []):
        spooled = f", {sink['spooled']:,} waiting" if sink.get("spooled") else ""
        dropped = f", {sink['dropped']:,} DROPPED" if sink.get("dropped") else ""
        error = f" ({sink['last_error']})" if sink.get("state") != "up" else ""
        yield (
            f"sink      {sink['name']}: {sink.get('state')}{error}, "
            f"{sink.get('delivered', 0):,} delivered{spooled}{dropped}"
        )
    sources = get("sources", [])
    for row in sources[:_SOURCES]:
        yield f"source    {_source(row)}"
    more = get("source_count", 0) - _SOURCES
    if more > 0:
        yield f"          … and {more:,} more (--json)"
    for kind, count in sorted(get("problems", {}).items()):
        yield f"problem   {kind}: {count:,}"
    for problem in get("recent_problems", [])[-5:]:
        yield f"          {problem['time']} {problem['kind']}: {problem['message']}"


def _sequences(counts: dict[str, Any]) -> str:
    get = counts.get
    held, lines = get("kinds_held_back", 0), get("lines", 0)
    text = f"{get('open', 0):,} open, {get('judged', 0):,} judged, "
    text += f"{get('anomalous', 0):,} anomalous"
    if taught := get("taught", 0):
        text += f", {taught:,} taught"
    if early := get("evicted", 0):
        text += f", {early:,} ended early for want of room"
    if cut := get("cut", 0):
        text += f", {cut:,} perhaps begun before what was read"
    told = get("told", 0)
    text += f"; {told:,} alert{'' if told == 1 else 's'}"
    text += f", {held:,} kind{'' if held == 1 else 's'} held back"
    for key, said in (("no_key", "in no session"), ("unknown_lines", "unlike the training")):
        if 2 * get(key, 0) > lines:
            text += f"; {get(key, 0) / lines:.0%} of lines {said}"
    return text


def _source(row: dict[str, Any]) -> str:
    name = row["source"]
    text = f"{name}: {row.get('lines', 0):,} lines, {size_text(row.get('bytes', 0))}"
    if row.get("lag_bytes"):
        text += f", behind by {size_text(row['lag_bytes'])} for {row.get('lag_seconds', 0):g} s"
    if row.get("state"):
        text += f", {row['state']}"
    if row.get("reason"):
        text += f": {row['reason']}"
    if row.get("file"):
        text += f" ({row['file']})"
    return text


def _age(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
