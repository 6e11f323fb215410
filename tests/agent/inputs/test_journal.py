"""The journal: every entry once, whatever happens to journalctl or to the agent."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import MAX_LINE_BYTES
from logagent.inputs import Batch
from logagent.inputs.child import Child
from logagent.inputs.journal import MAX_ENTRY_BYTES, Journal
from logagent.inputs.journal_entries import EntryReader

FAKE = """#!{python} -IS
import json, os, sys, time
folder = {folder!r}
args = sys.argv[1:]
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps([os.getpid(), args]) + "\\n")

def fail(message, code=1):
    sys.stderr.write(message + "\\n")
    sys.stderr.flush()
    os._exit(code)

def option(name):
    return next((a.split("=", 1)[1] for a in args if a.startswith(name + "=")), None)

if os.path.exists(folder + "/old") and option("--output-fields"):
    fail("journalctl: unrecognized option '--output-fields=MESSAGE'")
cursor, since = option("--cursor"), option("--since")
if cursor and not cursor.startswith("s="):
    fail("Failed to seek to cursor: Invalid argument")
log = open(folder + "/journal", "rb")
number = lambda c: int(c.split("i=")[1].split(";")[0], 16)

def wanted(line):
    try:
        entry = json.loads(line)
        if cursor and number(entry["__CURSOR"]) < number(cursor):
            return False
        return not since or int(entry["__REALTIME_TIMESTAMP"]) / 1e6 >= float(since[1:])
    except Exception:
        return True

out = os.fdopen(1, "wb")
if option("--lines") == "0":
    log.seek(0, 2)
while True:
    part = log.readlines(65536)
    for line in part:
        if line.startswith(b"!half"):
            out.write(line[6:-1])
        elif line.startswith(b"!die"):
            out.flush()
            if not os.path.exists(folder + "/died"):
                open(folder + "/died", "w").close()
                fail("Broken", 3)
        elif wanted(line):
            out.write(line)
    out.flush()
    if not part:
        with open(folder + "/following.new", "w") as mark:
            mark.write(str(os.getpid()))
        os.replace(folder + "/following.new", folder + "/following")
        time.sleep(0.003)
"""


class Reports(list[tuple[str, str]]):
    def __call__(self, kind: str, message: str) -> None:
        self.append((kind, message))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


class Machine:
    """A journal of our own making, and agents that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = folder / "journalctl"
        self.command.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        self.command.chmod(0o755)
        (folder / "journal").touch()
        self.reports = Reports()
        self.now = 0.0
        self.entries = 0
        self._open: list[Journal] = []

    def agent(self, saved: Any = None, **options: Any) -> Journal:
        options = {"command": str(self.command), "clock": lambda: 1_700_000_000.0} | options
        self._open.append(Journal(self.reports, saved, **options))
        return self._open[-1]

    def write(self, *lines: bytes) -> None:
        with (self.folder / "journal").open("ab") as journal:
            journal.write(b"".join(line + b"\n" for line in lines))

    def log(self, *messages: Any, **fields: Any) -> None:
        self.write(*(self.entry(message, **fields) for message in messages))

    def entry(self, message: Any, **fields: Any) -> bytes:
        self.entries += 1
        entry = {
            "__CURSOR": f"s=abc;i={self.entries:x};b=1;m=1;t=1;x=1",
            "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + self.entries * 1000),
            "_HOSTNAME": "gw",
            "SYSLOG_IDENTIFIER": "app",
            "_PID": "7",
            "MESSAGE": message,
        }
        return json.dumps(entry | fields).encode()

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        if not path.exists():
            return []
        return [json.loads(line)[1] for line in path.read_text().splitlines()]

    def batches(self, journal: Journal, lines: int, accept: bool = True) -> list[Batch]:
        """Poll until there are so many lines; time passes as the journal asks."""
        got: list[Batch] = []
        until = time.monotonic() + 10
        while sum(batch.block.line_count for batch in got) < lines:
            assert time.monotonic() < until, (got, self.reports)
            self.wait(journal)
            for batch in journal.poll(self.now):
                got.append(batch)
                if not accept:
                    return got
                journal.accepted(batch)
        return got

    def until(self, journal: Journal, done: Callable[[], bool]) -> None:
        """Poll until something is so; no line may come."""
        until = time.monotonic() + 10
        while not done():
            assert time.monotonic() < until, self.reports
            self.wait(journal)
            assert [] == list(journal.poll(self.now))

    def wait(self, journal: Journal) -> None:
        ready = select.poll()
        for fd in journal.descriptors():
            ready.register(fd, select.POLLIN)
        ready.poll(5)
        deadline = journal.deadline(self.now)
        self.now = max(deadline, self.now) if deadline < math.inf else self.now

    def started(self, journal: Journal) -> None:
        """Poll until journalctl follows the end of the journal."""
        self.until(journal, (self.folder / "following").exists)

    def close(self) -> None:
        for journal in self._open:
            journal.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def text(batches: list[Batch]) -> list[bytes]:
    return [line for batch in batches for line in batch.block.lines()]


