"""`logagent-build sequences`: from logs and labels of sessions to a bundle that judges sessions.

Guarantees: sessions are made by the agent's own code; the part is read back by the agent's reader
before the bundle is written; the same input gives the same bytes. The base bundle is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logagent.bundle import Bundle, write_bundle
from logagent.sequences.part import PART, pack
from logagent.sequences.rules import Rule, session_key

from logagent_build.sequences.lines import Gathered, gather, read_labels
from logagent_build.sequences.silences import silences

__all__ = ["FALSE_ALARMS", "add_part", "build", "rule_for"]

FALSE_ALARMS = 0.01
"""Share of distinct normal sequences that may be flagged, unless asked otherwise. A bound for data
that is harder than HDFS: there the least cut of `training.Settings` is above it (tried with half
and a tenth of the sessions, seeds 101 and 102)."""


def rule_for(session_key_: str, *, timeout_seconds: float, across: bool, max_events: int) -> Rule:
    """Return the rule that the options name.

    Raises:
        ValueError: they make none.
    """
    return Rule(
        key=session_key(session_key_),
        timeout_seconds=timeout_seconds,
        across=across,
        max_events=max_events,
    )


def build(
    logs: Sequence[str],
    rule: Rule,
    labels: Path,
    base: Path,
    out: Path,
    *,
    seed: int = 0,
    false_alarms: float = FALSE_ALARMS,
    say: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Train on the sessions of some logs, and write a bundle with the part; return its record.

    Args:
        logs: paths as `logagent scan` takes them.
        rule: how their lines make sessions.
        labels: file with the label of each session.
        base: bundle whose other parts are taken over.
        out: where the new bundle goes.
        seed: of everything random.
        false_alarms: share of distinct normal sequences of the training that may be flagged.
        say: told what is done.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the logs or labels cannot be used.
        BundleError: the base cannot be used.
    """
    bundle = Bundle.load(base)
    read = read_labels(labels)
    gathered = gather(logs, rule, read)
    say(_summary(gathered))
    bad = int(gathered.labelled.anomalous.sum())
    if not 0 < bad < len(gathered.labelled):
        raise ValueError("all sessions have one label: nothing can be learnt from that")
    from logagent_build.sequences import choosing, export, training  # noqa: PLC0415 - scikit-learn

    # Equal sequences say the same: the neighbours' table would only be larger.
    once = gathered.labelled.only(choosing.distinct(gathered.labelled))
    settings = training.Settings(false_alarms=false_alarms)
    trained = training.train(once, settings, seed)
    record: dict[str, Any] = {
        "labelled_sequences": len(gathered.labelled),
        "anomalous": bad,
        "known_events": gathered.vocabulary.known,
        "distinct": len(once),
        "false_alarms": false_alarms,
        "seed": seed,
        **gathered.counts,
    }
    silent = silences(logs, rule, read, gathered.vocabulary)
    data = pack(gathered.vocabulary, export.part(trained), rule, record, silent)
    add_part(bundle, data, out)
    say(f"{out}: part {PART!r} of {len(data):,} bytes")
    return record


def add_part(base: Bundle, data: bytes, out: Path) -> None:
    """Write a bundle that is another one with the part for sequences.

    Raises:
        OSError: it cannot be written.
        ValueError: the part is too large.
    """
    parts = {name: bytes(base.part(name)) for name in base.sizes() if name != "manifest"}
    write_bundle(out, base.manifest, parts | {PART: data})


def _summary(gathered: Gathered) -> str:
    counts, labelled = gathered.counts, gathered.labelled
    said = (
        f"{counts['lines']:,} lines, {len(labelled):,} labelled sequences, "
        f"{int(labelled.anomalous.sum()):,} anomalous, {gathered.vocabulary.known:,} events"
    )
    for name in ("lines_without_session", "sequences_without_label", "labels_without_session"):
        if counts[name]:
            said += f"; {counts[name]:,} {name.replace('_', ' ')}"
    return said
