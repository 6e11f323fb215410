"""What an alert says: the record for machines, the line for people.

Explanations are asked for here, and only for what is told: the words that carried the decision take
milliseconds of the model. Everything out of a log goes through `sanitise.printable`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from logagent.explain import words_that_count
from logagent.groups import Group
from logagent.kinds import Kinds
from logagent.overrides import group_text
from logagent.policy.budget import SEVERE, expit
from logagent.policy.facts import Facts, told
from logagent.policy.known import Known, alert_id, alert_ids
from logagent.policy.policy import Telling
from logagent.records import dumps, group_record
from logagent.sanitise import printable
from logagent.scorer import Scorer
from logagent.sinks import Alert
from logagent.times import TimeParser

__all__ = ["Teller", "severity_of"]

_TEXT_CHARS = 400  # of a line in an alert's text
_SHORT_CHARS = 200  # of a line among several
_CONTEXT_CHARS = 300  # of a line of context
_LISTED = 50  # groups of a digest that are shown; more are counted
_NAMED = 3  # of the groups of an alert, in the line for people
_NAME_CHARS = 100  # of each of these
_ERROR, _WARNING, _NOTICE = 3, 4, 5  # RFC 5424, 6.2.1
_SEVERITIES = {_ERROR: "error", _WARNING: "warning", _NOTICE: "notice"}


def severity_of(score: float) -> int:
    """Return the severity of a score, as in RFC 5424, 6.2.1."""
    return _ERROR if score >= SEVERE else _WARNING


class Teller:
    """Makes alerts of what the policy decided."""

    def __init__(self, scorer: Scorer, host: str) -> None:
        self._scorer = scorer
        self._kinds = Kinds(scorer.bundle)
        self._host = host
        self._times = TimeParser()

    def alert(self, telling: Telling) -> Alert | None:
        """Return the alert; None where there is nothing to say."""
        match telling.kind:
            case "held" | "aftermath":
                return None
            case "digest":
                return self._digest(telling)
            case "budget":
                return self._budget(telling)
        return self._group(telling)

    def _group(self, telling: Telling) -> Alert:
        kind, (lead, *others) = telling.kind, telling.groups
        id_ = alert_id(lead, kind)
        severity = _NOTICE if kind == "over" else severity_of(max(g.score for g in telling.groups))
        record: dict[str, Any] = {"id": id_, "host": self._host, "group": lead.id, "alert": kind}
        record["severity"] = _SEVERITIES[severity]
        if lead.told or kind == "again":
            record["since_told"] = lead.count - lead.told_count
        if kind == "burst":
            record["times_usual"] = round(lead.rate.times_usual(telling.at), 1)
        category = self.category(lead.template)
        record |= self._details(lead)
        context = {
            name: [printable(line, _CONTEXT_CHARS) for line in lines]
            for name, lines in (("before", lead.context.before), ("after", lead.context.after))
            if lines
        }
        if context:
            record["context"] = context
        if others:
            record["related"] = [self._brief(group) for group in others]
        said = {"again": "still: ", "burst": "more and more: ", "over": "over: "}.get(kind, "")
        times = f" ×{lead.count}" if lead.count > 1 else ""
        about = f" [{category}]" if category else ""
        text = (
            f"{said}{printable(lead.first.source, 200)}{times}{about}: "
            f"{printable(lead.last.text if lead.told else lead.first.text, _TEXT_CHARS)}"
        )
        if others:
            text += f" (with {len(others)} more: {_named(others)})"
        return Alert(id_, dumps(record).encode(), text, severity)

    def category(self, template: bytes) -> str:
        """Return what a template is about, such as ``storage``; empty if nothing stands out."""
        return self._kinds.of(self._scorer.embedding.embed([template])[0]).category

    def _details(self, group: Known) -> dict[str, Any]:
        words = words_that_count(self._scorer, group.template)
        kind = self._kinds.of(self._scorer.embedding.embed([group.template])[0])
        shown = Group(group.id, group.template, group.score, group.first, group.last)
        shown.count, shown.trace = group.count, group.trace
        details = group_record(shown, self._times, words, kind, None)
        del details["id"]
        if group.variants:
            details["variants"] = group.variants
        if group.forced:
            details["forced"] = True
        if group.shift:
            details["shift"] = [round(group.shift, 2), printable(group.shift_reason, 200)]
        return details

    def _brief(self, group: Known) -> dict[str, Any]:
        brief: dict[str, Any] = {
            "group": group.id,
            "source": printable(group.last.source, _SHORT_CHARS),
            "score": round(group.score, 4),
            "count": group.count,
            "text": printable(group.last.text, _SHORT_CHARS),
        }
        if category := self.category(group.template):
            brief["category"] = category
        if group.variants:
            brief["variants"] = group.variants
        return brief

    def known(self, group: Known) -> dict[str, Any]:
        """Return what the status says of a group."""
        state = "told"
        if group.pending_at is not None:
            state = "pending"
        elif group.held:
            state = "held"
        elif not group.told:
            state = "for the digest"
        return {
            "id": group.id,
            "alert_ids": sorted(alert_ids(group)),
            "state": state,
            "group": group_text(group.key),
            "template": group_text(group.template),
            "score": round(group.score, 4),
            "count": group.count,
            "since_told": group.count - group.told_count,
            "variants": group.variants,
            "told": group.told,
            "first": _iso(group.first_at),
            "last": _iso(group.last_at),
            "source": printable(group.last.source, _SHORT_CHARS),
            "text": printable(group.last.text, _SHORT_CHARS),
        }

    def _digest(self, telling: Telling) -> Alert | None:
        digest = telling.digest
        if digest is None or not (telling.groups or digest.forgotten):
            return None
        id_ = self._id("digest", digest.since)
        held = [group for group in telling.groups if group.held]
        ongoing = [group for group in telling.groups if not group.held]
        record: dict[str, Any] = {
            "id": id_,
            "host": self._host,
            "alert": "digest",
            "severity": _SEVERITIES[_NOTICE],
            "since": _iso(digest.since),
            "until": _iso(digest.until),
            "lines": digest.lines,
            "anomalous": digest.anomalous,
            "alerts": digest.alerts,
        }
        parts = [
            f"digest of {_hours(digest.until - digest.since)}: {digest.lines:,} lines, "
            f"{digest.anomalous:,} anomalous, {digest.alerts} alerts"
        ]
        for name, said, groups in (("held", "held back", held), ("ongoing", "going on", ongoing)):
            if groups:
                record[name] = [
                    self._brief(group) | {"since_told": _untold(group)}
                    for group in groups[:_LISTED]
                ]
                record[f"{name}_count"] = len(groups)
                parts.append(f"{len(groups)} {said}: {_named(groups)}")
        if digest.forgotten:
            record["forgotten"] = digest.forgotten
            parts.append(f"{digest.forgotten} forgotten untold for want of room")
        return Alert(id_, dumps(record).encode(), "; ".join(parts), _NOTICE)

    def _budget(self, telling: Telling) -> Alert:
        id_ = self._id("budget", telling.at)
        score = expit(telling.bar)
        record = {
            "id": id_,
            "host": self._host,
            "alert": "budget",
            "severity": _SEVERITIES[_NOTICE],
            "bar": round(score, 4),
            "held": [self._brief(group) for group in telling.groups[:_LISTED]],
            "held_count": len(telling.groups),
        }
        text = (
            f"many alerts today: what scores below {score:.2f} is held back for the digest; "
            f"so far {_named(telling.groups)}"
        )
        return Alert(id_, dumps(record).encode(), text, _NOTICE)

    def learned(self, facts: Facts) -> Alert:
        """Return the notice that learning is over, and what came of it."""
        id_ = self._id("learned", facts.learned_at)
        lines = list(told(facts))
        record = {
            "id": id_,
            "host": self._host,
            "alert": "learned",
            "severity": _SEVERITIES[_NOTICE],
            "facts": lines[: _LISTED + 3],
        }
        short = "; ".join(line.strip() for line in lines[: _NAMED + 3])
        more = f"; … {len(lines) - _NAMED - 3} more" if len(lines) > _NAMED + 3 else ""
        text = f"learning is over: {short}{more} (logagent learned list)"
        return Alert(id_, dumps(record).encode(), text, _NOTICE)

    def _id(self, kind: str, at: float) -> str:
        about = f"{kind} {self._host} {at:.0f}".encode()
        return blake2b(about, digest_size=8).hexdigest()


def _named(groups: list[Known]) -> str:
    shown = [
        f"{printable(group.last.text, _NAME_CHARS)}"
        + (f" ×{group.count}" if group.count > 1 else "")
        for group in groups[:_NAMED]
    ]
    if len(groups) > _NAMED:
        shown.append("…")
    return " | ".join(shown)


def _untold(group: Known) -> int:
    return group.count - max(group.told_count, group.digest_count)


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours >= 1 else f"{seconds / 60:.0f} min"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