def messages(batches: list[Batch]) -> list[bytes]:
    return [line.partition(b": ")[2] for line in text(batches)]


def places(batches: list[Batch]) -> list[tuple[bytes, int, int, bytes]]:
    """Give what ids and records are made of, for each line."""
    found = []
    for batch in batches:
        for index, line in enumerate(batch.block.lines()):
            number, offset = batch.block.first_line + index, batch.block.line_offset(index)
            found.append((batch.fingerprint, number, offset, line))
    return found


def test_entries_come_as_lines_of_a_log_file(machine: Machine) -> None:
    machine.log("first", "Traceback:\n  File x\nValueError: y\n")
    machine.log([98, 255, 10, 99], SYSLOG_IDENTIFIER="kernel", _PID=None)
    journal = machine.agent(from_start=True)

    head = b"2023-11-14T22:13:20+0000 gw "
    assert [
        head + b"app[7]: first",
        head + b"app[7]: Traceback:",
        b"  File x",
        b"ValueError: y",
        head + b"kernel: b\xff",
        b"c",
    ] == text(machine.batches(journal, 6))
    assert not journal.ended()
    assert ["journal", 6, 3] == [journal.status()[0][key] for key in ("source", "lines", "entries")]


def test_the_first_start_is_from_the_end_and_later_ones_lose_nothing(machine: Machine) -> None:
    machine.log("before")
    first = machine.agent()
    machine.started(first)
    state = first.state()
    first.close()
    machine.log("while stopped")
    second = machine.agent(state)

    assert b"while stopped" in messages(machine.batches(second, 1))
    assert "--lines=0" in machine.calls()[0]
    assert "--since=@1700000000.000000" in machine.calls()[1]


def test_a_stop_at_any_entry_gives_the_same_ids_again(machine: Machine) -> None:
    """As after a crash: what was not saved comes again, with the ids it had."""
    contents = ["one", "two\n  more", "", "x" * (MAX_LINE_BYTES + 99), "own", "five", "six"]
    for content in contents:
        fields = {"SYSLOG_IDENTIFIER": "logagent", "_PID": "99"} if content == "own" else {}
        machine.log(content, **fields)
    machine.log(7, "end")  # one without a text
    whole = machine.agent(from_start=True, own_pids={99})
    expected = places(machine.batches(whole, 8))
    assert 1 == whole.status()[0]["own_entries"]
    final = whole.state()

    lines = (machine.folder / "journal").read_bytes().splitlines()
    state, got = None, []
    (machine.folder / "journal").write_bytes(b"")
    for line in lines:
        machine.write(line)
        journal = machine.agent(state, from_start=True, own_pids={99})
        until = time.monotonic() + 10
        before = journal.status()[0]["entries"]
        while journal.status()[0]["entries"] == before:
            assert time.monotonic() < until
            machine.wait(journal)
            for batch in journal.poll(machine.now):
                got += places([batch])
                journal.accepted(batch)
        state = journal.state()
        journal.close()

    assert expected == got
    assert final == state


def test_own_entries_of_an_earlier_process_change_no_ids(machine: Machine) -> None:
    machine.log("one")
    machine.log("a message of the agent", SYSLOG_IDENTIFIER="logagent", _PID="99")
    machine.log("two")
    known = places(machine.batches(machine.agent(from_start=True, own_pids={99}), 2))
    unknown = places(machine.batches(machine.agent(from_start=True), 3))

    assert [unknown[0], unknown[2]] == known


