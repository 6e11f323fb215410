"""The counters of sequences for Prometheus, and across a reload.

A reload makes what judges sequences anew, and with it counters that begin at 0. Guarantees: what
only grows goes on from where it was, whatever keys there are; what can fall is as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["NOW", "families", "grown"]

NOW: Final = ("open", "kinds", "kinds_held_back")
"""Keys that tell how it is now; all others count since the start."""

_Samples = list[tuple[dict[str, object], float]]
_Family = tuple[str, str, str, _Samples]

_FAMILIES: Final = (
    ("sequences_open", "open", "Sequences that go on."),
    ("sequences_judged_total", "judged", "Sequences judged."),
    ("sequences_anomalous_total", "anomalous", "Sequences found anomalous."),
    ("sequences_model_asked_total", "misses", "Sequences the model was asked about."),
    ("sequences_evicted_total", "evicted", "Sequences ended early for want of room."),
    ("sequences_truncated_total", "truncated", "Sequences too long to be kept whole."),
    ("sequences_cut_total", "cut", "Sequences perhaps begun before what was read."),
    ("sequences_spared_total", "spared", "Sequences anomalous only for what was not read."),
    ("sequences_unfinished_total", "unfinished", "Sequences perhaps not over where reading ended."),
    ("sequence_kinds", "kinds", "Kinds of anomalous sequences that are remembered."),
    ("sequence_kinds_held_back", "kinds_held_back", "Kinds that wait to be told."),
    ("sequence_kinds_forgotten_total", "kinds_forgotten", "Kinds let go of, untold."),
    ("sequence_kinds_told_total", "told", "Alerts of sequences."),
    ("sequence_taught_total", "taught", "Anomalous sequences that entries of operators hid."),
    ("sequence_lines_total", "lines", "Lines that a rule of sequences is for."),
    ("sequence_unknown_lines_total", "unknown_lines", "Lines unlike any of the training."),
    ("sequence_late_lines_total", "late_lines", "Lines of an earlier time than one before."),
    ("sequence_clock_jumps_total", "clock_jumps", "Times at which a log's clock jumped."),
)
"""Name, key of the counters, meaning; a key that this agent does not count is left out."""
_LEFT_OUT: Final = (
    ("no_key", "no_key"),
    ("malformed_key", "malformed_keys"),
    ("too_few", "unjudged_lines"),
)


def families(counts: Mapping[str, Any] | None) -> Iterator[_Family]:
    """Yield name, type, meaning and samples of what Prometheus is told, while it is wanted.

    Args:
        counts: as `logagent.service.sequencing.SequenceAlerts.counts`; None: the model in force
            cannot judge sequences.
    """
    up = counts is not None
    yield "sequences_up", "gauge", "1 while sequences are judged.", [({}, up)]
    if counts is None:
        return
    for name, key, text in _FAMILIES:
        if key in counts:
            yield name, "gauge" if key in NOW else "counter", text, [({}, counts[key])]
    ended: _Samples = [({"reason": why}, count) for why, count in sorted(counts["ended"].items())]
    yield "sequences_ended_total", "counter", "Sequences that ended, by reason.", ended
    text = "Lines of sequence_lines_total in no sequence, by reason."
    left: _Samples = [({"reason": why}, counts[key]) for why, key in _LEFT_OUT if key in counts]
    yield "sequence_lines_left_out_total", "counter", text, left


def grown(counts: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return counters that go on from others."""
    whole: dict[str, Any] = {}
    for key, value in counts.items():
        earlier = before.get(key)
        if key in NOW or earlier is None:
            whole[key] = value
        elif isinstance(value, Mapping):
            whole[key] = {
                each: value.get(each, 0) + earlier.get(each, 0) for each in {**earlier, **value}
            }
        else:
            whole[key] = value + earlier
    return whole
