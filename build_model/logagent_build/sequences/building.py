"""`logagent-build sequences`: from logs and labels to a bundle that judges sessions or windows.

Guarantees: sequences are made by the agent's own code; the part is read back by the agent's reader
before the bundle is written; the same input gives the same bytes. The base bundle is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent.bundle import Bundle, write_bundle
from logagent.sequences.onnx_voters import ONNX_PART
from logagent.sequences.part import PART, pack
from logagent.sequences.rules import Rule
from logagent.sequences.silences import Silences
from logagent.sequences.vocabulary import Vocabulary

from logagent_build.annotate.outputs import writable
from logagent_build.sequences import order_part
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.lines import labelled, read_sessions
from logagent_build.sequences.options import labels_for
from logagent_build.sequences.rare import labels_by_rarity
from logagent_build.sequences.silences import silences

if TYPE_CHECKING:
    from logagent_build.sequences.lines import Sessions
    from logagent_build.sequences.llm.votes import Vote
    from logagent_build.sequences.voted import Voted

__all__ = ["FALSE_ALARMS", "add_part", "build"]

FALSE_ALARMS = 0.01
"""Share of distinct normal sequences that may be flagged, unless asked otherwise. A bound for data
that is harder than HDFS: there the least cut of `training.Settings` is above it (tried with half
and a tenth of the sessions, seeds 101 and 102)."""
WINDOW_FALSE_ALARMS = 0.05
"""The same of windows. Their labels are less sharp: a window has lines of much that goes on. This,
and two to a leaf, was the best of a few on windows of systems and parts that are not reported
(docs/sequences-agent.md)."""


def build(
    logs: Sequence[str],
    rule: Rule,
    labels: Path | None,
    base: Path,
    out: Path,
    *,
    votes: Path | None = None,
    rare: float | None = None,
    incidents: Path | None = None,
    onnx: bool = False,
    seed: int = 0,
    false_alarms: float | None = None,
    order: str = "auto",
    say: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Train on sessions or windows of logs, and write a bundle with the part; return its record.

    Args:
        logs: paths as `logagent scan` takes them.
        rule: how their lines make sessions.
        labels: file with the label of each session, or of lines, for windows.
        base: bundle whose other parts are taken over.
        out: where the new bundle goes.
        votes: file with a language model's votes on sessions, for those without a label; they may
            be chosen ones (`vote --most`), so where the model cuts is told by all sessions.
        rare: share of sessions below which what they are like is anomalous (`rare`), for those
            without a label.
        incidents: file with the times in which windows are anomalous.
        onnx: whether the bundle gets the ensemble as an ONNX graph too.
        seed: of everything random.
        false_alarms: share of distinct normal sequences of the training that may be flagged;
            None: `FALSE_ALARMS` of sessions, `WINDOW_FALSE_ALARMS` of windows.
        order: whether there is a voter of order: one of `order_part.MODES`.
        say: told what is done.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: the logs or labels cannot be used.
        BundleError: the base cannot be used.
        ConfigError: the output is one of the inputs.
        ParityError: the ONNX graph does not judge as the ensemble does.
    """
    order_part.check(order, sessions=rule.key is not None)
    bundle = Bundle.load(base)
    try:
        read = labels_for(rule, labels, incidents, votes, rare)
    except OSError as error:
        raise OSError(f"{error.filename}: cannot be read: {error.strerror}") from None
    _check_output(out, [labels, incidents, votes, base], [*map(Path, logs)])
    known = read if isinstance(read, dict) else None
    by_model = None if votes is None else _votes(votes)  # before the logs, which take long
    sessions = read_sessions(logs, rule, None if isinstance(read, dict) else read)
    if rare is not None:
        known = labels_by_rarity(sessions, rare, known or {})
    voted: Voted | None = None
    if by_model is None:
        gathered = labelled(sessions, known)
        data, counts = gathered.labelled, gathered.counts
    else:
        voted, counts = _voted(sessions, by_model, known or {}, say)
        data = voted.labelled
    say(_summary(data, sessions.vocabulary.known, counts))
    _check_labels(data, rule)
    if false_alarms is None:
        false_alarms = FALSE_ALARMS if rule.key is not None else WINDOW_FALSE_ALARMS
    from logagent_build.sequences import export, fitting  # noqa: PLC0415 - scikit-learn

    fit = fitting.fitted(data, rule, voted, rare, false_alarms, seed, say)
    trained = fit.trained

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
        "anomalous": int(data.anomalous.sum()),
        "known_events": sessions.vocabulary.known,
        "distinct": fit.distinct,
        "trained_on": fit.taken,
        "false_alarms": false_alarms,
        "seed": seed,
        "voters": [trained.forest.name, *(each.name for each in trained.others)],
        **ordered,
        **counts,
    }
    if rare is not None:
        record["rare"] = rare
    if by_model is not None:
        record["votes"] = by_model.origin or "no record beside them tells whose they are"
    graph = None
    if onnx:
        from logagent_build.sequences import onnx_graph, onnx_parity  # noqa: PLC0415 - onnx

        graph = onnx_graph.graph(part)
        record["onnx_parity"] = onnx_parity.check(part, graph, data.events, seed)
    silent = None
    if rule.key is not None:
        by_session = known or {} if voted is None else voted.by_session
        silent, record["silences"] = _silences(logs, rule, by_session, sessions.vocabulary)
        if silent is None:
            say(f"silences: {record['silences']}; sessions that an agent reads in part are judged "
                "as they stand")  # fmt: skip
    packed = pack(sessions.vocabulary, part, rule, record, silent)
    add_part(bundle, packed, out, graph)
    say(f"{out}: part {PART!r} of {len(packed):,} bytes")
    if graph is not None:
        say(f"{out}: part {ONNX_PART!r} of {len(graph):,} bytes, judges as the ensemble does")
    return record


