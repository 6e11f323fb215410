"""The agent's counters in the text format of Prometheus (version 0.0.4).

Guarantees: label values are printable and escaped, whatever a log or a bundle holds; the number of
series is bounded, by the sinks, the categories of the bundle and `_KINDS` kinds of problem.

Names follow the customs of Prometheus: base units, ``_total`` for what only grows since the start.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from logagent.sanitise import printable
from logagent.service.sequence_counters import families
from logagent.sinks import Alert

__all__ = ["AlertCounts", "exposition"]

_KINDS: Final = 64  # kinds of problem; the reporter counts no more
_SERIES: Final = 200  # pairs of severity and category; a bundle has a dozen categories
_SEVERITIES = {2: "critical", 3: "error", 4: "warning", 5: "notice"}
_MEMORY_STEP: Final = 256 * 1024  # [bytes] smaller changes are noise, and would write a file anew

_Sample = tuple[dict[str, object], float]


class AlertCounts:
    """Alerts so far by severity and category. Memory: O(`_SERIES`)."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, alerts: Iterable[Alert]) -> None:
        """Count alerts that were delivered."""
        for alert in alerts:
            try:
                record = json.loads(alert.record)
                whole = "sequence" if record.get("kind") == "sequence" else ""
                category = str(record.get("category", whole))
            except (ValueError, AttributeError, RecursionError):
                category = ""
            key = (_SEVERITIES.get(alert.severity, "other"), printable(category, 40))
            if key not in self._counts and len(self._counts) >= _SERIES:
                key = (key[0], "other")
            self._counts[key] += 1

    def samples(self) -> list[_Sample]:
        """Return what `exposition` wants."""
        return [
            ({"severity": severity, "category": category}, count)
            for (severity, category), count in sorted(self._counts.items())
        ]


def exposition(
    status: Mapping[str, Any], alerts: AlertCounts, started: float, healthy: bool
) -> bytes:
    """Return the counters as text.

    Args:
        status: of the agent, as `logagent status --json` prints it.
        alerts: counted since the start.
        started: when the agent started [s since 1970].
        healthy: what ``/healthz`` says.
    """
    return "".join(_lines(status, alerts, started, healthy)).encode()


def _lines(
    status: Mapping[str, Any], alerts: AlertCounts, started: float, healthy: bool
) -> Iterator[str]:
    get = status.get
    model, cache, memory = get("model", {}), get("cache", {}), get("memory", {})
    build = {
        "version": get("version", ""),
        "model": model.get("name", ""),
        "model_sha256": str(model.get("sha256", ""))[:12],
        "backend": model.get("backend", ""),
    }
    yield from _one("build_info", "gauge", "Version and model; always 1.", [(build, 1)])
    yield from _one("start_time_seconds", "gauge", "Start, since 1970.", [({}, round(started))])
    yield from _one("healthy", "gauge", "1 while the agent reads and delivers.", [({}, healthy)])
    for name, key, text in (
        ("lines_total", "lines", "Lines judged."),
        ("bytes_total", "bytes", "Bytes of these lines."),
        ("anomalous_lines_total", "anomalous_lines", "Lines over the threshold."),
        ("own_lines_total", "own_lines", "Lines the agent wrote itself, left out."),
    ):
        yield from _one(name, "counter", text, [({}, get(key, 0))])
    yield from _one("alerts_total", "counter", "Alerts delivered or spooled.", alerts.samples())
    yield from _one("lag_bytes", "gauge", "Bytes not yet read.", [({}, get("lag_bytes", 0))])
    blocked: list[_Sample] = [({}, bool(get("blocked")))]
    yield from _one("blocked", "gauge", "1 while reading waits for a sink.", blocked)
    hits = [
        ({"key": "fast"}, cache.get("fast_key_hits", 0)),
        ({"key": "loose"}, cache.get("loose_key_hits", 0)),
    ]
    yield from _one("cache_hit_ratio", "gauge", "Lines known by their key, 0 to 1.", hits)
    for name, key in (
        ("memory_private_bytes", "rss_anon_bytes"),
        ("memory_resident_bytes", "rss_bytes"),
    ):
        if key in memory:
            rounded = round(memory[key] / _MEMORY_STEP) * _MEMORY_STEP
            yield from _one(name, "gauge", "Rounded to 256 KiB.", [({}, rounded)])
    if get("sequences_enabled"):
        for family in families(get("sequences")):
            yield from _one(*family)
    sinks = get("sinks", [])
    for name, kind, key, text in (
        ("sink_delivered_total", "counter", "delivered", "Alerts the sink took."),
        ("sink_spooled", "gauge", "spooled", "Alerts that wait for the sink."),
        ("sink_spooled_bytes", "gauge", "spooled_bytes", "Their size on disk."),
        ("sink_dropped_total", "counter", "dropped", "Alerts a full spool dropped."),
        ("sink_damaged_total", "counter", "damaged", "Alerts lost in a damaged spool."),
        ("sink_rejected_total", "counter", "rejected", "Alerts the receiver refused."),
    ):
        values = [({"sink": sink.get("name", "")}, sink.get(key, 0)) for sink in sinks]
        yield from _one(name, kind, text, values)
    ups = [({"sink": sink.get("name", "")}, sink.get("state") == "up") for sink in sinks]
    yield from _one("sink_up", "gauge", "1 while the sink works.", ups)
    kinds = sorted(get("problems", {}).items())[:_KINDS]
    problems = [({"kind": kind}, count) for kind, count in kinds]
    yield from _one("problems_total", "counter", "Troubles met, by kind.", problems)


def _one(
    name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, object], float]]
) -> Iterator[str]:
    yield f"# HELP logagent_{name} {text}\n# TYPE logagent_{name} {kind}\n"
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(str(each))}"' for label, each in labels.items())
        shown = int(value) if value == int(value) else value
        yield f"logagent_{name}{f'{{{pairs}}}' if pairs else ''} {shown}\n"


def _escaped(value: str) -> str:
    return printable(value, 200).replace("\\", "\\\\").replace('"', '\\"')
