"""The running agent: poll, judge, deliver, save. One thread does all of it.

Guarantees: a batch is accepted, and with it the position moves, only after every sink or its spool
has taken what came of it; positions are saved only after sinks and spools are durable; nothing in
the loop waits for longer than the limits its parts document, so a turn that ends is progress, and
the watchdog is told after a turn and nowhere else.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logagent import __version__
from logagent.config import Config, load
from logagent.errors import BundleError, LogagentError
from logagent.inputs import Batch, Input
from logagent.model_store import in_force
from logagent.overrides import FILE_NAME, Overrides, OverridesFile
from logagent.policy.facts import FILE_NAME as FACTS_NAME
from logagent.policy.facts import Facts, save
from logagent.service import memory
from logagent.service.adapting import adapted, is_to_forget, load_facts, make_adaptation
from logagent.service.alerts import Alerts, GroupAlerts, Plan
from logagent.service.log import AgentLog, Reporter, set_up
from logagent.service.notify import Notifier
from logagent.service.own_lines import OwnLines
from logagent.service.parts import (
    Model,
    host_name,
    load_model,
    make_alerts,
    make_delivery,
    make_inputs,
    make_metrics,
    ways_out,
)
from logagent.service.self_report import greeting, status, summary
from logagent.service.state import StateFolder
from logagent.service.status import StatusServer
from logagent.sinks.delivery import Blocked
from logagent.traces import Joiner

if TYPE_CHECKING:
    from logagent.service.sequencing import SequenceAlerts

__all__ = ["Agent"]

SETTLE_SECONDS = 0.02  # [s] between turns that a log woke: fifty a second are enough for people
_QUIET_SAVES = 6  # without an alert, positions are saved so many times more rarely
_BLOCKED_SECONDS = 1.0  # [s] before a batch that nobody could take is tried again
_LONGEST_WAIT = 3600.0  # [s]
_HEARTBEAT_SECONDS = 3600.0  # [s] between lines of counters in the agent's own log
_DUE_SECONDS = 10.0  # [s] between looks for groups to be told again
_TRIM_SECONDS, _TRIM_LINES = 10.0, 20_000  # [s], lines: both must have passed
_FINISH_SECONDS = 5.0  # [s] that sinks may take nothing for, when nothing more can come
_DRAIN_SECONDS = 2.0  # [s] for what is buffered, when asked to stop
_PIDS = 16  # earlier runs whose lines are still known as our own
_JOINERS = 256  # sources of which it is known whether a trace is open

_log = logging.getLogger("logagent")


class Agent:
    """One run of the agent."""

    def __init__(self, config_file: Path | None, overrides: Mapping[str, Any]) -> None:
        """Read the configuration; open nothing yet.

        Raises:
            ConfigError: it cannot be used.
        """
        self._config_file = config_file
        self._overrides = overrides
        self.config = load(config_file, overrides)
        self.reporter = Reporter()
        self.lines = self.bytes = self.anomalous = self.alerts_sent = 0
        self.own_lines = self.hidden_lines = 0
        self._stop = 0
        self._reload = False
        self.changed = False  # since the state was saved
        self._alerted = False
        self._next_save = math.inf
        self.blocked_until = -math.inf
        self._joiners: dict[str, Joiner] = {}
        self.overrides = Overrides()
        self.sequences: SequenceAlerts | None = None
        self._resting: object = None  # what is kept of sequences while the model cannot judge them
        self._lasting: dict[str, str] = {}  # trouble that was told and is not over
        self._learned: Facts | None = None  # told, but not saved yet
        self._spins = 0
        self._unfinished = 0  # alerts that waited when a sink took the last one
        self._finish_by = math.inf

    def run(self) -> int:
        """Run until told to stop, or until every input has ended; return the exit code.

        Raises:
            LogagentError: the agent cannot start.
        """
        log = set_up(self.config.log.level, self.config.log.format)
        try:
            return self._run(log)
        finally:
            log.close()

    def _run(self, log: AgentLog) -> int:
        self._agent_log = log
        self._signals()
        self.notifier = Notifier.from_environment()
        self.model = load_model(self.config)
        self.folder = StateFolder(self.config.state.folder(), self.reporter)
        try:
            self.overrides_file = OverridesFile(self.folder.folder / FILE_NAME, self.reporter)
            self.overrides = self.overrides_file.poll(time.time()) or Overrides()
            self._open()
            self.status_server = StatusServer(self.folder.folder, self.reporter)
            self.metrics = make_metrics(self.config, self.reporter)
            self.started = time.monotonic()
            _log.info("%s", greeting(self))
            memory.give_back()
            try:
                self._loop()
            finally:
                self.notifier.stopping()
                self.status_server.close()
                if self.metrics is not None:
                    self.metrics.close()
                for each in self.inputs:
                    each.close()
                self.delivery.close()
        finally:
            self.folder.close()
        return 0

    def _open(self) -> None:
        """Open inputs and sinks, where the last run left them."""
        while (state := self.folder.load()) is not None:
            try:
                self._restore(state)
            except ValueError as error:
                self.folder.reject(str(error))
            else:
                return
        self._restore(None)

    def _restore(self, state: dict[str, Any] | None) -> None:
        saved = {} if state is None else state
        pids = saved.get("pids", [])
        if not isinstance(pids, list) or not all(isinstance(pid, int) for pid in pids):
            raise ValueError("has no list of process ids")
        self.pids = [*pids[1 - _PIDS :], os.getpid()]
        self.model, self.alerts = self._judging(self.config, self.model, saved.get("alerts", []))
        inputs = saved.get("inputs") if state is not None else None
        if state is not None and not isinstance(inputs, dict):
            raise ValueError("has no inputs")
        config = self.config
        if self.folder.set_aside and state is None:
            # What was read before is not known any more: rather twice than not at all.
            self.reporter(
                "state-lost",
                "how far the logs were read is not known: they are read from the start",
            )
            inputs = {}
            config = replace(config, watch=replace(config.watch, from_start=True))
        self.inputs = make_inputs(config, inputs, self.reporter, self.pids)
        self.delivery = make_delivery(self.config, self.reporter)
        self.sequences = self._sequences(self.config, self.model, saved.get("sequences"))

    def _sequences(self, config: Config, model: Model, saved: object) -> SequenceAlerts | None:
        """Return what judges sequences; None if nobody wants it, or an updated model cannot.

        Raises:
            BundleError: the model cannot, and was not put there by an update.
        """
        if not config.sequences.enabled:
            self._resting = None
            return None
        from logagent.service.sequencing import at_rest, make_sequences  # noqa: PLC0415 - few want it

        try:
            bundle, own = model.scorer.bundle, OwnLines(self.pids)
            made = make_sequences(config, bundle, host_name(), self.reporter, saved, own)
        except BundleError as error:
            if in_force(config).why != "updated":
                raise
            self.reporter("no-sequences", f"sequences are not judged: {error}")
            self._resting = at_rest(saved)
            return None
        made.teach(self.overrides)
        self._resting = None
        return made

    def _judging(self, config: Config, model: Model, saved: object) -> tuple[Model, Alerts]:
        """Return what judges lines and what makes alerts of them, as this host needs them.

        Raises:
            ValueError: what was saved of the alerts makes no sense.
        """
        folder = self.folder.folder
        facts = load_facts(folder, model, self.reporter)
        adaptation = make_adaptation(config, model, facts, self.reporter)
        model = adapted(model, config, adaptation, self.overrides)
        alerts = make_alerts(config, model, self.pids, self.overrides, adaptation)
        alerts.load(saved)
        if adaptation is not None and is_to_forget(folder, self.reporter):
            adaptation.forget()
        return model, alerts

    def _signals(self) -> None:
        def stop(number: int, _frame: object) -> None:
            self._stop += 1
            if self._stop > 2:  # somebody is impatient: positions are as saved last
                os._exit(128 + number)

        def reload(_number: int, _frame: object) -> None:
            self._reload = True

        self._wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)

    # -- the loop

    def _loop(self) -> None:
        now = time.monotonic()
        self._next_save = now + self.config.state.save_seconds
        self._next_heartbeat = now + _HEARTBEAT_SECONDS
        self._next_due = now + _DUE_SECONDS
        self._next_trim, self._trimmed_lines = now, 0
        self._next_watchdog = -math.inf
        ready = False
        while not self._stop:
            now = time.monotonic()
            if self._reload:
                self._reload = False
                self._reload_all()
            busy = self._turn(now)
            if time.monotonic() >= self._save_due():
                self._save()
            self._housekeeping(time.monotonic())
            if not ready:
                ready = True
                self.notifier.ready(summary(self))
            if all(each.ended() for each in self.inputs) and self._is_finished(time.monotonic()):
                break
            self._wait(now, busy)
        self._drain()

    def _waiting_alerts(self) -> int:
        return sum(int(sink["spooled"]) for sink in self.delivery.status())

    def _is_finished(self, now: float) -> bool:
        """Tell, when nothing more can come, whether a slow reader has all or takes nothing."""
        waiting = self._waiting_alerts()
        if waiting != self._unfinished:
            self._unfinished, self._finish_by = waiting, now + _FINISH_SECONDS
        return not waiting or now >= self._finish_by

    def _turn(self, now: float) -> bool:
        """Take what is there from every input; tell whether there was anything."""
        busy = False
        if now < self.blocked_until:
            return False
        self._learn_overrides()
        # What is due goes out before more is read: nothing piles up behind a sink that is full.
        if self.alerts.wait_seconds() <= 0 and not self._tell():
            return False
        if not self._tell_sequences():
            return False
        for each in self.inputs:
            # A turn ends after one round, so that no input starves another, nor the watchdog.
            for batch in each.poll(now):
                if not self._take(batch):
                    return False
                each.accepted(batch)
                busy = True
            if each.wants_save:
                self._save()
                each.wants_save = False
                busy = True
        return busy

    def _learn_overrides(self) -> None:
        """Go by what the operator has said since the last turn."""
        if (overrides := self.overrides_file.poll(time.time())) is not None:
            self.model.judge.teach(overrides)
            self.alerts.teach(overrides)
            if self.sequences is not None:
                self.sequences.teach(overrides)
            self.overrides = overrides
            self.changed = True

    def _tell(self, *, ending: bool = False) -> bool:
        """Send the alerts that are due; tell whether that worked."""
        plan = self.alerts.due(ending=ending)
        if not plan.tellings:
            return True
        self.changed = True
        return self._deliver(plan)

    def _tell_sequences(self) -> bool:
        """Send what sequences wait to say; tell whether that worked."""
        while self.sequences is not None and (alert := self.sequences.next_alert()) is not None:
            if not self._deliver(Plan([alert])):
                return False
            self.sequences.delivered()
            self.changed = True
        return True

    def _end_learning(self) -> None:
        """When the time is over: say what was learnt, and go by it."""
        alerts, now = self.alerts, time.time()
        if not isinstance(alerts, GroupAlerts) or alerts.adaptation is None:
            return
        adaptation = alerts.adaptation
        if not adaptation.tick(now) or (learner := adaptation.learner) is None:
            return
        facts = self._learned
        if facts is None:
            facts = learner.finish(now, host_name(), self.model.scorer.bundle.sha256)
            if not self._deliver(Plan([alerts.teller.learned(facts)])):
                return  # again in ten seconds
            self._learned = facts
        try:
            save(self.folder.folder / FACTS_NAME, facts)
        except OSError as error:  # likewise
            self._lasts("facts", f"what was learnt cannot be saved yet: {error.strerror}")
            return
        self._is_over("facts", "what was learnt is saved")
        adaptation.learner, self._learned, self.changed = None, None, True
        self._reload = True  # the judge's threshold changes

    def _take(self, batch: Batch) -> bool:
        """Judge a batch and deliver what comes of it; tell whether that worked."""
        verdicts = self.model.judge.judge(batch.block)
        batch.block.counted(len(verdicts))
        joined = 0
        if self.config.alerts.group:
            verdicts, joined = self._joiner(batch.source).join(batch.block, verdicts)
        plan = self.alerts.plan(batch, verdicts, joined)
        if not self._deliver(plan):
            return False
        self.lines += len(verdicts)
        self.bytes += len(batch.block.data) + 1
        self.changed = True
        if self.sequences is not None:  # not before: a batch that was not taken comes again
            self.sequences.see(batch)
        return True

    def _deliver(self, plan: Plan) -> bool:
        try:
            for alert in plan.alerts:
                self.delivery.deliver(alert)
        except Blocked as blocked:
            self._lasts("blocked", f"no line is read until alerts can go out: {blocked.reason}")
            self.blocked_until = time.monotonic() + _BLOCKED_SECONDS
            return False
        self._is_over("blocked", "alerts go out, lines are read again")
        self.delivery.accepted()
        self.alerts.commit(plan)
        self.anomalous += plan.anomalous
        self.own_lines += plan.own
        self.hidden_lines += plan.hidden
        self.alerts_sent += len(plan.alerts)
        if self.metrics is not None:
            self.metrics.count(plan.alerts)
        self._alerted |= bool(plan.alerts)
        return True

    def _joiner(self, source: str) -> Joiner:
        joiner = self._joiners.get(source)
        if joiner is None:
            if len(self._joiners) >= _JOINERS:
                del self._joiners[next(iter(self._joiners))]
            joiner = self._joiners[source] = Joiner()
        return joiner

    def _save_due(self) -> float:
        """Return when positions are to be saved [s, monotonic]; infinite if they have not moved."""
        if not self.changed:
            return math.inf
        if self._alerted:
            return self._next_save
        # Without an alert since the last save, a crash repeats no alert: spare flash memory.
        return self._next_save + self.config.state.save_seconds * (_QUIET_SAVES - 1)

    def _save(self) -> None:
        now = time.monotonic()
        self._next_save = now + self.config.state.save_seconds
        state = {
            "version": __version__,
            "saved": int(time.time()),
            "pids": self.pids,
            "inputs": {each.name: dict(each.state()) for each in self.inputs},
            "alerts": self.alerts.state(),
        }
        if self.sequences is not None:
            state["sequences"] = self.sequences.state()
        elif self._resting is not None:
            state["sequences"] = self._resting
        try:
            self.delivery.sync()
            self.folder.save(state)
        except Blocked as blocked:
            self._lasts("not-saved", f"positions are not saved: {blocked.reason}")
        except OSError as error:
            self._lasts(
                "not-saved",
                f"state folder {self.folder.folder}: {error.strerror}; positions are not saved, "
                "a restart would repeat alerts",
            )
        else:
            self.changed = self._alerted = False
            if self._is_over("not-saved", "positions are saved again"):
                self.status_server.close()  # its socket may have failed for the same reason
                self.status_server = StatusServer(self.folder.folder, self.reporter)

    def _lasts(self, kind: str, message: str) -> None:
        """Report trouble once, however often it is met, until it is over or changes."""
        if self._lasting.get(kind) != message:
            self._lasting[kind] = message
            self.reporter(kind, message)

    def _is_over(self, kind: str, message: str) -> bool:
        if self._lasting.pop(kind, None) is None:
            return False
        _log.info("%s", message)
        return True

    def _housekeeping(self, now: float) -> None:
        """What is due by the clock."""
        self.delivery.tick(now)
        self._agent_log.tick()
        self.status_server.serve(lambda: status(self))
        if self.metrics is not None:
            self.metrics.serve(now, lambda: status(self))
        if now >= self._next_due:
            self._next_due = now + _DUE_SECONDS
            if self.sequences is not None and self.sequences.tick():
                self._next_due = now
            if now >= self.blocked_until and self._tell():
                self._end_learning()
        if now >= self._next_trim and self.lines > self._trimmed_lines + _TRIM_LINES:
            self._next_trim, self._trimmed_lines = now + _TRIM_SECONDS, self.lines
            memory.give_back()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + _HEARTBEAT_SECONDS
            _log.info("%s", summary(self))
        if now >= self._next_watchdog:
            self._next_watchdog = now + self.notifier.watchdog_seconds / 2
            self.notifier.watchdog()
            self.notifier.status(summary(self))

    def _wait(self, began: float, busy: bool) -> None:
        """Wait until something is to be done."""
        now = time.monotonic()
        blocked = now < self.blocked_until
        tells = self.sequences is not None and self.sequences.next_alert() is not None
        due = min(
            self._next_heartbeat,
            self._next_watchdog,
            self.delivery.deadline(now),
            self._save_due(),
            self._next_due,
            now + (math.inf if blocked else 0.0 if tells else self.alerts.wait_seconds()),
            self._finish_by,
            math.inf if self.metrics is None else self.metrics.deadline(),
            self.blocked_until if blocked else min(each.deadline(now) for each in self.inputs),
            now + _LONGEST_WAIT,
        )
        if due <= now:
            self._spins = 0 if busy else self._spins + 1
            if self._spins < 3:
                return
            due = now + SETTLE_SECONDS  # something is due all the time, and nothing comes of it
        ready = select.poll()
        ready.register(self._wake, select.POLLIN)
        asked = [] if self.metrics is None else self.metrics.descriptors()
        for descriptor in (*self.status_server.descriptors(), *asked):
            ready.register(descriptor, select.POLLIN)
        if not blocked:
            for each in self.inputs:
                for descriptor in each.descriptors():
                    ready.register(descriptor, select.POLLIN)
        woken = {descriptor for descriptor, _ in ready.poll(math.ceil((due - now) * 1000))}
        if self._wake in woken:
            os.read(self._wake, 4096)
        elif woken and (since := time.monotonic() - began) < SETTLE_SECONDS and busy:
            time.sleep(SETTLE_SECONDS - since)

    def _drain(self) -> None:
        """Take what is there, for a moment, then save."""
        stop = time.monotonic() + _DRAIN_SECONDS
        self.blocked_until = -math.inf
        while self._turn(now := time.monotonic()) and now < stop:
            pass
        self._tell(ending=True)
        if self.sequences is not None and all(each.ended() for each in self.inputs):
            self.sequences.close()  # otherwise what is open goes on after the next start
        self._tell_sequences()
        self.delivery.settle(_DRAIN_SECONDS)
        self._save()
        if waiting := self._waiting_alerts():
            _log.warning("%d alerts wait for their sinks, and go out after the next start", waiting)
        _log.info("stopped: %s", summary(self))

    # -- reload

    def _reload_all(self) -> None:
        """Read configuration and bundle again; keep everything as it was on any error."""
        self.notifier.reloading()
        try:
            self._replace_parts()
        except (LogagentError, OSError, ValueError) as error:
            for line in str(error).splitlines() or [""]:
                self.reporter("reload-failed", f"nothing was changed: {line}")
        else:
            _log.info("reloaded: %s", greeting(self))
            memory.give_back()
        self.notifier.ready(summary(self))

    def _replace_parts(self) -> None:
        config = load(self._config_file, self._overrides)
        model = load_model(config)
        if config.state.folder() != self.folder.folder:
            raise ValueError("another state folder needs a restart")
        same = config.alerts.group == self.config.alerts.group
        model, alerts = self._judging(config, model, self.alerts.state() if same else [])
        saved = self._resting if self.sequences is None else self.sequences.state()
        sequences = self._sequences(config, model, saved)
        self._save()
        old = self.config
        same = (config.watch, config.journal, config.syslog, config.sinks.jsonl) == (
            old.watch,
            old.journal,
            old.syslog,
            old.sinks.jsonl,
        )
        if not same:
            self._replace_inputs(config)
        if ways_out(config) != ways_out(old):
            self.delivery.close()
            self.delivery = make_delivery(config, self.reporter)
        if config.prometheus != old.prometheus:
            if self.metrics is not None:
                self.metrics.close()
            self.metrics = make_metrics(config, self.reporter)
        self.config, self.model, self.alerts = config, model, alerts
        self.sequences = sequences
        self._joiners.clear()
        self.blocked_until = -math.inf
        logging.getLogger().setLevel(config.log.level.upper())

    def _replace_inputs(self, config: Config) -> None:
        saved = {each.name: dict(each.state()) for each in self.inputs}
        kept = [
            each for each in self.inputs if each.name == "stdin"
        ]  # what it has read is only here
        for each in self.inputs:
            if each not in kept:
                each.close()
        try:
            self.inputs = self._inputs(config, saved, kept)
        except (LogagentError, OSError, ValueError):
            self.inputs = self._inputs(self.config, saved, kept)
            raise

    def _inputs(self, config: Config, saved: dict[str, Any], kept: list[Input]) -> list[Input]:
        names = {each.name for each in kept}
        made = make_inputs(config, saved, self.reporter, self.pids)
        return [*kept, *(each for each in made if each.name not in names)]