@dataclass(frozen=True, slots=True)
class _Votes:
    votes: Mapping[bytes, Vote]
    origin: Mapping[str, Any] | None
    """Whose they are, if a record beside them tells."""


def _votes(path: Path) -> _Votes:
    from logagent_build.sequences.llm.votes import read_origin, read_votes  # noqa: PLC0415

    return _Votes(read_votes(path), read_origin(path))


def _voted(
    sessions: Sessions, by_model: _Votes, known: Mapping[bytes, bool], say: Callable[[str], None]
) -> tuple[Voted, dict[str, int]]:
    from logagent_build.sequences.voted import told, with_votes  # noqa: PLC0415 - scikit-learn

    voted = with_votes(sessions, by_model.votes, known)
    say(told(by_model.origin, len(by_model.votes), voted.counts["votes_without_session"]))
    return voted, sessions.counts | voted.counts


def _check_labels(data: Sequences, rule: Rule) -> None:
    bad = data.anomalous
    if bad.all() or not bad.any():
        what = "sessions" if rule.key is not None else "windows"
        raise ValueError(
            f"all {what} have one label, {'anomalous' if bad.any() else 'normal'}: nothing can be "
            f"learnt from that{'; try shorter windows' if bad.any() and rule.key is None else ''}"
        )


def _silences(
    logs: Sequence[str], rule: Rule, labels: Mapping[bytes, bool], vocabulary: Vocabulary
) -> tuple[Silences | None, str]:
    """Read the logs once more for how long sessions are silent; say why there is nothing."""
    if "-" in logs:
        return None, "left out: standard input cannot be read twice"
    found = silences(logs, rule, labels, vocabulary)
    return found, "left out: no normal session has two lines" if found is None else "stored"


def _check_output(out: Path, inputs: Sequence[Path | None], logs: Sequence[Path]) -> None:
    """Tell before all the work that the bundle could not be written."""
    try:
        writable(out, [*inputs, *logs], folders=logs)
    except OSError as error:
        raise OSError(f"{out}: cannot be written: {error.strerror}") from None


def add_part(base: Bundle, data: bytes, out: Path, graph: bytes | None = None) -> None:
    """Write a bundle that is another one with the part for sequences.

    Args:
        base: the other one; a graph that it has is of its own ensemble, and is left out.
        data: the part.
        out: where the bundle goes.
        graph: the same ensemble as an ONNX graph.

    Raises:
        OSError: it cannot be written.
        ValueError: the part is too large.
    """
    parts = {
        name: bytes(base.part(name)) for name in base.sizes() if name not in ("manifest", ONNX_PART)
    }
    if graph is not None:
        parts[ONNX_PART] = graph
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
        "malformed_keys",
        "evicted",
        "sequences_without_label",
        "labels_without_session",
        "votes_without_session",
        "labels_without_line",
        "lines_with_both_labels",
        "incidents_without_window",
        "rare_kinds_of_events",
    ):
        if counts.get(name):
            said += f"; {counts[name]:,} {name.replace('_', ' ')}"
    return said
