"""What `logagent scan` does with a `Scan`: print groups, records, progress and counters.

Guarantees: standard output holds results only; a pipe's groups are printed as they come; Ctrl-C
ends the scan, prints what was found so far and exits with `EXIT_INTERRUPTED`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent.bundle import Bundle
from logagent.errors import (
    EXIT_ANOMALIES,
    EXIT_INPUT_PROBLEM,
    EXIT_INTERRUPTED,
    EXIT_OK,
    BundleError,
)
from logagent.explain import Word, words_that_count
from logagent.groups import Group
from logagent.kinds import Kind, Kinds
from logagent.paths import STDIN, SourceProblem
from logagent.progress import Progress
from logagent.records import dumps, group_record, line_records
from logagent.report import Style, group_lines, totals_line
from logagent.sanitise import printable
from logagent.scan import Scan, Step
from logagent.scorer import Scorer
from logagent.sources import Limits
from logagent.times import TimeParser

if TYPE_CHECKING:
    from logagent.html_report import HtmlReport
    from logagent.overrides import Overrides
    from logagent.sequences.scanning import ScanSequences, SequenceOptions

__all__ = ["Options", "scan_command"]


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, parsed. See `logagent scan --help`."""

    human: bool
    every_line: bool
    top: int | None
    sensitivity: str
    threshold: float | None
    since: float | None
    exit_code: bool
    quiet: bool
    stats: bool
    backend: str
    bundle: Path
    binary: bool
    max_ratio: int | None
    width: int
    colour: bool
    progress: bool
    html: Path | None = None
    """File for a page of the results."""
    overrides: Path | None = None
    """File with what an operator has said of groups of lines, and of sequences."""
    sequences: SequenceOptions | None = None
    """How lines make sequences that are judged too; None: they are not."""


def scan_command(paths: Sequence[str], options: Options) -> int:
    """Scan `paths` and print the results; return the exit code.

    Raises:
        LogagentError: the bundle, the backend or the overrides cannot be used, or `html` cannot
            be written (then nothing was read); or it could not be written in the end.
        OSError: standard output cannot be written.
    """
    bundle = Bundle.load(options.bundle)
    threshold = _threshold(bundle, options)
    overrides = None if options.overrides is None else _overrides(options.overrides)
    live = STDIN in paths
    sequences = (
        None if options.sequences is None else _sequences(bundle, options, overrides, live=live)
    )
    scorer = Scorer(bundle, options.backend)
    printer = _Printer(scorer, options, live=live)
    report = None
    if options.html is not None:
        report = _report(options.html, paths, options, threshold, bundle, printer)
    limits = Limits(binary=options.binary)
    if options.max_ratio is not None:
        limits = replace(limits, max_ratio=options.max_ratio)
    scan = Scan(
        scorer,
        threshold=threshold,
        since=options.since,
        keep_normal=options.every_line and not options.quiet,
        limits=limits,
        leave_out=None if report is None else str(report.path),
        overrides=overrides,
        on_problem=printer.problem,
    )
    watchers = [each for each in (report, sequences) if each is not None]
    interrupted = False
    try:
        for step in scan.steps(paths):
            printer.step(step, scan)
            for each in watchers:
                each.see(step, scan)
    except KeyboardInterrupt:
        interrupted = True
    printer.end(scan, sequences, interrupted=interrupted)
    if report is not None:
        report.write(scan, interrupted=interrupted)
    if options.stats:
        print(json.dumps(_stats(scan, scorer, threshold, sequences)), file=sys.stderr)  # noqa: T201
    if interrupted:
        return EXIT_INTERRUPTED
    if printer.partial:
        return EXIT_INPUT_PROBLEM
    found = scan.groups.anomalous_lines or (sequences is not None and sequences.watch.anomalous)
    return EXIT_ANOMALIES if options.exit_code and found else EXIT_OK


def _sequences(
    bundle: Bundle, options: Options, overrides: Overrides | None, *, live: bool
) -> ScanSequences:
    """Prepare what judges sequences; its modules are loaded only for those who want it."""
    from logagent.sequences.scanning import ScanSequences, SequenceOptions  # noqa: PLC0415

    def say(record: str) -> None:
        if not options.quiet:
            print(record, flush=live)  # noqa: T201

    chosen = options.sequences or SequenceOptions()
    style = Style(options.width, options.colour)
    return ScanSequences(bundle, chosen, None if options.human else say, style, overrides)


def _report(
    path: Path,
    paths: Sequence[str],
    options: Options,
    threshold: float,
    bundle: Bundle,
    printer: _Printer,
) -> HtmlReport:
    """Prepare the page; its modules are loaded only for those who want one."""
    from logagent.html_report import HtmlReport  # noqa: PLC0415 - costs 1 MiB

    return HtmlReport.to(
        path,
        paths,
        threshold=threshold,
        sensitivity=options.sensitivity if options.threshold is None else None,
        bundle=bundle,
        explain=printer.explain,
    )


def _overrides(path: Path) -> Overrides:
    """Return what a file says that somebody named: it must be there."""
    from logagent.overrides import Overrides, OverridesError  # noqa: PLC0415 - few name one

    if not path.exists():
        raise OverridesError(f"{printable(str(path), 1000)}: no such file")
    return Overrides.load(path, time.time())


