"""From a configuration to the parts of the running agent: model, inputs, sinks.

Guarantees: what cannot be made raises a `LogagentError` and leaves nothing open behind it, so that
a reload can go on with the old parts.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.config import Config
from logagent.errors import BackendError, BundleError
from logagent.inputs import Input, Report
from logagent.inputs.files import Files
from logagent.inputs.inotify import Inotify
from logagent.inputs.listing import excluding
from logagent.judge import Judge
from logagent.model_store import in_force
from logagent.overrides import Overrides
from logagent.paths import STDIN
from logagent.policy.adaptation import HostAdaptation
from logagent.policy.policy import Policy, Settings
from logagent.policy.telling import Teller
from logagent.scorer import Scorer
from logagent.service.alerts import Alerts, GroupAlerts, LineAlerts
from logagent.service.own_lines import OwnLines
from logagent.sinks import Sink
from logagent.sinks.delivery import Channel, Delivery
from logagent.sinks.jsonl import JsonlSink
from logagent.sinks.spool import Spool, SpoolError
from logagent.sinks.stream import StreamSink

if TYPE_CHECKING:
    from logagent.service.prometheus import Metrics

__all__ = [
    "Model",
    "load_model",
    "make_alerts",
    "make_delivery",
    "make_inputs",
    "make_metrics",
    "open_model",
    "policy_settings",
    "ways_out",
]

_log = logging.getLogger("logagent")
_SPARE_DESCRIPTORS = 96  # for sockets, sinks, the bundle, libraries
_MOST_OPEN = 4096  # files kept open at most, whatever the limit allows
_SYSTEM_LOGS = ("/var/log/syslog", "/var/log/messages")
_JOURNALS = ("/run/log/journal", "/var/log/journal")


@dataclass(frozen=True, slots=True)
class Model:
    """What judges lines."""

    scorer: Scorer
    judge: Judge
    threshold: float


def load_model(config: Config) -> Model:
    """Load the bundle in force and build the detector.

    An updated bundle that this agent cannot use (damaged, or of a format from before an upgrade)
    gives way to the shipped one, and the agent's log says so: a machine far away goes on watching.

    Raises:
        LogagentError: bundle or backend cannot be used.
    """
    found = in_force(config)
    try:
        return open_model(config, found.path)
    except (BundleError, BackendError) as error:
        if found.why != "updated":
            raise
        _log.error("%s; the shipped bundle is used until `logagent model update` mends it", error)
        return open_model(config, DEFAULT_BUNDLE)


def open_model(config: Config, path: Path) -> Model:
    """Load a bundle and build its detector, with the backend and threshold of the configuration.

    Raises:
        LogagentError: bundle or backend cannot be used.
    """
    bundle = Bundle.load(path)
    threshold = config.model.threshold
    if threshold is None:
        try:
            threshold = float(bundle.manifest.thresholds[config.model.sensitivity])
        except KeyError:
            raise BundleError(
                f"bundle {path}: has no sensitivity {config.model.sensitivity!r}"
            ) from None
    scorer = Scorer(bundle, config.model.backend)
    return Model(scorer, Judge(scorer, threshold), threshold)


def make_alerts(
    config: Config,
    model: Model,
    pids: Collection[int],
    overrides: Overrides,
    adaptation: HostAdaptation | None = None,
) -> Alerts:
    """Make what turns judged lines into alerts."""
    own = OwnLines(pids)
    if not config.alerts.group:
        return LineAlerts(host_name(), own, overrides)
    teller = Teller(model.scorer, host_name())
    policy = Policy(
        policy_settings(config), model.threshold, time.time(), adaptation, teller.category
    )
    return GroupAlerts(teller, own, policy, overrides=overrides, adaptation=adaptation)


def policy_settings(config: Config) -> Settings:
    """Return what the configuration says of alerts."""
    alerts = config.alerts
    return Settings(
        wait_seconds=alerts.wait_seconds,
        repeat_seconds=alerts.repeat_seconds,
        budget_per_day=alerts.budget_per_day,
        grace_seconds=alerts.grace_seconds,
        digest_seconds=alerts.digest_seconds,
        clear_seconds=alerts.clear_seconds,
        max_groups=alerts.max_groups,
    )


def make_inputs(
    config: Config, saved: Mapping[str, Any] | None, report: Report, pids: Collection[int]
) -> list[Input]:
    """Open all inputs.

    Args:
        config: in force.
        saved: state of every input by name; None at the first start ever.
        report: hears of trouble.
        pids: process ids whose lines are the agent's own.

    Raises:
        LogagentError: an address cannot be listened on.
        ValueError: `saved` makes no sense.
    """
    inputs: list[Input] = []
    try:
        paths = [path for path in config.watch.paths if path != STDIN]
        if paths:
            inputs.append(_files(config, paths, saved, report))
        if len(paths) < len(config.watch.paths):
            from logagent.inputs.standard_input import StandardInput  # noqa: PLC0415

            inputs.append(StandardInput(report))
        if _wants_journal(config):
            from logagent.inputs.journal import Journal  # noqa: PLC0415

            journal = Journal(
                report,
                (saved or {}).get(Journal.name),
                units=config.journal.units,
                from_start=config.watch.from_start,
                command=config.journal.command,
                own_pids=pids,
            )
            inputs.append(journal)
        if config.syslog.udp or config.syslog.tcp:
            from logagent.inputs.syslog import SyslogListener  # noqa: PLC0415

            listener = SyslogListener(
                report,
                udp=config.syslog.udp or None,
                tcp=config.syslog.tcp or None,
                max_message_bytes=config.syslog.max_message_bytes,
                max_connections=config.syslog.max_connections,
            )
            inputs.append(listener)
    except BaseException:
        for each in inputs:
            each.close()
        raise
    return inputs


def _files(
    config: Config, paths: list[str], saved: Mapping[str, Any] | None, report: Report
) -> Files:
    own = [str(config.state.folder()), *([config.sinks.jsonl] if config.sinks.jsonl else [])]
    inotify = Inotify.open(lambda reason: report("inotify", reason))
    try:
        return Files(
            paths,
            report,
            saved=None if saved is None else saved.get(Files.name),
            from_start=config.watch.from_start,
            excluded=excluding(config.watch.exclude, [os.path.abspath(path) for path in own]),
            poll_seconds=config.watch.poll_seconds,
            trace_seconds=config.watch.trace_seconds,
            max_open=_max_open(),
            inotify=inotify,
        )
    except BaseException:
        if inotify is not None:
            inotify.close()
        raise


def _max_open() -> int:
    """Raise the limit of open files as far as allowed; return how many logs may be open."""
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _MOST_OPEN + _SPARE_DESCRIPTORS)
    if hard == resource.RLIM_INFINITY:
        wanted = _MOST_OPEN + _SPARE_DESCRIPTORS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(min(soft - _SPARE_DESCRIPTORS, _MOST_OPEN), 16)


def _wants_journal(config: Config) -> bool:
    """Tell whether the journal is read: if asked for, or where it is all there is."""
    if config.journal.enabled != "auto":
        return bool(config.journal.enabled)
    return (
        config.origins.get("watch.paths") is None
        and not any(map(os.path.exists, _SYSTEM_LOGS))
        and any(map(os.path.isdir, _JOURNALS))
        and _which(config.journal.command)
    )


def _which(command: str) -> bool:
    if "/" in command:
        return os.access(command, os.X_OK)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(folder, command), os.X_OK) for folder in folders)


def make_delivery(config: Config, report: Report) -> Delivery:
    """Make all sinks, each with its spool in the state folder."""
    sinks: list[Sink] = []
    if config.sinks.stdout:
        sinks.append(StreamSink("stdout", 1, _human(config)))
    if config.sinks.jsonl:
        sinks.append(
            JsonlSink(
                os.path.abspath(config.sinks.jsonl),
                config.sinks.jsonl_max_bytes,
                config.sinks.jsonl_keep,
                report=report,
            )
        )
    if config.sinks.syslog:
        from logagent.sinks.syslog import SyslogSink  # noqa: PLC0415 - costs 0.3 MiB

        address = "/dev/log" if config.sinks.syslog == "local" else config.sinks.syslog
        sinks.append(
            SyslogSink(
                address,
                host_name(),
                config.sinks.syslog_facility,
                ca_file=config.sinks.syslog_ca_file,
            )
        )
    if (
        config.sinks.journal
        or config.webhook.url
        or config.webhook.url_file
        or config.mqtt.address
        or config.mail.to
    ):
        from logagent.service.ways_out import more_sinks  # noqa: PLC0415

        sinks += more_sinks(config, host_name(), report)
    folder = config.state.folder() / "spool"
    channels = [
        Channel(sink, _spool(folder / sink.name, config.sinks.spool_bytes, report))
        for sink in sinks
    ]
    return Delivery(channels, report, _Jitter())


def ways_out(config: Config) -> tuple[object, ...]:
    """Return the sections that `make_delivery` goes by."""
    return config.sinks, config.webhook, config.mqtt, config.mail


def make_metrics(config: Config, report: Report) -> Metrics | None:
    """Make what tells Prometheus; None where nobody asks for it."""
    if not (config.prometheus.textfile or config.prometheus.listen):
        return None
    from logagent.service.prometheus import Metrics  # noqa: PLC0415

    return Metrics(config.prometheus, report)


class _Jitter:
    """Random numbers for pauses; the library's `random` costs 0.2 MiB."""

    def random(self) -> float:
        return int.from_bytes(os.urandom(6), "big") / (1 << 48)


def _spool(folder: Path, max_bytes: int, report: Report) -> Spool | None:
    try:
        return Spool(folder, max_bytes)
    except SpoolError as error:
        report("no-spool", f"{error}; while the sink {folder.name} is down, no line is read")
        return None


def _human(config: Config) -> bool:
    if config.sinks.format != "auto":
        return config.sinks.format == "human"
    if sys.stdout is None:
        return False
    try:
        status = os.fstat(1)
    except OSError:
        return False
    # Under systemd standard output is the journal, which people read.
    journal = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return journal or os.isatty(1)


def host_name() -> str:
    """Return the name of this machine, as it is in every record."""
    return socket.gethostname() or "localhost"