def test_each_accepted_batch_moves_the_saved_position_to_its_own_end(machine: Machine) -> None:
    """An entry of our own divides what one read brought; whatever was accepted, ids stay."""
    machine.log("one")
    for content in ("own", "also own"):
        machine.log(content, SYSLOG_IDENTIFIER="logagent", _PID="99")
    machine.log("two")
    machine.log("own", SYSLOG_IDENTIFIER="logagent", _PID="99")
    journal = machine.agent(from_start=True, own_pids={99})
    (first,) = machine.batches(journal, 1, accept=False)
    journal.accepted(first)
    middle = journal.state()
    (second,) = machine.batches(journal, 1)
    end = journal.state()

    assert ("s=abc;i=1;b=1;m=1;t=1;x=1", 2) == (middle["cursor"], middle["line"])
    assert ("s=abc;i=5;b=1;m=1;t=1;x=1", 6) == (end["cursor"], end["line"])
    again = machine.agent(middle, own_pids={99})
    assert places([second]) == places(machine.batches(again, 1))
    assert end == again.state()


def test_only_our_own_process_is_left_out(machine: Machine) -> None:
    machine.log("own", SYSLOG_IDENTIFIER="logagent", _PID=str(os.getpid()))
    machine.log("another", SYSLOG_IDENTIFIER="logagent", _PID="1")
    machine.log("our number, another name", _PID=str(os.getpid()))

    got = messages(machine.batches(machine.agent(from_start=True), 2))
    assert [b"another", b"our number, another name"] == got


def test_a_batch_that_is_not_accepted_comes_again_and_state_stays(machine: Machine) -> None:
    machine.log("one")
    journal = machine.agent(from_start=True)
    (held,) = machine.batches(journal, 1, accept=False)
    machine.log("two")

    assert [held] == list(journal.poll(machine.now))
    assert ("", [], 5.0) == (journal.state()["cursor"], journal.descriptors(), journal.deadline(5))
    journal.accepted(held)
    assert journal.state()["cursor"].startswith("s=abc;i=1;")
    assert [b"two"] == messages(machine.batches(journal, 1))


def test_a_journalctl_that_dies_is_started_again_and_nothing_is_lost(machine: Machine) -> None:
    machine.log("one")
    machine.write(b"!die")
    machine.log("two")
    journal = machine.agent(from_start=True)

    assert [b"one", b"two"] == messages(machine.batches(journal, 2))
    assert "--cursor=s=abc;i=1;b=1;m=1;t=1;x=1" in machine.calls()[1]
    assert ["journal-message", "journal-stopped"] == machine.reports.kinds()
    assert machine.reports[1][1].endswith("ended with code 3; it is started again in 1 s")
    assert (1, 0) == tuple(journal.status()[0][key] for key in ("restarts", "gaps"))


def test_half_an_entry_of_a_dying_journalctl_is_no_entry(machine: Machine) -> None:
    whole = machine.entry("whole")
    machine.write(b"!half " + whole[:40], b"!die")
    journal = machine.agent(from_start=True)
    machine.until(journal, lambda: "journal-stopped" in machine.reports.kinds())
    machine.folder.joinpath("journal").write_bytes(whole + b"\n")

    assert [b"whole"] == messages(machine.batches(journal, 1))
    assert 0 == journal.status()[0]["bad_entries"]


def test_a_journalctl_that_keeps_dying_is_started_less_and_less_often(machine: Machine) -> None:
    machine.command.write_text("#!/bin/sh\necho no luck >&2\nexit 2\n")
    journal = machine.agent()
    delays = []
    for count in range(1, 10):
        machine.until(journal, lambda count=count: journal.status()[0]["restarts"] == count)
        delays.append(journal.deadline(machine.now) - machine.now)

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == pytest.approx(delays)
    assert ("journal-message", f"journal: {machine.command} says: no luck") == machine.reports[0]


