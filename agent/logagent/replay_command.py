"""`logagent replay`: what would have been alerted, per day, with the policy applied.

Guarantees: standard output holds results only; a log that cannot be read is told and passed over.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent.config import Config, load
from logagent.errors import EXIT_INPUT_PROBLEM, EXIT_OK, BundleError
from logagent.model_store import in_force
from logagent.overrides import FILE_NAME, Overrides
from logagent.paths import SourceProblem, followed_name
from logagent.policy.adaptation import lowest_score
from logagent.policy.budget import DAY_SECONDS
from logagent.policy.telling import Teller
from logagent.progress import Progress
from logagent.replay import Events, Replay, Told
from logagent.sanitise import printable
from logagent.scan import Scan
from logagent.sequence_ids import description
from logagent.service.adapting import adapted, load_facts, make_adaptation
from logagent.service.parts import Model, host_name, load_model, policy_settings

if TYPE_CHECKING:
    from logagent.replay_sequences import ReplaySequences

__all__ = ["Options", "replay_command"]

_TEXT_CHARS = 300  # of an alert, printed
_NOISIEST = 5  # groups that are suggested to be ignored
_BAR = 40  # characters of the longest bar


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, parsed. See `logagent replay --help`."""

    since: float | None
    human: bool
    config: Path | None
    overrides: dict[str, Any]
    progress: bool
    width: int


def replay_command(paths: Sequence[str], options: Options) -> int:
    """Read logs, run the policy over them, print what it would have told; return the exit code.

    Raises:
        LogagentError: the configuration, the bundle or the backend cannot be used.
    """
    config = load(options.config, {**options.overrides, "adapt.learn_seconds": 0.0})
    folder = config.state.folder()
    entries = Overrides.load(folder / FILE_NAME, time.time())
    model = load_model(config)
    adaptation = make_adaptation(config, model, load_facts(folder, model, _warn), _warn)
    model = adapted(model, config, adaptation, entries)
    floor = None if adaptation is None else lowest_score(model.threshold)
    sequences = _sequences(config, model, entries)
    events, partial = _read(paths, model, entries, floor, options, sequences)
    teller = Teller(model.scorer, host_name())
    replay = Replay(
        teller,
        policy_settings(config),
        model.threshold,
        events.began,
        adaptation=adaptation,
        overrides=entries,
    )
    told = list(replay.run(events.sorted(), events.last_at, events.boots))
    if sequences is not None:
        told += sequences.run(events.began, events.last_at)
        told.sort(key=lambda each: each.at)
    if options.human:
        for line in _human(told, events, replay, sequences, options.width):
            print(line)  # noqa: T201
    else:
        for each in told:
            record = json.loads(each.alert.record)
            print(json.dumps({"at": _iso(each.at)} | record, separators=(",", ":")))  # noqa: T201
        summary = _summary(told, events, replay)
        if sequences is not None:
            summary["sequences"] = sequences.counts()
        print(json.dumps(summary, separators=(",", ":")))  # noqa: T201
    return EXIT_INPUT_PROBLEM if partial else EXIT_OK


def _sequences(config: Config, model: Model, entries: Overrides) -> ReplaySequences | None:
    """Return what judges sequences; None if nobody wants it, or the agent would do without.

    Raises:
        BundleError: the bundle cannot judge them.
    """
    if not config.sequences.enabled:
        return None
    from logagent.replay_sequences import ReplaySequences  # noqa: PLC0415 - few want it

    try:
        return ReplaySequences(config, model.scorer.bundle, host_name(), entries)
    except BundleError as error:
        asked = config.origins.get("sequences.enabled") == "flag"
        if asked or in_force(config).why != "updated":
            raise
        _warn("sequences", f"sequences are not judged: {error}")
        return None


def _read(
    paths: Sequence[str],
    model: Model,
    entries: Overrides,
    floor: float | None,
    options: Options,
    sequences: ReplaySequences | None,
) -> tuple[Events, bool]:
    events = Events()
    progress = Progress(sys.stderr, enabled=options.progress, width=options.width)
    partial = False

    def problem(found: SourceProblem) -> None:
        nonlocal partial
        partial |= found.partial
        progress.wipe()
        _warn("source", f"{found.source}: {found.message}")

    scan = Scan(
        model.scorer,
        threshold=model.threshold,
        since=options.since,
        overrides=entries,
        floor=floor,
        on_problem=problem,
    )
    logs: dict[str, str] = {}
    if sequences is not None:
        from logagent.replay_sequences import in_order  # noqa: PLC0415 - few want it

        paths, logs = in_order(paths, problem)
    changed: dict[str, float] = {}
    for step in scan.steps(paths):
        name = step.source.name
        if name not in changed:
            changed = {name: _changed_at(name)}
        events.add(
            name, step.fingerprint, step.block, step.grouped, step.joined, fallback=changed[name]
        )
        if sequences is not None:
            log = followed_name(logs.get(name, name))
            sequences.add(log, step.fingerprint, step.block, changed[name])
        progress.update(step, scan.totals, 0)
    progress.wipe()
    return events, partial


def _warn(_kind: str, message: str) -> None:
    print(f"logagent: {printable(message, 500)}", file=sys.stderr)  # noqa: T201


def _changed_at(name: str) -> float:
    """Return when a log was written last: the time of its lines, if they bear none."""
    try:
        return os.stat(name).st_mtime
    except OSError:  # standard input, or a file inside an archive
        return time.time()


