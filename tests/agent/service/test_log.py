"""The agent's own log: one bounded line per event, few of a kind, and never in the way."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sanitise import printable
from logagent.service import log
from logagent.service.log import AgentLog, Reporter
from logagent.service.rate_limit import BURST, MAX_KINDS, WINDOW_SECONDS, RateLimit


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pipe:
    """Standard error with a reader that reads when it is asked to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.handlers: list[AgentLog] = []

    def logger(self, *, journal: bool = False, json_lines: bool = True) -> logging.Logger:
        handler = AgentLog(
            self.writer, json_lines=json_lines, journal=journal, limit=RateLimit(self.clock)
        )
        self.handlers.append(handler)
        logger = logging.Logger("logagent.tail")
        logger.addHandler(handler)
        return logger

    clock = Clock()

    @property
    def handler(self) -> AgentLog:
        return self.handlers[-1]

    def read(self) -> bytes:
        try:
            return os.read(self.reader, 1 << 20)
        except BlockingIOError:
            return b""

    def lines(self) -> list[str]:
        return self.read().decode().splitlines()

    def fill(self) -> None:
        """Leave no room at all."""
        os.set_blocking(self.writer, False)
        for size in (65536, 4096, 1):
            try:
                while True:
                    os.write(self.writer, b"x" * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writer, True)  # a mistake would now hang, and be seen


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    made.clock = Clock()
    yield made
    for handler in made.handlers:
        handler.close()
    for descriptor in (made.reader, made.writer):
        os.close(descriptor)


# ---- what a line looks like ----


def test_a_line_is_one_json_object(pipe: Pipe) -> None:
    pipe.logger().warning("%s is %d bytes", "/var/log/x", 5, extra={"kind": "cut"})

    (line,) = pipe.lines()
    event = json.loads(line)
    assert ["time", "level", "logger", "message", "kind"] == list(event)
    assert event["time"].endswith("Z")
    del event["time"]
    assert {
        "level": "warning",
        "logger": "logagent.tail",
        "message": "/var/log/x is 5 bytes",
        "kind": "cut",
    } == event


def test_a_line_for_a_terminal_has_time_level_and_message(pipe: Pipe) -> None:
    pipe.logger(json_lines=False).info("started")

    (line,) = pipe.lines()
    assert " info: started" == line[len("2026-03-14T07:16:01+0100") :]


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 3)],
)
def test_the_journal_gets_priorities(pipe: Pipe, level: str, priority: int) -> None:
    getattr(pipe.logger(journal=True, json_lines=False), level)("gone")

    assert [f"<{priority}>gone"] == pipe.lines()


def test_json_in_the_journal_has_its_priority_too(pipe: Pipe) -> None:
    pipe.logger(journal=True).error("gone")

    (line,) = pipe.lines()
    assert line.startswith('<3>{"time": ')


def test_an_exception_is_one_line_with_the_innermost_places(pipe: Pipe) -> None:
    def inner() -> None:
        raise ValueError("bad\nvalue")

    try:
        inner()
    except ValueError:
        pipe.logger().exception("the loop failed")

    (line,) = pipe.lines()
    said = json.loads(line)["exception"]
    assert said.startswith("ValueError: bad\\x0avalue at test_log.py:")
    assert " inner < test_log.py:" in said


@given(text=st.text(max_size=3000), argument=st.text(max_size=3000) | st.binary() | st.none())
def test_any_message_is_one_bounded_printable_line(text: str, argument: object) -> None:
    pipe = Pipe()
    logger = pipe.logger()
    try:
        try:
            raise OSError(str(argument) * 3)
        except OSError:
            logger.exception(text, argument, extra={"kind": text})
        data = pipe.read()
    finally:
        pipe.handler.close()
        os.close(pipe.reader)
        os.close(pipe.writer)

    assert data.endswith(b"\n")
    assert 1 == data.count(b"\n")
    assert len(data) <= select.PIPE_BUF
    line = data.decode().rstrip("\n")
    assert line == printable(line, len(line))
    assert {"time", "level", "logger", "message", "kind", "exception"} == set(json.loads(data))


def test_the_longest_line_is_whole_json(pipe: Pipe) -> None:
    wide = "\N{PILE OF POO}" * 5000  # four bytes each
    logger = pipe.logger()
    logger.name = wide
    try:
        raise OSError(wide)
    except OSError:
        logger.exception(wide, extra={"kind": wide})

    data = pipe.read()
    assert 3000 < len(data) <= select.PIPE_BUF
    assert json.loads(data)


# ---- never in the way ----