def test_a_journalctl_that_hangs_without_output_is_killed(machine: Machine) -> None:
    machine.command.write_text("#!/bin/sh\nexec >&-\nexec sleep 60\n")
    journal = machine.agent()
    machine.until(journal, lambda: journal.status()[0]["restarts"] == 1)

    assert f"ended with code {-signal.SIGKILL};" in machine.reports[0][1]


def test_a_cursor_that_is_refused_is_given_up_for_the_oldest_entry(machine: Machine) -> None:
    machine.log("oldest", "newest")
    saved = {"cursor": "nonsense", "offset": 10, "line": 3, "since": 9.0, "fingerprint": b"f" * 8}
    journal = machine.agent(saved)

    got = machine.batches(journal, 2)
    assert [b"oldest", b"newest"] == messages(got)
    assert (b"f" * 8, 3, 10) == places(got)[0][:3]  # no id is used twice
    assert "journal-gap" in machine.reports.kinds()
    assert "journal-stopped" not in machine.reports.kinds()
    assert 0.0 == journal.state()["since"]


def test_entries_that_were_vacuumed_are_told_as_a_gap(machine: Machine) -> None:
    machine.log("one", "two", "three", "four")
    journal = machine.agent(from_start=True)
    machine.batches(journal, 4)
    journal.close()
    saved = dict(journal.state()) | {"cursor": "s=abc;i=2;b=1;m=1;t=1;x=1"}
    lines = machine.folder.joinpath("journal").read_bytes().splitlines(keepends=True)
    machine.folder.joinpath("journal").write_bytes(b"".join(lines[3:]))
    again = machine.agent(saved)

    assert [b"four"] == messages(machine.batches(again, 1))
    assert ["journal-gap"] == machine.reports.kinds()
    assert 1 == again.status()[0]["gaps"]


def test_a_saved_entry_that_is_still_there_is_no_gap_and_no_line(machine: Machine) -> None:
    machine.log("one")
    first = machine.agent(from_start=True)
    machine.batches(first, 1)
    machine.log("two")
    second = machine.agent(first.state())

    assert [b"two"] == messages(machine.batches(second, 1))
    assert [] == machine.reports


@pytest.mark.parametrize(
    "damage",
    [
        {"cursor": 5},
        {"cursor": "s=\x1b"},
        {"cursor": "s" * 600},
        {"offset": -1},
        {"line": "1"},
        {"since": math.nan},
        {"fingerprint": "text"},
    ],
)
def test_a_damaged_saved_position_starts_from_the_oldest_entry(
    machine: Machine, damage: dict[str, Any]
) -> None:
    saved = {
        "cursor": "s=abc;i=1",
        "offset": 1,
        "line": 1,
        "since": 1.0,
        "fingerprint": b"12345678",
    }
    journal = machine.agent(saved | damage)

    assert {
        "cursor": "",
        "offset": 0,
        "line": 1,
        "since": 0.0,
        "fingerprint": b"",
    } == journal.state()
    assert ["journal-gap"] == machine.reports.kinds()


def test_a_missing_journalctl_is_told_once_and_looked_for_rarely(machine: Machine) -> None:
    journal = machine.agent(command=str(machine.folder / "nowhere"))
    for _ in range(3):
        assert [] == list(journal.poll(machine.now))
        assert (600.0, []) == (journal.deadline(machine.now) - machine.now, journal.descriptors())
        machine.now += 600
    assert ["no-journal"] == machine.reports.kinds()

    os.rename(machine.command, machine.folder / "nowhere")
    machine.log("after the first look")
    assert [b"after the first look"] == messages(machine.batches(journal, 1))


def test_a_journalctl_that_may_not_be_run_is_tried_again(machine: Machine) -> None:
    machine.command.chmod(0o644)  # not even root may run it
    journal = machine.agent(from_start=True)
    machine.log("one")
    assert [] == list(journal.poll(0.0))
    assert 1.0 == journal.deadline(0.0)
    machine.command.chmod(0o755)

    assert [b"one"] == messages(machine.batches(journal, 1))
    assert ["journal-stopped"] == machine.reports.kinds()


def test_an_old_journalctl_is_asked_without_fields(machine: Machine) -> None:
    (machine.folder / "old").touch()
    machine.log("one")

    assert [b"one"] == messages(machine.batches(machine.agent(from_start=True), 1))
    assert [True, False] == ["--output-fields=" in " ".join(call) for call in machine.calls()]
    assert "journal-stopped" not in machine.reports.kinds()


