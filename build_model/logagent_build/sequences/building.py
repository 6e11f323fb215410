"""`logagent-build sequences`: from logs and labels of sessions to a bundle that judges sessions.

Guarantees: sessions are made by the agent's own code; the part is read back by the agent's reader
before the bundle is written; the same input gives the same bytes. The base bundle is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent.bundle import Bundle, write_bundle
from logagent.sequences.part import PART, pack
from logagent.sequences.rules import Rule, session_key

from logagent_build.sequences import order_part
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.lines import labelled, read_labels, read_sessions
from logagent_build.sequences.silences import silences

if TYPE_CHECKING:
    from logagent_build.sequences.voted import Voted

__all__ = ["FALSE_ALARMS", "add_part", "build", "rule_for"]

FALSE_ALARMS = 0.01
"""Share of distinct normal sequences that may be flagged, unless asked otherwise. A bound for data
that is harder than HDFS: there the least cut of `training.Settings` is above it (tried with half
and a tenth of the sessions, seeds 101 and 102)."""

_CLEARLY = 0.5
"""Score from which a session is taken for anomalous where the forest is cut, whatever was voted:
half of the trees."""


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
    labels: Path | None,
    base: Path,
    out: Path,
    *,
    votes: Path | None = None,
    seed: int = 0,
    false_alarms: float = FALSE_ALARMS,
    order: str = "auto",
    say: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Train on the sessions of some logs, and write a bundle with the part; return its record.

    Args:
        logs: paths as `logagent scan` takes them.
        rule: how their lines make sessions.
        labels: file with the label of each session; None: there are votes only.
        base: bundle whose other parts are taken over.
        out: where the new bundle goes.
        votes: file with a language model's votes on sessions, for those without a label; they may
            be chosen ones (`vote --most`), so where the model cuts is told by all sessions.
        seed: of everything random.
        false_alarms: share of distinct normal sequences of the training that may be flagged.
        order: whether there is a voter of order: one of `order_part.MODES`.
        say: told what is done.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the logs or labels cannot be used.
        BundleError: the base cannot be used.
    """
    order_part.check(order)
    bundle = Bundle.load(base)
    sessions = read_sessions(logs, rule)
    known = read_labels(labels) if labels else {}
    voted: Voted | None = None
    if votes is None:
        gathered = labelled(sessions, known)
        data, counts = gathered.labelled, gathered.counts
    else:
        from logagent_build.sequences.llm.votes import read_votes  # noqa: PLC0415 - scikit-learn
        from logagent_build.sequences.voted import with_votes  # noqa: PLC0415

        voted = with_votes(sessions, read_votes(votes), known)
        data, counts = voted.labelled, sessions.counts | voted.counts
    say(_summary(data, sessions.vocabulary.known, counts))
    bad = int(data.anomalous.sum())
    if not 0 < bad < len(data):
        raise ValueError("all sessions have one label: nothing can be learnt from that")
    from logagent_build.sequences import choosing, export, training  # noqa: PLC0415 - scikit-learn

    # Equal sequences say the same: the neighbours' table would only be larger.
    once = data.only(choosing.distinct(data))
    settings = training.Settings(false_alarms=false_alarms)
    if voted is not None:
        settings = training.Settings(false_alarms=false_alarms, clearly=_CLEARLY)
    trained = training.train(once, settings, seed, voted.rest if voted else None)
    part, ordered, said = order_part.choose(
        export.part(trained),
        data,
        order,
        known=sessions.vocabulary.known,
        sessions=rule.key is not None,
        false_alarms=false_alarms,
        seed=seed,
    )
    say(said)
    record: dict[str, Any] = {
        "labelled_sequences": len(data),
        "anomalous": bad,
        "known_events": sessions.vocabulary.known,
        "distinct": len(once),
        "false_alarms": false_alarms,
        "seed": seed,
        **ordered,
        **counts,
    }
    silent = silences(logs, rule, known, sessions.vocabulary)
    packed = pack(sessions.vocabulary, part, rule, record, silent)
    add_part(bundle, packed, out)
    say(f"{out}: part {PART!r} of {len(packed):,} bytes")
    return record


def add_part(base: Bundle, data: bytes, out: Path) -> None:
    """Write a bundle that is another one with the part for sequences.

    Raises:
        OSError: it cannot be written.
        ValueError: the part is too large.
    """
    parts = {name: bytes(base.part(name)) for name in base.sizes() if name != "manifest"}
    write_bundle(out, base.manifest, parts | {PART: data})


def _summary(data: Sequences, events: int, counts: Mapping[str, int]) -> str:
    said = (
        f"{counts['lines']:,} lines, {len(data):,} labelled sequences, "
        f"{int(data.anomalous.sum()):,} anomalous, {events:,} events"
    )
    for name in (
        "labelled_by_people",
        "labelled_by_votes",
        "voted_anomalous_but_common",
        "votes_without_clear_reply",
        "lines_without_session",
        "sequences_without_label",
        "labels_without_session",
        "votes_without_session",
    ):
        if counts.get(name):
            said += f"; {counts[name]:,} {name.replace('_', ' ')}"
    return said