def test_a_reader_that_hangs_costs_lines_and_no_time(pipe: Pipe) -> None:
    logger = pipe.logger()
    pipe.fill()
    logger.warning("lost")
    assert 1 == pipe.handler.dropped

    pipe.read()
    logger.warning("seen")

    (line,) = pipe.lines()
    assert "seen" == json.loads(line)["message"]
    assert (1, 1) == (pipe.handler.written, pipe.handler.dropped)


def test_a_pipe_with_less_room_than_a_line_is_not_written_to(pipe: Pipe) -> None:
    fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 4096)
    logger = pipe.logger()
    for number in range(200):
        logger.warning("line %s", number, extra={"kind": str(number)})

    assert pipe.handler.dropped
    lines = pipe.lines()
    assert pipe.handler.written == len(lines)
    assert all(json.loads(line) for line in lines)


def test_a_socket_that_nobody_reads_is_given_up(pipe: Pipe) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        handler = AgentLog(
            ours.fileno(), json_lines=True, journal=True, limit=RateLimit(pipe.clock)
        )
        for number in range(3000):
            handler.handle(
                logging.LogRecord(str(number), logging.INFO, "", 0, "x" * 490, None, None)
            )

        assert handler.written
        assert handler.dropped
        handler.close()


def test_a_reader_that_is_gone_is_survived() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = AgentLog(writer, json_lines=True, journal=False, limit=RateLimit())
    handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "x", None, None))
    os.close(writer)
    handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "x", None, None))

    assert (0, 2) == (handler.written, handler.dropped)
    handler.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_survived() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    handler = AgentLog(descriptor, json_lines=True, journal=False, limit=RateLimit())
    handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "x", None, None))
    os.close(descriptor)

    assert 1 == handler.dropped
    handler.close()


def test_a_line_that_was_torn_does_not_spoil_the_next(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = pipe.logger(journal=True, json_lines=False)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:4]))
    logger.warning("the disk is full")
    monkeypatch.undo()
    logger.warning("room again")

    assert ["<4>t", "<4>room again"] == pipe.lines()
    assert (1, 1) == (pipe.handler.written, pipe.handler.dropped)


def test_arguments_that_do_not_fit_are_no_reason_to_fail(pipe: Pipe) -> None:
    pipe.logger().info("%d files of %s", "many")

    assert "%d files of %s" == json.loads(pipe.read())["message"]


# ---- few of a kind ----


def test_five_of_a_kind_are_written_and_the_others_counted(pipe: Pipe) -> None:
    logger = pipe.logger(journal=True, json_lines=False)
    for number in range(12):
        logger.warning("cannot read %s", number, extra={"kind": "unreadable"})
    assert [f"<4>cannot read {number}" for number in range(BURST)] == pipe.lines()

    pipe.clock.now += WINDOW_SECONDS - 0.1
    pipe.handler.tick()
    assert [] == pipe.lines()

    pipe.clock.now += 0.1
    pipe.handler.tick()
    assert ["<4>… 7 more suppressed: unreadable"] == pipe.lines()
    pipe.handler.tick()
    assert [] == pipe.lines()


def test_a_new_window_begins_after_the_count(pipe: Pipe) -> None:
    logger = pipe.logger(journal=True, json_lines=False)
    for _ in range(BURST + 1):
        logger.info("again")
    pipe.lines()
    pipe.clock.now += WINDOW_SECONDS
    logger.info("again")

    assert ["<6>… 1 more suppressed: again", "<6>again"] == pipe.lines()


def test_kinds_and_loggers_are_counted_apart(pipe: Pipe) -> None:
    one, other = pipe.logger(), logging.Logger("logagent.spool")
    other.addHandler(pipe.handler)
    for number in range(BURST):
        one.info("a %s", number)
        one.info("b %s", number)
        other.info("a %s", number)

    assert 3 * BURST == len(pipe.lines())
    assert 0 == pipe.handler.limit.suppressed


def test_what_repeats_below_the_limit_has_no_summary(pipe: Pipe) -> None:
    logger = pipe.logger()
    for _ in range(BURST):
        logger.info("again")
    pipe.clock.now += WINDOW_SECONDS
    pipe.handler.tick()

    assert BURST == len(pipe.lines())