def test_units_are_passed_on(machine: Machine) -> None:
    machine.started(machine.agent(units=["ssh.service", "nginx.service"]))

    assert ["--unit=ssh.service", "--unit=nginx.service"] == machine.calls()[0][-2:]


def test_garbage_is_counted_and_told_and_the_rest_is_read(machine: Machine) -> None:
    machine.log("one")
    machine.write(b"not json", b"[1, 2]", b"{}", b"", b"[" * 10_000, b"\xff\xfe", b"1" * 5000)
    machine.log("two")
    journal = machine.agent(from_start=True)

    assert [b"one", b"two"] == messages(machine.batches(journal, 2))
    assert 7 == journal.status()[0]["bad_entries"]
    assert {"journal-garbage"} == set(machine.reports.kinds())


def test_an_entry_without_a_message_moves_the_cursor(machine: Machine) -> None:
    bare = json.loads(machine.entry(""))
    del bare["MESSAGE"]
    machine.write(json.dumps(bare).encode())
    journal = machine.agent(from_start=True)
    machine.until(journal, lambda: journal.status()[0]["empty_entries"] == 1)

    assert bare["__CURSOR"] == journal.state()["cursor"]


def test_a_huge_entry_is_cut_and_told_and_the_next_one_is_whole(machine: Machine) -> None:
    machine.log("y" * (MAX_ENTRY_BYTES + 1000), "next")
    journal = machine.agent(from_start=True)
    got = messages(machine.batches(journal, 2))

    assert b"y" * 60_000 == got[0][:60_000]
    assert len(got[0]) < MAX_LINE_BYTES
    assert b"next" == got[1]
    assert 1 == journal.status()[0]["cut_entries"]
    assert ["long-entries", "long-lines"] == machine.reports.kinds()


def test_a_huge_entry_without_its_cursor_does_not_move_the_saved_position(
    machine: Machine,
) -> None:
    """journalctl gives the fields in any order: the cursor may be in the part that was cut off."""
    machine.log("one")
    entry = json.loads(machine.entry("z" * (MAX_ENTRY_BYTES + 1000)))
    entry["__CURSOR"] = entry.pop("__CURSOR")  # now the last
    machine.write(json.dumps(entry).encode())
    journal = machine.agent(from_start=True)
    lines = text(machine.batches(journal, 2))

    assert b"gw app[7]: zzz" in lines[1]
    state = journal.state()
    assert ("s=abc;i=1;b=1;m=1;t=1;x=1", len(lines[0]) + 1) == (state["cursor"], state["offset"])
    machine.log("three")
    third = places(machine.batches(journal, 1))[0]
    journal.close()
    assert b"three" in third[3]
    repeated = places(machine.batches(machine.agent(state), 2))
    assert third == repeated[1]


def test_many_entries_go_into_few_batches(machine: Machine) -> None:
    machine.write(*(machine.entry(f"message number {number}") for number in range(2000)))
    got = machine.batches(machine.agent(from_start=True), 2000)

    assert [b"message number %d" % number for number in range(2000)] == messages(got)
    assert len(got) < 60
    assert max(len(batch.block.data) for batch in got) <= 64 * 1024
    numbers = [place[1] for place in places(got)]
    assert list(range(1, 2001)) == numbers


def test_closing_ends_journalctl(machine: Machine) -> None:
    journal = machine.agent()
    machine.started(journal)
    pid = int((machine.folder / "following").read_text())
    journal.close()
    journal.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert ([], [], math.inf) == (
        list(journal.poll(1e9)),
        journal.descriptors(),
        journal.deadline(0),
    )