def _threshold(bundle: Bundle, options: Options) -> float:
    if options.threshold is not None:
        return options.threshold
    try:
        return float(bundle.manifest.thresholds[options.sensitivity])
    except KeyError:
        known = ", ".join(bundle.manifest.thresholds)
        raise BundleError(
            f"bundle {bundle.path}: has no sensitivity {options.sensitivity!r}, only {known}"
        ) from None


class _Printer:
    """Writes results to standard output and everything else to standard error."""

    def __init__(self, scorer: Scorer, options: Options, *, live: bool) -> None:
        self.partial = False
        """Whether something that should have been read was not."""
        self._scorer = scorer
        self._kinds = Kinds(scorer.bundle)
        self._options = options
        self._live = live and not options.every_line
        self._shown = 0  # groups printed as they came
        self._times = TimeParser()
        self._style = Style(options.width, options.colour)
        self._progress = Progress(
            sys.stderr,
            enabled=options.progress and not (options.every_line and sys.stdout.isatty()),
            width=options.width,
        )

    def problem(self, problem: SourceProblem) -> None:
        """Report trouble with a source, on one line."""
        self.partial |= problem.partial
        self._progress.wipe()
        message = printable(f"{problem.source}: {problem.message}", 500)
        print(f"logagent: {message}", file=sys.stderr)  # noqa: T201

    def step(self, step: Step, scan: Scan) -> None:
        """Print what a block brought."""
        if self._options.quiet:
            return
        if self._options.every_line:
            self._lines(step)
        elif self._live and step.new_groups:
            self._progress.wipe()
            scan.groups.settle()
            for group in step.new_groups:
                self._shown += 1
                self._group(self._shown, group, group.rank(scan.groups.lines))
            sys.stdout.flush()
        self._progress.update(step, scan.totals, len(scan.groups))

    def end(self, scan: Scan, sequences: ScanSequences | None, *, interrupted: bool) -> None:
        """Print the ranked groups, the totals and the sequences."""
        if sequences is not None and not interrupted:  # else what is open is not over
            sequences.close()
        self._progress.wipe()
        if self._options.quiet:
            return
        if not self._options.every_line:
            self._groups(scan)
        if sequences is not None and self._options.human:
            print("", *sequences.lines(self._options.top), sep="\n")  # noqa: T201

    def _groups(self, scan: Scan) -> None:
        groups = scan.groups.ranked()
        shown = groups[: self._options.top]
        if self._options.human and self._live and shown:
            print("\nRanked by score × novelty:")  # noqa: T201
        for number, group in enumerate(shown, 1):
            if self._options.human or group.shown != group.count:
                self._group(number, group, group.rank(scan.groups.lines))
        if self._options.human:
            if len(groups) > len(shown):
                print(f"… and {len(groups) - len(shown):,} more groups (--top)")  # noqa: T201
            counts = scan.groups.anomalous_lines, scan.groups.dropped_groups
            print(totals_line(scan.totals, len(groups), *counts))  # noqa: T201

    def explain(self, group: Group) -> tuple[list[Word], Kind]:
        """Return the words that carried a group's decision, and its kind."""
        embedding = self._scorer.embedding.embed([group.template])[0]
        return words_that_count(self._scorer, group.template), self._kinds.of(embedding)

    def _group(self, number: int, group: Group, rank: float) -> None:
        group.shown = group.count
        words, kind = self.explain(group)
        if self._options.human:
            print(*group_lines(number, group, words, kind, self._times, self._style), sep="\n")  # noqa: T201
        else:
            print(dumps(group_record(group, self._times, words, kind, rank)))  # noqa: T201

    def _lines(self, step: Step) -> None:
        if self._options.human:
            self._progress.wipe()
            for text, verdict in zip(step.block.data.split(b"\n"), step.verdicts, strict=True):
                score = self._style.paint(
                    f"{verdict.score:.2f}", "31;1" if verdict.anomalous else "2"
                )
                print(f"{score}  {printable(text, max(self._options.width - 6, 20))}")  # noqa: T201
        else:
            records = line_records(step, self._times)
            sys.stdout.write("".join(f"{dumps(record)}\n" for record in records))


def _stats(
    scan: Scan, scorer: Scorer, threshold: float, sequences: ScanSequences | None
) -> dict[str, Any]:
    totals, counters = scan.totals, scan.judge.counters
    return {
        "sources": totals.sources,
        "lines": totals.lines,
        "bytes": totals.bytes,
        "seconds": round(totals.seconds, 4),
        "lines_per_second": round(totals.lines / max(totals.seconds, 1e-9)),
        "groups": len(scan.groups),
        "anomalies": scan.groups.anomalous_lines,
        "groups_not_kept": scan.groups.dropped_groups,
        "fast_misses": counters.fast_misses,
        "loose_misses": counters.loose_misses,
        "template_misses": counters.template_misses,
        "cut_lines": totals.cut_lines,
        "skipped_lines": totals.skipped_lines,
        "problems": totals.problem_count,
        "threshold": round(threshold, 6),
        "backend": scorer.backend.name,
        "bundle": scorer.bundle.sha256,
        "rss_anon_bytes": _rss_anon_bytes(),
    } | ({} if sequences is None else {"sequences": sequences.counts()})


def _rss_anon_bytes() -> int | None:
    """Return the private memory of this process now, where the system tells."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:  # no /proc: not Linux, or hidden
        return None
    return None
