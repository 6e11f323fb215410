"""What the agent says of itself: in its log, to systemd, to `logagent status`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from logagent import __version__
from logagent.service import memory

if TYPE_CHECKING:
    from logagent.service.agent import Agent

__all__ = ["greeting", "status", "summary"]

_SOURCES = 1000  # of the answer; those that lag most come first


def greeting(agent: Agent) -> str:
    """Return the first line of the agent's own log."""
    manifest = agent.model.scorer.bundle.manifest
    return (
        f"logagent {__version__}, model {manifest.name} "
        f"({agent.model.scorer.bundle.sha256[:12]}), backend {agent.model.scorer.backend.name}, "
        f"threshold {agent.model.threshold:.3f}, state {agent.folder.folder}, "
        f"configuration {agent.config.file or 'built in'}, "
        f"watching {', '.join(agent.config.watch.paths)}"
    )


def summary(agent: Agent) -> str:
    """Return what it did since its start, in a line."""
    return (
        f"{agent.lines} lines read, {agent.anomalous} anomalous, {agent.alerts_sent} alerts, "
        f"{sum(agent.reporter.counts.values())} problems"
    )


def status(agent: Agent) -> dict[str, Any]:
    """Return what `logagent status` shows, JSON-able."""
    counters = agent.model.judge.counters
    bundle = agent.model.scorer.bundle
    sources = [row for each in agent.inputs for row in each.status()]
    sources.sort(key=lambda row: -int(row.get("lag_bytes", 0)))
    lines = max(counters.lines, 1)
    return {
        "version": __version__,
        "pid": os.getpid(),
        "uptime_seconds": round(time.monotonic() - agent.started, 1),
        "state_dir": str(agent.folder.folder),
        "config": str(agent.config.file) if agent.config.file else None,
        "lines": agent.lines,
        "bytes": agent.bytes,
        "anomalous_lines": agent.anomalous,
        "own_lines": agent.own_lines,
        "alerts": agent.alerts_sent,
        "hidden_lines": agent.hidden_lines,
        "groups": agent.alerts.counts(),
        "known_groups": agent.alerts.known_groups(),
        "overrides": len(agent.overrides.entries),
        "sequences": None if agent.sequences is None else agent.sequences.counts(),
        "known_sequences": [] if agent.sequences is None else agent.sequences.known(),
        "blocked": time.monotonic() < agent.blocked_until,
        "unsaved": agent.changed,
        "lag_bytes": sum(int(row.get("lag_bytes", 0)) for row in sources),
        "cache": {
            "fast_key_hits": round(1 - counters.fast_misses / lines, 4),
            "loose_key_hits": round(1 - counters.loose_misses / lines, 4),
            "templates_scored": counters.template_misses,
        },
        "memory": memory.usage(),
        "model": {
            "name": bundle.manifest.name,
            "path": str(bundle.path),
            "sha256": bundle.sha256,
            "backend": agent.model.scorer.backend.name,
            "threshold": agent.model.threshold,
            "record": bundle.manifest.record.get("commit"),
        },
        "sinks": agent.delivery.status(),
        "problems": dict(agent.reporter.counts),
        "recent_problems": agent.reporter.recent(),
        "source_count": len(sources),
        "sources": sources[:_SOURCES],
    }