def test_a_child_has_signals_at_their_defaults_and_none_of_our_descriptors(
    tmp_path: Path,
) -> None:
    script = "grep -E 'SigIgn|SigBlk' /proc/self/status; exec ls -l /proc/self/fd"
    output = b""
    until = time.monotonic() + 10
    with (tmp_path / "ours").open("w"):
        child = Child(["sh", "-c", script])
        pipe = os.readlink(f"/proc/self/fd/{child.output}").encode()
        while (data := child.read()) != b"":
            assert time.monotonic() < until
            output += data or b""
        child.close()

    fields = output.split()
    ignored_by_python = (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    assert 0 == int(fields[fields.index(b"SigIgn:") + 1], 16) & ignored_by_python
    assert 0 == int(fields[fields.index(b"SigBlk:") + 1], 16)
    assert 1 == output.count(pipe)
    assert b"ours" not in output


def test_what_a_child_complains_of_is_bounded() -> None:
    child = Child(["sh", "-c", "yes complaint | head -c 100000 >&2; exec 1>&-"])
    until = time.monotonic() + 10
    while child.read() != b"" or child.ended() is None:
        assert time.monotonic() < until
        child.hear()
    child.close()

    assert 2048 == len(child.complaint)


VALUES = st.recursive(
    st.none() | st.text() | st.integers() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "_PID", "_HOSTNAME", "_COMM"]
        ),
        VALUES,
    ),
    st.integers(0, 400),
)
def test_no_entry_raises_and_none_can_begin_a_line_by_its_header(
    fields: dict[str, Any], cut: int
) -> None:
    line = json.dumps(fields).encode()
    reader = EntryReader()
    reader.entry(line[:cut])
    entry = reader.entry(line)
    if entry is not None and entry.text is not None and isinstance(fields["MESSAGE"], str):
        inner = fields["MESSAGE"].rstrip("\n").count("\n")
        assert inner == entry.text.count(b"\n")
    assert entry == EntryReader().entry(line)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("text \u20ac", "app[7]: text \u20ac".encode()),
        (None, b"app[7]: "),
        ([104, 105, 0], b"app[7]: hi\0"),
        (["one", [116, 119, 111], "three"], b"app[7]: one\ntwo\nthree"),
        ([[1, 300], "x"], b"app[7]: \nx"),
        ("\ud800", b"app[7]: ?"),
        ({"no": "such"}, b"app[7]: "),
    ],
)
def test_a_message_of_any_form_is_text(tmp_path: Path, message: Any, line: bytes) -> None:
    entry = EntryReader().entry(Machine(tmp_path).entry(message))

    assert entry is not None
    assert b"2023-11-14T22:13:20+0000 gw " + line == entry.text
    assert (7, b"app") == (entry.pid, entry.identifier)


def test_an_entry_that_was_cut_off_gives_what_was_there(tmp_path: Path) -> None:
    r"""Also if it was cut inside of an escape such as \u20ac."""
    line = Machine(tmp_path).entry('say \\ "hi" \u20ac \u20ac \u20ac')
    whole = EntryReader().entry(line)
    assert whole is not None
    assert whole.text is not None
    longest = 0
    for cut in range(line.index(b"MESSAGE") + 11, len(line)):
        part = EntryReader().entry(line[:cut])
        assert part is not None
        assert part.text is not None
        assert (whole.cursor, True) == (part.cursor, whole.text.startswith(part.text))
        assert len(part.text) >= longest
        longest = len(part.text)
    assert whole.text == part.text


def test_bytes_that_were_cut_off_give_what_was_there(tmp_path: Path) -> None:
    line = Machine(tmp_path).entry([97, 98, 255, 99, 100])
    part = EntryReader().entry(line[:-4])

    assert part is not None
    assert part.text is not None
    assert part.text.endswith(b": ab\xffc")


def test_a_header_stays_on_one_line(tmp_path: Path) -> None:
    line = Machine(tmp_path).entry("text", SYSLOG_IDENTIFIER="a\nb", _HOSTNAME=["c\nd", "e"])
    entry = EntryReader().entry(line)

    assert entry is not None
    assert b"2023-11-14T22:13:20+0000 c d e a b[7]: text" == entry.text


def test_twenty_thousand_entries_a_second_can_be_read(tmp_path: Path) -> None:
    """Ten times that here; the bound is for a slow machine that does other things as well."""
    line = Machine(tmp_path).entry("Accepted publickey for root from 192.0.2.7 port 2233 ssh2")
    reader = EntryReader()
    started = time.process_time()
    for _ in range(4000):
        reader.entry(line)

    assert time.process_time() - started < 0.2
