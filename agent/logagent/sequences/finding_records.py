"""Anomalous sequences for people and programs: records of JSON, and lines of text.

The record is documented in docs/cli.md. Guarantees: as `logagent.records`: every text of a log goes
through `sanitise.printable`; a record is of bounded size; keys with nothing to say are left out.
"""

from __future__ import annotations

from typing import Any, Final

from logagent.groups import Sighting
from logagent.records import SCORE_DIGITS, TEXT_CHARS, stamp_text
from logagent.report import Style
from logagent.sanitise import printable
from logagent.sequences.ensemble import Carried
from logagent.sequences.events import EventReader
from logagent.sequences.kind_names import MOST_NAMED, events_of, kind_name
from logagent.sequences.watch import Finding
from logagent.times import TimeParser

__all__ = ["finding_lines", "finding_record", "finding_text", "signature"]

MOST_CARRIED: Final = MOST_NAMED
"""Events that a record names, of the heaviest; beyond that nobody reads on."""
_KEY_CHARS: Final = 200
_POSITIONS: Final = 10  # places of one event that a record names
_TEMPLATE_CHARS: Final = 200
UNKNOWN: Final = "(a line unlike any the model was trained on)"
"""Shown for an unknown event of which no text is left, as after a restart."""


def finding_record(finding: Finding, reader: EventReader, times: TimeParser) -> dict[str, Any]:
    """Return the record of an anomalous sequence."""
    episode, judged = finding.episode, finding.judged
    first, last = episode.first, episode.last
    record: dict[str, Any] = {"id": episode.id, "kind": "sequence"}
    if judged.carried:
        record["group"] = kind_name(judged.carried, reader.vocabulary)
    if episode.session:
        record["session"] = printable(episode.session, _KEY_CHARS)
    record |= {"rule": printable(episode.rule, 100), **_place(first, times, "")}
    record |= _place(last, times, "last_")
    if last.source == first.source:
        del record["last_source"]
    record |= {
        "score": round(judged.score, SCORE_DIGITS),
        "verdict": "anomaly",
        "lines": episode.count,
        "ended": episode.ended,
        "carried": [_carried(each, reader) for each in judged.carried[:MOST_CARRIED]],
        "votes": {printable(name, 40): bool(vote) for name, vote in judged.votes.items()},
        "text": printable(first.text, TEXT_CHARS),
        "last_text": printable(last.text, TEXT_CHARS),
    }
    record |= {each: True for each in ("cut", "unfinished") if getattr(episode, each)}
    if episode.count > len(episode.events):
        record["lines_judged"] = len(episode.events)
    return record


def finding_lines(
    number: int, finding: Finding, count: int, reader: EventReader, style: Style
) -> list[str]:
    """Return the lines that show an anomalous sequence, and how many more were like it.

    ::

         1  0.97  ×12  session blk_-123  hdfs.log:120 … 310  19 lines
              missing: PacketResponder # for block blk_ terminating
              first: 2008-11-09 20:35:30 INFO dfs.DataNode$DataXceiver: Receiving block …
              group: 5f0c1c2d3a4b5e6f
    """
    episode = finding.episode
    room = max(style.width - 6, 20)
    what = f"session {printable(episode.session, 60)}" if episode.session else "window"
    where = f"{printable(episode.first.source, 60)}:{episode.first.line}"
    if episode.last.source != episode.first.source:
        where += f" … {printable(episode.last.source, 60)}:{episode.last.line}"
    elif episode.last.line != episode.first.line:
        where += f" … {episode.last.line}"
    score = style.paint(
        f"{finding.judged.score:.2f}", "31;1" if finding.judged.score >= 0.9 else "33;1"
    )
    plural = "" if episode.count == 1 else "s"
    plural += ", perhaps begun earlier" * episode.cut + ", perhaps not over" * episode.unfinished
    head = f"{number:>3}  {score}  {style.paint(f'×{count:,}', '1')}  "
    lines = [head + printable(f"{what}  {where}  {episode.count:,} line{plural}", room)]
    for each in finding.judged.carried[:MOST_CARRIED]:
        text = f"{each.kind}: {_shown(each.event, reader)}"
        lines.append(" " * 6 + style.paint(printable(text, room), "36"))
        if each.before >= 0:  # a line of its own: two templates fit no terminal
            lines.append(" " * 6 + style.paint(printable(_normally(each, reader), room), "36"))
    lines.append(" " * 6 + printable(f"first: {printable(episode.first.text, room)}", room))
    if episode.count > 1:
        lines.append(" " * 6 + printable(f"last:  {printable(episode.last.text, room)}", room))
    if finding.judged.carried:
        lines.append(f"      group: {kind_name(finding.judged.carried, reader.vocabulary)}")
    return lines


def finding_text(finding: Finding, reader: EventReader) -> str:
    """Return an anomalous sequence in one line for people."""
    episode = finding.episode
    what = f"session {printable(episode.session, 80)}" if episode.session else "window"
    said = []
    for each in finding.judged.carried[:2]:
        said.append(f"{each.kind}: {printable(_shown(each.event, reader), 120)}")
        if each.before >= 0:
            said[-1] += f" {printable(_normally(each, reader), 180)}"
    about = "; ".join(said) or printable(episode.last.text, 160)
    lines = f"{episode.count:,} line{'' if episode.count == 1 else 's'}"
    return f"{printable(episode.first.source, 200)}: {what}, {lines}: {about}"


def signature(finding: Finding) -> tuple[tuple[str | int, ...], ...]:
    """Return what findings of one cause have in common: which events carried them.

    By numbers of one model; `kind_names` has the name that others know it by.
    """
    carried = finding.judged.carried[:MOST_CARRIED]
    return tuple(sorted(((each.kind, *events_of(each)) for each in carried), key=repr))


def _carried(each: Carried, reader: EventReader) -> dict[str, Any]:
    said: dict[str, Any] = {
        "what": each.kind,
        "template": _template(each.event, reader),
        "weight": round(float(each.weight), 2),
    }
    if each.before >= 0:
        said["before"] = _template(each.before, reader)
        said["normally_after"], said["normal_sequences"] = each.held, each.of
    if each.event >= reader.vocabulary.known:
        said["unknown"] = True
    if len(each.positions):
        said["positions"] = [int(at) for at in each.positions[:_POSITIONS]]
    return said


def _normally(each: Carried, reader: EventReader) -> str:
    held = f"{each.held:,} of {each.of:,}"
    return f"before, in {held} normal ones after: {_template(each.before, reader)}"


def _shown(event: int, reader: EventReader) -> str:
    """Return what an event says, for people: of an unknown one nobody knows which line it was."""
    new = event >= reader.vocabulary.known and bool(reader.text(event))
    return f"{'a new line, such as ' * new}{_template(event, reader)}"


def _template(event: int, reader: EventReader) -> str:
    return printable(reader.text(event), _TEMPLATE_CHARS) or UNKNOWN


def _place(sighting: Sighting, times: TimeParser, prefix: str) -> dict[str, Any]:
    place: dict[str, Any] = {f"{prefix}source": printable(sighting.source, TEXT_CHARS)}
    if sighting.line:  # else a large file, begun at its end: nobody counted its lines
        place[f"{prefix}line"] = sighting.line
    place[f"{prefix}offset"] = sighting.offset
    if (stamp := times.parse(sighting.text)) is not None:
        place[f"{prefix}time"] = stamp_text(stamp)
    return place
