"""What is sent to a web address for an alert, in the form each kind of receiver wants.

Guarantees: what an alert holds can neither end a string of JSON nor forge a header field, and
calls nobody by ``@channel``: whatever a log says, it is shown as text. Bodies are bounded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from logagent.sanitise import printable
from logagent.sinks import Alert

__all__ = ["FORMATS", "Request", "check_template", "host_of", "request_of", "severity_name"]

FORMATS: Final = ("json", "slack", "ntfy", "gotify", "matrix", "template")
"""Names of the forms; ``template`` is one's own."""

_SEVERITIES = {2: "critical", 3: "error", 4: "warning", 5: "notice"}
_NTFY_PRIORITIES = {2: 5, 3: 4, 4: 3, 5: 2}  # 5 is the highest, 3 the default
_GOTIFY_PRIORITIES = {2: 10, 3: 8, 4: 5, 5: 2}  # from 8 on it rings, from 4 on it beeps
_TEXT_CHARS = 2000  # of an alert's text; ntfy makes an attachment of over 4096 bytes
_PLACE = re.compile(r"\{(text|id|score|severity|host)\}")
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What depends on the alert."""

    body: bytes
    content_type: str = _JSON
    method: str = "POST"
    suffix: str = ""
    """What comes behind the address."""
    fields: tuple[tuple[str, str], ...] = ()
    """Header fields."""


def request_of(form: str, alert: Alert, template: str = "") -> Request:
    """Return what `alert` is in a form of `FORMATS`; `template` is for the form of that name."""
    if form == "json":
        return Request(alert.record)
    record = _record(alert)
    host = host_of(record)
    severity = severity_name(alert.severity)
    text = printable(alert.text, _TEXT_CHARS)
    if form == "slack":
        # Inside a code block nobody is called by a mention; these three are Slack's own escapes.
        body = f"{severity} on {host}\n{text}".replace("```", "'''")
        safe = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return Request(_dumps({"text": f"```\n{safe}\n```"}))
    if form == "ntfy":
        category = _ascii(str(record.get("category", "")), 40)
        tags = "rotating_light" if alert.severity <= 3 else "warning"
        fields = (
            ("Title", f"{_ascii(host, 200)}: {severity}"),
            ("Priority", str(_NTFY_PRIORITIES.get(alert.severity, 3))),
            ("Tags", f"{tags},{category.replace(',', ' ')}" if category else tags),
        )
        return Request(text.encode(errors="replace"), "text/plain; charset=utf-8", fields=fields)
    if form == "gotify":
        priority = _GOTIFY_PRIORITIES.get(alert.severity, 5)
        return Request(
            _dumps({"title": f"{host}: {severity}", "message": text, "priority": priority})
        )
    if form == "matrix":
        content = {"msgtype": "m.text", "body": f"{host}: {severity}: {text}", "m.mentions": {}}
        return Request(_dumps(content), method="PUT", suffix=f"/{_ascii(alert.id, 64)}")
    values = {
        "text": text,
        "id": alert.id,
        "score": str(_score(record)),
        "severity": severity,
        "host": host,
    }
    return Request(_filled(template, values).encode(errors="replace"))


def check_template(template: str) -> None:
    """Check that `template` is JSON once it is filled in.

    Raises:
        ValueError: it is not.
    """
    sample = {"text": 'a"\\', "id": "0" * 16, "score": "0.9", "severity": "error", "host": "h"}
    try:
        json.loads(_filled(template, sample))
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None


def severity_name(severity: int) -> str:
    """Return the name of a severity of an `Alert`."""
    return _SEVERITIES.get(severity, "warning")


def host_of(record: dict[str, Any]) -> str:
    """Return the machine a record is of, printable."""
    return printable(str(record.get("host", "")), 255) or "localhost"


def _record(alert: Alert) -> dict[str, Any]:
    try:
        record = json.loads(alert.record)
    except (ValueError, RecursionError):  # from a spool of another time
        return {}
    return record if isinstance(record, dict) else {}


def _score(record: dict[str, Any]) -> float:
    score = record.get("score")
    return float(score) if isinstance(score, int | float) else 0.0


def _filled(template: str, values: dict[str, str]) -> str:
    """Put values in their places, escaped as inside a string of JSON; other braces stay."""
    return _PLACE.sub(lambda place: json.dumps(values[place[1]])[1:-1], template)


def _ascii(text: str, most: int) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:most].strip()


def _dumps(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
