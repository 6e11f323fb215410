"""The records of ``--format jsonl``: one JSON object per line, documented in docs/cli.md.

Guarantees: every text in a record went through `sanitise.printable`, so no control character,
terminal escape or broken UTF-8 leaves the agent, whatever a log holds; a record is one line of
JSON in ASCII, of bounded size. Keys with nothing to say are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from logagent.explain import Word
from logagent.groups import Group, Sighting, record_id
from logagent.judge import Verdict
from logagent.kinds import Kind
from logagent.sanitise import printable
from logagent.scan import Step
from logagent.times import Stamp, TimeParser

__all__ = ["dumps", "group_record", "line_record", "line_records", "stamp_text"]

TEXT_CHARS = 500  # characters of a line or template in a record
SCORE_DIGITS = 4  # decimals of a score: backends agree to 1e-5

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def dumps(record: dict[str, Any]) -> str:
    """Return a record as one line of JSON."""
    return _encode(record)


def stamp_text(stamp: Stamp) -> str:
    """Return a time stamp as ISO 8601 UTC, or seconds since boot as ``+12.482s``."""
    if stamp.kind != "epoch":
        return f"+{stamp.seconds:.3f}s"
    return datetime.fromtimestamp(stamp.seconds, UTC).isoformat(timespec="seconds")


def group_record(
    group: Group, times: TimeParser, words: list[Word], kind: Kind, rank: float | None
) -> dict[str, Any]:
    """Return the record of a group.

    Args:
        group: the group, its last line settled.
        times: recognises time stamps.
        words: what carried the decision.
        kind: category and systems the line resembles.
        rank: score × novelty; None where groups are not ranked.
    """
    record: dict[str, Any] = {"id": group.id, **_place(group.first, times)}
    record |= {
        "score": round(group.score, SCORE_DIGITS),
        "verdict": "anomaly",
        "rank": None if rank is None else round(rank, SCORE_DIGITS),
        "count": group.count,
        "last_line": group.last.line,
    }
    if rank is None:
        del record["rank"]
    if not group.last.line:
        del record["last_line"]
    if group.last.source != group.first.source:
        record["last_source"] = printable(group.last.source, TEXT_CHARS)
    if (last := times.parse(group.last.text)) is not None:
        record["last_time"] = stamp_text(last)
    record["template"] = printable(group.template, TEXT_CHARS)
    record["text"] = printable(group.first.text, TEXT_CHARS)
    if group.trace.lines:
        record["trace_lines"] = group.trace.lines
    if group.trace.cause:
        record["cause"] = printable(group.trace.cause.strip(), TEXT_CHARS)
    if words:
        record["why"] = [[printable(word.text, 60), round(word.drop, 2)] for word in words]
    if kind.category:
        record["category"] = kind.category
    if kind.systems:
        record["like"] = list(kind.systems)
    return record


def line_records(step: Step, times: TimeParser) -> Iterator[dict[str, Any]]:
    """Yield the record of every line of a judged block (``--all``)."""
    offset = step.block.offset
    lines = step.block.data.split(b"\n")
    for number, (text, verdict) in enumerate(
        zip(lines, step.verdicts, strict=True), step.block.first_line
    ):
        sighting = Sighting(step.source.name, number, offset, text)
        id_ = record_id(step.fingerprint, offset, text)
        yield {"id": id_} | line_record(sighting, verdict, times)
        offset += len(text) + 1


def line_record(sighting: Sighting, verdict: Verdict, times: TimeParser) -> dict[str, Any]:
    """Return the record of one line, but for its id."""
    return _place(sighting, times) | {
        "score": round(verdict.score, SCORE_DIGITS),
        "verdict": "anomaly" if verdict.anomalous else "normal",
        "template": printable(verdict.template, TEXT_CHARS),
        "text": printable(sighting.text, TEXT_CHARS),
    }


def _place(sighting: Sighting, times: TimeParser) -> dict[str, Any]:
    place: dict[str, Any] = {
        "source": printable(sighting.source, TEXT_CHARS),
        "line": sighting.line,
        "offset": sighting.offset,
    }
    if not sighting.line:  # a large file, begun at its end: nobody counted its lines
        del place["line"]
    if (stamp := times.parse(sighting.text)) is not None:
        place["time"] = stamp_text(stamp)
    return place