def test_closing_writes_the_counts_that_are_left(pipe: Pipe) -> None:
    logger = pipe.logger(journal=True, json_lines=False)
    for _ in range(BURST + 3):
        logger.info("again")
    pipe.lines()
    pipe.handler.close()

    assert ["<6>… 3 more suppressed: again"] == pipe.lines()


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 20)), max_size=400))
def test_every_record_passes_or_is_in_a_summary(events: list[tuple[int, float]]) -> None:
    clock = Clock()
    limit = RateLimit(clock)
    passed = summed = 0

    def sums() -> int:
        return sum(int(record.getMessage().split()[1]) for record in limit.summaries())

    for kind, wait in events:
        clock.now += wait
        record = logging.LogRecord("a", logging.INFO, "", 0, f"kind {kind}", None, None)
        passed += limit.filter(record)
        summed += sums()
    limit.flush()
    summed += sums()

    assert len(events) == passed + summed


def test_the_table_of_kinds_is_bounded() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    for number in range(10 * MAX_KINDS):
        for _ in range(BURST + 1):
            limit.filter(logging.LogRecord("a", 20, "", 0, f"kind {number}", None, None))

    assert MAX_KINDS == len(limit._windows)
    assert MAX_KINDS == len(limit.summaries())


# ---- what is reported ----


def test_a_report_is_counted_kept_and_logged(pipe: Pipe) -> None:
    clock = Clock()
    clock.now = 1773472561.1234
    reporter = Reporter(pipe.logger(journal=True, json_lines=False), clock)
    for number in range(30):
        reporter("unreadable", f"/var/log/{number}: no\x1bpermission")
    reporter.report("started", "fine", logging.INFO)

    assert {"unreadable": 30, "started": 1} == reporter.counts
    assert BURST + 1 == len(pipe.lines())
    recent = reporter.recent()
    assert 20 == len(recent)
    assert {"time": "2026-03-14T07:16:01.123Z", "kind": "started", "message": "fine"} == recent[-1]
    assert "/var/log/29: no\\x1bpermission" == recent[-2]["message"]


def test_a_report_with_a_percent_sign_is_said_as_it_is(pipe: Pipe) -> None:
    Reporter(pipe.logger(journal=True, json_lines=False))("full", "disk 100%s full %d")

    assert ["<4>disk 100%s full %d"] == pipe.lines()


def test_kinds_beyond_the_bound_are_counted_together() -> None:
    logger = logging.Logger("quiet")
    logger.disabled = True
    reporter = Reporter(logger)
    for number in range(1000):
        reporter(f"kind-{number}", "x" * 9999)

    assert log.MAX_COUNTED + 1 == len(reporter.counts)
    assert 1000 == sum(reporter.counts.values())
    assert 1000 - log.MAX_COUNTED == reporter.counts["other"]
    assert all(len(each["message"]) <= 500 for each in reporter.recent())


# ---- set up ----

PROGRAM = """
import logging, os, sys
from logagent.service.log import set_up
own = set_up(*sys.argv[1:])
logging.getLogger("logagent.x").info("hello")
logging.getLogger("somebody.else").debug("whisper")
print(own.written, own.dropped)
"""


def started(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]  # any of them


def test_a_pipe_gets_json_and_the_level_is_kept_to() -> None:
    with started("info", "auto", stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=30)

    assert "1 0\n" == out
    assert "hello" == json.loads(err)["message"]


def test_a_closed_standard_error_is_never_written_to(tmp_path: Path) -> None:
    """The next file opened gets its number."""
    taken = tmp_path / "state"
    inner = f"import os\nassert 2 == os.open({str(taken)!r}, os.O_CREAT | os.O_WRONLY)\n{PROGRAM}"
    start = f"os.execv(sys.executable, [sys.executable, '-c', {inner!r}])"
    outer = f"import os, sys\nos.close(2)\n{start}"
    command = [sys.executable, "-c", outer]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30)

    assert "0 1\n" == done.stdout
    assert b"" == taken.read_bytes()


def test_a_terminal_gets_text() -> None:
    master, slave = os.openpty()
    with started("info", "auto", stderr=slave) as process:
        process.communicate(timeout=30)
    os.close(slave)
    said = os.read(master, 4096)
    os.close(master)

    assert said.endswith(b" info: hello\r\n")


def test_the_journal_is_recognised_by_its_device_and_inode() -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    for stream, start in ((f"{status.st_dev}:{status.st_ino}", "<6>hello"), ("8:1", '{"time"')):
        environment = {**os.environ, "JOURNAL_STREAM": stream}
        with started("info", "auto", stderr=writer, env=environment) as process:
            process.communicate(timeout=30)
        assert os.read(reader, 4096).decode().startswith(start)
    os.close(reader)
    os.close(writer)


def test_set_up_leaves_no_trace_when_it_is_closed() -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    handler = log.set_up("debug", "json")
    assert logging.DEBUG == root.level
    handler.close()

    assert handlers == root.handlers
    assert level == root.level