def _summary(told: list[Told], events: Events, replay: Replay) -> dict[str, Any]:
    kinds = Counter(each.kind for each in told)
    days: dict[str, Counter[str]] = {}
    for each in told:
        days.setdefault(_day(each.at), Counter())[each.kind] += 1
    return {
        "summary": True,
        "lines": events.lines,
        "anomalous": events.anomalous,
        "groups": len(replay.policy),
        "held": len(replay.held),
        "since": _iso(events.first_at) if events.lines and events.first_at < float("inf") else None,
        "until": _iso(events.last_at) if events.last_at > float("-inf") else None,
        "alerts": dict(kinds),
        "per_day": {day: dict(counts) for day, counts in sorted(days.items())},
        "unstamped_lines": sum(events.unstamped.values()),
        "left_out_lines": events.left_out,
    }


def _human(
    told: list[Told],
    events: Events,
    replay: Replay,
    sequences: ReplaySequences | None,
    width: int,
) -> Iterator[str]:
    if events.first_at > events.last_at:
        yield "No lines."
        return
    days = max((events.last_at - events.first_at) / DAY_SECONDS, 1.0)
    per_day = Counter(_day(each.at) for each in told if each.kind not in ("digest", "budget"))
    most = max(per_day.values(), default=0)
    today = ""
    for each in told:
        if _day(each.at) != today:
            today = _day(each.at)
            count = per_day[today]
            bar = "█" * max(round(_BAR * count / most), 1) if count else ""
            yield ""
            yield f"{today}  {count} alert{'s' if count != 1 else ''}  {bar}"
        clock = datetime.fromtimestamp(each.at, UTC).strftime("%H:%M:%S")
        severity = {3: "error", 4: "warning", 5: "notice"}.get(each.alert.severity, "warning")
        text = printable(each.alert.text, max(min(_TEXT_CHARS, 2 * width), 60))
        yield f"  {clock}  {severity:7}  {each.alert.id}  {text}"
    sent = sum(per_day.values())
    yield ""
    yield (
        f"{_clock(events.first_at)} to {_clock(events.last_at)} (UTC): {events.lines:,} lines, "
        f"{events.anomalous:,} anomalous."
    )
    yield (
        f"{sent} alert{'' if sent == 1 else 's'}, {sent / days:.1f} a day, and "
        f"{sum(each.kind == 'digest' for each in told)} digests."
        + (f" The budget held back {len(replay.held)} groups." if replay.held else "")
    )
    if sequences is not None:
        yield from _of_sequences(sequences)
    if events.unstamped:
        lines = sum(events.unstamped.values())
        yield (
            f"{lines:,} lines of {len(events.unstamped)} logs bear no time that could be read: "
            "they count as of the last change of their file."
        )
    if events.left_out:
        yield f"{events.left_out:,} lines of too many different groups were left out."
    often = sorted([*_groups_often(replay), *_kinds_often(told)], key=lambda each: -each[0])
    if often:
        yield "Told most often; if one is no trouble here, the agent can be taught so:"
    for count, said, meant in often[:_NOISIEST]:
        yield f"  {count} ×  {printable(said, max(width - 20, 60))}"
        yield f"       logagent ignore {meant} --for 90d"


def _groups_often(replay: Replay) -> Iterator[tuple[int, bytes | str, str]]:
    """Yield how often a group was told, if more than once, its last line, and how to name it."""
    for group in replay.policy:
        if group.told > 1:
            yield group.told, group.last.text, f"--line '{_quoted(group.last.text)}'"


def _kinds_often(told: list[Told]) -> Iterator[tuple[int, bytes | str, str]]:
    """Yield the same of kinds of sequences, with what carried them in place of a line."""
    records = [json.loads(each.alert.record) for each in told if each.kind == "sequence"]
    counts = Counter(record.get("group", "") for record in records)
    latest = {record.get("group", ""): record for record in records}
    for name, count in counts.items():
        if name and count > 1:
            yield count, description(latest[name]["carried"])[0], f"--sequence {name}"


def _of_sequences(sequences: ReplaySequences) -> Iterator[str]:
    counts = sequences.counts()
    of_them = "1 alert is" if counts["told"] == 1 else f"{counts['told']:,} alerts are"
    yield (
        f"Of these, {of_them} of sequences: {counts['judged']:,} judged, "
        f"{counts['anomalous']:,} anomalous, "
        f"{counts['kinds']:,} kind{'' if counts['kinds'] == 1 else 's'}."
    )
    if not counts["lines"]:
        yield "No line is of a source that [[sequences.rules]] are for."
    elif counts["no_key"] == counts["lines"]:
        yield "No line has what the lines of a session have in common (--session-key)."
    for key, noun, one, more in (
        ("kinds_held_back", "kind", "has more to tell", "have more to tell"),
        (
            "taught",
            "anomalous sequence",
            "is called normal by entries",
            "are called normal by entries",
        ),
        (
            "not_over",
            "anomalous sequence",
            "was not over when the logs were, by its time-out",
            "were not over when the logs were, by their time-out",
        ),
        ("evicted", "sequence", "ended early for want of room (max_sessions)", ""),
        (
            "left_out",
            "anomalous sequence",
            "was too many and is left out",
            "were too many and are left out",
        ),
    ):
        if (count := counts[key]) == 1:
            yield f"1 {noun} {one}."
        elif count:
            yield f"{count:,} {noun}s {more or one}."


def _quoted(line: bytes) -> str:
    return printable(line, 500).replace("'", "'\\''")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
