"""Whatever happens to logs, in any order: every line is seen, and again only after a crash.

Each step does to real files what rotation, administrators and crashes do. Lines are numbered, so
that a lost, torn, repeated or renamed one is told at once. `LOGAGENT_ROTATION_EXAMPLES` asks for
more than the default run has time for.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.agent.inputs.followed import Followed

_LONGEST = 64 * 1024  # [bytes] kept of a line
_DRAIN = 50.0  # [s] below the time after which half a line of a rotated file is given up
_GENERATIONS = 4
BANNERS = {
    "none": [],
    "line": ["--- log started ---"],
    "long": [f"[    0.000000] Booting on physical CPU, step {step:02}" for step in range(40)],
}


@dataclass
class Writer:
    """A process that holds a log open."""

    path: Path
    append: bool
    pending: str = ""
    """The end of a line whose first half is written."""

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self.append else 0)
        self.fd = os.open(self.path, flags, 0o644)
        os.lseek(self.fd, 0, os.SEEK_END)

    def write(self, text: str) -> None:
        text, self.pending = self.pending + text, ""
        os.write(self.fd, text.encode())

    def complete(self) -> None:
        if self.pending:
            self.write("")

    def close(self) -> None:
        self.complete()
        os.close(self.fd)


@dataclass
class Log:
    """A log, its writers and its rotated copies, the newest first."""

    path: Path
    banner: list[str]
    append: bool
    dated: bool
    writer: Writer | None = None
    late: list[Writer] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)


class Rotations(RuleBasedStateMachine):
    """Two logs in one folder, one agent."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rotations"))
        self.count = 0
        self.day = 0
        self.written: dict[str, None] = {}
        self.accepted: set[str] = set()
        self.since_save: set[str] = set()
        self.may_repeat: set[str] = set()
        self.ids: dict[str, tuple[bytes, int]] = {}
        self.lines: dict[tuple[bytes, int], str] = {}
        self.followed: Followed | None = None
        self.now = 1000.0

    @initialize(
        pattern=st.sampled_from(["paths", "folder", "*.log", "*"]),
        banner=st.sampled_from(sorted(BANNERS)),
        append=st.booleans(),
        dated=st.booleans(),
        max_open=st.sampled_from([1, 2, 512]),
        full=st.booleans(),
    )
    def begin(  # noqa: PLR0917 - one call
        self, pattern: str, banner: str, append: bool, dated: bool, max_open: int, full: bool
    ) -> None:
        self.logs = [
            Log(self.folder / name, BANNERS[banner], append, dated)
            for name in ("app.log", "web.log")
        ]
        for log in self.logs:
            self.create(log)
            if full:
                self.write(log, 3)
        if pattern == "paths":
            patterns = [log.path for log in self.logs]
        elif pattern == "folder":
            patterns = [self.folder]
        else:
            patterns = [self.folder / pattern]
        self.followed = Followed(*patterns, max_open=max_open)
        self.running = True
        self.followed.save()

    # -- writing

    def create(self, log: Log) -> None:
        log.writer = Writer(log.path, log.append)
        if log.banner:
            log.writer.write("".join(f"{line}\n" for line in log.banner))

    def line(self, log: Log, form: str = "line {} of {}") -> str:
        self.count += 1
        text = form.format(self.count, log.path.name)
        self.written[text[:_LONGEST]] = None
        return text

    def write(self, log: Log, count: int) -> None:
        if log.writer is None:
            self.create(log)
        assert log.writer is not None
        log.writer.write("".join(self.line(log) + "\n" for _ in range(count)))

    def writers(self) -> list[Writer]:
        return [w for log in self.logs for w in [log.writer, *log.late] if w is not None]

    def release(self, log: Log, path: Path) -> None:
        """End the processes that still write to a rotated file."""
        for writer in list(log.late):
            if os.path.samestat(os.fstat(writer.fd), path.stat()):
                writer.close()
                log.late.remove(writer)

    logs_ = st.integers(0, 1)

    @rule(which=logs_, count=st.sampled_from([1, 2, 5, 40, 4000]))
    def append(self, which: int, count: int) -> None:
        self.write(self.logs[which], count)

    @rule(which=logs_)
    def append_half_a_line(self, which: int) -> None:
        log = self.logs[which]
        self.write(log, 1)
        assert log.writer is not None
        text = self.line(log)
        log.writer.write(text[:7])
        log.writer.pending = text[7:] + "\n"

    @rule(which=logs_)
    def complete_the_line(self, which: int) -> None:
        for writer in [self.logs[which].writer, *self.logs[which].late]:
            if writer is not None:
                writer.complete()

    @rule(which=logs_, more=st.sampled_from([1, 60_000, 200_000]), ended=st.booleans())
    def append_an_over_long_line(self, which: int, more: int, ended: bool) -> None:
        log = self.logs[which]
        self.write(log, 1)
        assert log.writer is not None
        text = self.line(log)
        missing = _LONGEST - len(text)
        del self.written[text]
        text += "x" * (missing + more)
        self.written[text[:_LONGEST]] = None
        if ended:
            log.writer.write(text + "\n")
        else:
            log.writer.write(text)
            log.writer.pending = "yyy\n"

    @rule(which=logs_, count=st.sampled_from([1, 30, 250]))
    def append_a_trace(self, which: int, count: int) -> None:
        log = self.logs[which]
        self.write(log, 1)
        assert log.writer is not None
        log.writer.write("".join(self.line(log, "\tat call{}.in({})") + "\n" for _ in range(count)))

    @rule(which=logs_, count=st.sampled_from([1, 3, 50]))
    def write_late(self, which: int, count: int) -> None:
        log = self.logs[which]
        for writer in log.late:
            writer.write("".join(self.line(log, "late line {} of {}") + "\n" for _ in range(count)))

    # -- rotating

    def shift(self, log: Log) -> Path:
        """Make room for the newest copy; return its path."""
        if log.dated:
            self.day += 1
            new = log.path.with_name(f"{log.path.name}-202611{self.day:02}")
        else:
            for number in range(len(log.copies), 0, -1):
                old = log.copies[number - 1]
                name = f"{log.path.name}.{number + 1}" + (".gz" if old.suffix == ".gz" else "")
                log.copies[number - 1] = old.rename(old.with_name(name))
            new = log.path.with_name(f"{log.path.name}.1")
        while len(log.copies) >= _GENERATIONS:
            self.poll_long()
            self.release(log, log.copies[-1])
            self.poll_long()
            log.copies.pop().unlink()
        log.copies.insert(0, new)
        return new

    def may_shift(self, log: Log) -> bool:
        return self.running or len(log.copies) < _GENERATIONS

    @rule(which=logs_, late=st.booleans(), created=st.booleans())
    def rename(self, which: int, late: bool, created: bool) -> None:
        log = self.logs[which]
        if log.writer is None or not self.may_shift(log):
            return
        log.path.rename(self.shift(log))
        if late:
            log.late.append(log.writer)
        else:
            log.writer.close()
        log.writer = None
        if created:
            self.create(log)

    @rule(which=logs_, looks=st.integers(0, 3))
    def copytruncate(self, which: int, looks: int) -> None:
        log = self.logs[which]
        if log.writer is None or not self.may_shift(log):
            return
        log.writer.complete()
        copy = self.shift(log)
        if looks > 1:
            copy.write_bytes(log.path.read_bytes()[: log.path.stat().st_size // 2])
            self.look(0.0)
        shutil.copy(log.path, copy)
        if looks > 0:
            self.look(0.01)
        if looks > 2:
            self.look(15.0)
        os.truncate(log.path, 0)

    @rule(which=logs_, number=st.integers(0, 2), looks=st.integers(0, 3))
    def compress(self, which: int, number: int, looks: int) -> None:
        log = self.logs[which]
        if len(log.copies) <= number or log.copies[number].suffix == ".gz":
            return
        plain = log.copies[number]
        self.release(log, plain)
        target = plain.with_name(plain.name + ".gz")
        data = gzip.compress(plain.read_bytes())
        if looks > 1:
            target.write_bytes(data[: len(data) // 2])
            self.look(0.01)
        target.write_bytes(data)
        if looks > 0:
            self.look(0.01)
        if looks > 2:
            self.look(15.0)
        plain.unlink()
        log.copies[number] = target

    # -- what administrators do

    @precondition(lambda self: self.running)
    @rule(which=logs_)
    def delete_and_create(self, which: int) -> None:
        log = self.logs[which]
        if log.writer is None:
            return
        self.poll_long()
        log.writer.close()
        log.path.unlink()
        self.create(log)

    @precondition(lambda self: self.running)
    @rule(which=logs_, more=st.integers(-1, 3))
    def empty_and_fill(self, which: int, more: int) -> None:
        log = self.logs[which]
        if log.writer is None:
            return
        self.poll_long()
        lines = log.path.read_bytes().count(b"\n")
        log.writer.complete()
        self.poll_long()
        os.truncate(log.path, 0)
        self.write(log, max(lines + more, 1))

    @rule(which=logs_, number=st.integers(0, 2))
    def copy_a_copy_by_hand(self, which: int, number: int) -> None:
        log = self.logs[which]
        if number < len(log.copies):
            packed = ".gz" if log.copies[number].suffix == ".gz" else ""
            shutil.copy(log.copies[number], log.path.with_name(log.path.name + ".bak" + packed))

    @rule(which=logs_, number=st.integers(0, 2), hours=st.sampled_from([-1, 0, 1]))
    def change_the_time(self, which: int, number: int, hours: int) -> None:
        log = self.logs[which]
        if number < len(log.copies):
            stamp = 1_795_000_000 + hours * 3600
            os.utime(log.copies[number], (stamp, stamp))

    # -- the agent

    def look(self, seconds: float, *, batches: int = 1_000_000) -> None:
        """Let the agent do what is to do, up to so many batches, the last one not accepted."""
        if not self.running:
            return
        if seconds > 1:
            for log in self.logs:
                for writer in log.late:
                    writer.complete()
        followed = self.followed
        assert followed is not None
        followed.now += seconds
        for _ in range(1000):
            followed.files.wants_save = False
            found = False
            for batch in followed.files.poll(followed.now):
                found = True
                offsets = [batch.block.line_offset(n) for n in range(batch.block.line_count)]
                texts = [line.decode() for line in batch.block.lines()]
                for text, offset in zip(texts, offsets, strict=True):
                    self.check(text, (batch.fingerprint, offset))
                batches -= 1
                if batches <= 0:
                    break
                followed.files.accepted(batch)
                for text in texts:
                    self.accept(text)
            if followed.files.wants_save:
                self.save()
            due = followed.files.deadline(followed.now) <= followed.now
            if batches <= 0 or not (found or followed.files.wants_save or due):
                return
            followed.now += 0.001
        raise AssertionError("never quiet")

    def check(self, text: str, place: tuple[bytes, int]) -> None:
        if not any(text in banner for banner in BANNERS.values()):
            assert text in self.written, f"invented or torn: {text[:80]!r}"
            assert self.ids.setdefault(text, place) == place, f"another id: {text[:80]!r}"
        assert self.lines.setdefault(place, text) == text, "two lines have one id"

    def accept(self, text: str) -> None:
        if text not in self.written:  # a banner
            return
        assert text not in self.accepted or text in self.may_repeat, f"repeated: {text[:80]!r}"
        self.may_repeat.discard(text)
        self.accepted.add(text)
        self.since_save.add(text)

    def poll_long(self) -> None:
        """Give the agent all the time it needs."""
        if not self.running:
            return
        for seconds in (0.0, 100.0, 0.6):
            self.look(seconds)
        pending = {line for line in self.written if self.is_pending(line)}
        missing = [line[:80] for line in self.written if line not in self.accepted]
        missing = [line for line in missing if line not in pending]
        assert not missing, f"lost: {missing[:5]} and others, {len(missing)} in all"

    def is_pending(self, line: str) -> bool:
        return any(w.pending and line.endswith(w.pending[:-1]) for w in self.writers())

    @precondition(lambda self: self.running)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.6, 1.5, 12.0]))
    def poll(self, seconds: float) -> None:
        self.look(seconds)

    @precondition(lambda self: self.running)
    @rule()
    def poll_until_quiet(self) -> None:
        self.poll_long()

    @precondition(lambda self: self.running)
    @rule(batches=st.integers(1, 3), seconds=st.sampled_from([0.0, 1.5, 12.0]))
    def poll_while_a_sink_is_down(self, batches: int, seconds: float) -> None:
        self.look(seconds, batches=batches)

    @precondition(lambda self: self.running)
    @rule()
    def save(self) -> None:
        assert self.followed is not None
        self.followed.save()
        self.since_save.clear()

    @precondition(lambda self: self.running)
    @rule(crash=st.booleans())
    def stop(self, crash: bool) -> None:
        assert self.followed is not None
        if not crash:
            self.save()
        self.may_repeat |= self.since_save
        self.since_save.clear()
        self.followed.files.close()
        self.running = False

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        assert self.followed is not None
        self.followed.start()
        self.running = True

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        if self.running:
            self.stop(crash)
        self.start()

    def teardown(self) -> None:
        try:
            if self.followed is not None:
                if not self.running:
                    self.start()
                for writer in self.writers():
                    writer.complete()
                self.poll_long()
        finally:
            if self.followed is not None:
                self.followed.files.close()
            for writer in self.writers():
                os.close(writer.fd)
            shutil.rmtree(self.folder)


EXAMPLES = int(os.environ.get("LOGAGENT_ROTATION_EXAMPLES", "60"))
TestRotations = pytest.mark.slow(Rotations.TestCase)
TestRotations.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    database=None,
    print_blob=True,
)
