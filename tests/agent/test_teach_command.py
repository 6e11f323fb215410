"""`logagent feedback` and `logagent ignore`: from an alert's id to an entry that holds."""

from __future__ import annotations

import json
import math
import os
import pwd
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from logagent import alert_ids, teach_command
from logagent.alert_ids import Known, UnknownAlertError, find, group_of_template
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.cli import app
from logagent.config import load
from logagent.errors import StateError
from logagent.override_entries import Override, entries_of, group_text
from logagent.overrides_file import add
from logagent.records import TEXT_CHARS
from logagent.teach_command import Meant, lasting_seconds, override_of
from typer.testing import CliRunner

OOM = b"Mar %2d 07:23:26 router kernel: Out of memory: Killed process 14388 (adblock.sh)\n"
IO_ERROR = b"Mar 14 07:16:01 router kernel: EXT4-fs error (device sda1): I/O error, aborting\n"
CALM = b"Mar 14 06:00:07 router crond[1702]: USER root pid 77 cmd /usr/bin/true\n"
ID = "0123456789abcdef"
AGAIN = "fedcba9876543210"


class Shell:
    """Runs commands with a state folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "logagent.toml"
        self.config.write_text(f'[sinks]\njsonl = "{folder}/alerts.jsonl"\njsonl_keep = 2\n')
        self.code = 0

    def __call__(self, *words: str, state: bool = True) -> str:
        places = ["--config", str(self.config)]
        places += ["--state-dir", str(self.folder)] if state else []
        done = CliRunner().invoke(app, [*words, *places])
        self.code = done.exit_code
        return str(done.output)

    def entries(self) -> tuple[Override, ...]:
        return entries_of(self.folder / "overrides.toml")

    def loaded(self) -> Any:
        return load(self.config, {"state.dir": str(self.folder)})


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    def answers(groups: object) -> None:
        monkeypatch.setattr(alert_ids, "ask", lambda _folder: {"known_groups": groups})

    return answers


KNOWN = {
    "id": ID,
    "alert_ids": [AGAIN],
    "group": "kernel: usb * reset",
    "template": "kernel: usb *-x reset",
    "text": "kernel: usb 1-4 reset",
}


# -- feedback


def test_feedback_on_an_alert_becomes_an_entry_for_ninety_days(
    shell: Shell, agent: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    agent([KNOWN])
    told = shell("feedback", AGAIN, "normal", "--reason", "the hub is old")
    (entry,) = shell.entries()

    assert 0 == shell.code
    assert "kernel: usb * reset" == entry.group
    assert "normal" == entry.verdict
    assert 90 * 86400 == entry.expires - entry.created
    assert ("ada", "the hub is old") == (entry.author, entry.reason)
    assert f"logagent ignore remove {entry.id}" in told
    shell("feedback", ID, "anomalous", "--for", "never")
    assert ["normal", "anomalous"] == [each.verdict for each in shell.entries()]
    assert math.inf == shell.entries()[1].expires


def test_a_line_is_reduced_to_its_group_as_the_agent_does_it(shell: Shell) -> None:
    line = 'Mar 14 07:16:01 h sync failed for pod="web-6b5f6db455-xkvd" in 12 s'
    shell("feedback", "--line", line, "normal")
    (entry,) = shell.entries()

    assert '# # ::# h sync failed for pod="*" in # s' == entry.group


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["feedback", "normal"], "give one of an id or --line"),
        (["feedback", ID, "normal", "--line", "x"], "only one"),
        (["feedback", ID, "fine"], "must be normal or anomalous"),
        (["feedback", "not-an-id", "normal"], "16 hexadecimal digits"),
        (["feedback", ID, "normal", "--for", "soon"], "give 30d"),
        (["ignore", "add"], "give one of"),
        (["ignore", "x", "--regex", "y"], "only one"),
        (["ignore", "--for", "1d"], "give one of"),
        (["ignore", "remove"], "--expired"),
        (["ignore", "test", "f", "--source", "x"], "--source"),
        (["ignore", "remove", "nosuch"], "no entry nosuch"),
        (["ignore", ID], f"no alert {ID} is known"),
        (["ignore", "x\ufffdy"], "not UTF-8"),
    ],
)
def test_wrong_usage_is_said_and_changes_nothing(shell: Shell, words: list[str], said: str) -> None:
    told = " ".join(shell(*words).split())

    assert 2 == shell.code
    assert said in told
    assert () == shell.entries()


# -- ignore


def test_ignore_needs_no_word_before_the_id(shell: Shell, agent: Callable[[object], None]) -> None:
    agent([KNOWN])
    for words in (["ignore", ID], ["ignore", "add", ID], ["ignore", "--for", "12h", ID]):
        shell(*words)
        assert 0 == shell.code
    shell("ignore", "--regex", r"port \d+ flapped", "--source", "/var/log/sw*", "--for", "never")
    shell("ignore", "kernel: usb *-x reset")
    shell("ignore", "--template", "list")
    groups = [entry.group for entry in shell.entries()]

    assert [*["kernel: usb * reset"] * 3, None, "kernel: usb * reset", "list"] == groups
    assert 12 * 3600 == shell.entries()[2].expires - shell.entries()[2].created
    assert "/var/log/sw*" == shell.entries()[3].source


def test_an_expression_that_could_hang_the_agent_is_refused(shell: Shell) -> None:
    told = shell("ignore", "--regex", "(a+)+b")

    assert 7 == shell.code
    assert "repeats something" in told
    assert () == shell.entries()


def test_a_costly_expression_says_how_far_it_is_searched(shell: Shell) -> None:
    assert "first 512 bytes" in shell("ignore", "--regex", "a.*b.*c")


def test_a_hostile_reason_reaches_no_terminal(shell: Shell) -> None:
    shell("ignore", "x\x1b[2Jy", "--reason", "\x1b]0;owned\x07")
    told = shell("ignore", "list") + shell("ignore", "list", "--json")

    assert "\x1b" not in told
    assert 2 == told.count("x\\x1b[2Jy") + told.count("x\\\\x1b[2Jy")


def test_the_list_shows_who_said_what_and_what_has_expired(shell: Shell) -> None:
    assert "no entries" in shell("ignore", "list")
    path = shell.folder / "overrides.toml"
    add(path, Override("old", "normal", group="a", created=1.0, expires=2.0, author="bob"))
    shell("ignore", "b", "--for", "30d", "--reason", "noise")
    new = shell.entries()[1].id
    told = shell("ignore", "list").splitlines()
    records = json.loads(shell("ignore", "list", "--json"))

    assert "old  normal, EXPIRED: a" == told[0]
    assert "bob: no reason given" == told[1].strip()
    assert f"{new}  normal, for 30 days: b" == told[2]
    assert [True, False] == [record["expired"] for record in records]
    assert "1970-01-01T00:00:02Z" == records[0]["expires"]
    assert {"id", "verdict", "group", "regex", "source", "created", "author", "reason"} <= set(
        records[1]
    )


def test_what_has_expired_can_be_removed_at_once(shell: Shell) -> None:
    path = shell.folder / "overrides.toml"
    for id_, expires in (("a", 2.0), ("b", math.inf), ("c", 3.0)):
        add(path, Override(id_, "normal", group=id_, created=1.0, expires=expires))

    assert "removed: a, c\n" == shell("ignore", "remove", "--expired")
    assert "removed: b\n" == shell("ignore", "remove", "b")
    assert "removed: nothing\n" == shell("ignore", "remove", "--expired")


def test_a_state_folder_that_is_not_there_is_named(shell: Shell) -> None:
    told = shell("ignore", "x", "--state-dir", str(shell.folder / "none"), state=False)

    assert 7 == shell.code
    assert "no such folder" in told
    assert "--state-dir" in told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 30 * 86400), ("12h", 43200), ("45m", 2700), ("2w", 1209600), ("never", math.inf)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds == lasting_seconds(text)


@pytest.mark.parametrize("text", ["", "0d", "-1d", "1y", "3", "999999999w", "1.5d", "٣d", "d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="never"):
        lasting_seconds(text)


def test_the_author_is_whoever_runs_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def author() -> str:
        entry = override_of(Meant(template="x"), shell.loaded(), "normal", id_="a")
        return entry.author

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert "root" == author()

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "0" == author()


# -- from an id to a group


def test_an_answer_of_another_form_is_passed_over(
    shell: Shell, agent: Callable[[object], None]
) -> None:
    for answer in (None, 7, [None, {}, {"id": 3}, {"id": ID, "group": ""}, {"id": ID}]):
        agent(answer)
        with pytest.raises(UnknownAlertError, match="--line"):
            find(ID, shell.loaded())
    agent([{"id": ID, "group": "g", "alert_ids": [3, None]}])
    assert "g" == find(ID, shell.loaded()).group


def test_a_running_agent_is_asked_through_its_socket(shell: Shell) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(shell.folder / "status.sock"))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(json.dumps({"known_groups": [KNOWN]}).encode())

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        found = find(AGAIN, shell.loaded())
        thread.join()

    assert Known(frozenset({ID, AGAIN}), "kernel: usb * reset", "kernel: usb 1-4 reset") == found


def test_a_record_in_the_file_of_alerts_is_found_in_rotated_copies_too(shell: Shell) -> None:
    record = {"id": AGAIN, "group": ID, "template": "usb *-x reset", "text": "usb 1"}
    (shell.folder / "alerts.jsonl").write_text(f'{{"torn\n[]\n7\n{{"id":"{ID}"}}\n')
    (shell.folder / "alerts.jsonl.2").write_text(json.dumps(record) + "\n")

    for id_ in (ID, AGAIN):
        assert "usb * reset" == find(id_, shell.loaded()).group
    (shell.folder / "alerts.jsonl.2").rename(shell.folder / "alerts.jsonl.3")  # not kept
    with pytest.raises(UnknownAlertError, match=r"nor .*alerts\.jsonl"):
        find(ID, shell.loaded())


def test_a_template_that_was_cut_is_refused(shell: Shell) -> None:
    with pytest.raises(ValueError, match="cut"):
        group_of_template("x" * (TEXT_CHARS - 1) + "…")
    record = {"id": ID, "template": "x" * (TEXT_CHARS - 1) + "…"}
    (shell.folder / "alerts.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(UnknownAlertError, match="cut"):
        find(ID, shell.loaded())


def test_a_template_is_pasted_as_it_is_shown() -> None:
    for group in (b"a \x1b[2J \xff * b", b'pod="*" x', b"Sat Mar # ::# x", b"[/Mar/:::# +#] y"):
        assert group_text(group) == group_of_template(group_text(group))


def test_a_state_that_is_damaged_is_passed_over(shell: Shell) -> None:
    for data in (b"", b"\xc1", msgpack.packb(7), msgpack.packb(["x", [1, 0], 0, b"\xc1"])):
        (shell.folder / "state").write_bytes(data)
        with pytest.raises(UnknownAlertError):
            find(ID, shell.loaded())


def test_the_agent_that_does_not_run_is_no_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_folder: Path) -> None:
        raise StateError("none")

    monkeypatch.setattr(alert_ids, "ask", none)
    monkeypatch.setattr(alert_ids, "groups_of", lambda _: [Known(frozenset({ID}), "saved")])

    assert "saved" == find(ID, shell.loaded()).group


# -- ignore test


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "router.log"
    path.write_bytes(CALM * 20 + OOM % 14 + IO_ERROR + OOM % 5 + CALM)
    return path


def test_it_is_shown_what_entries_and_a_new_one_would_hide(shell: Shell, log: Path) -> None:
    shell("ignore", "--line", (OOM % 7).decode().strip())
    shell("ignore", "--regex", "never there")
    shell("ignore", "expired", "--for", "1m")
    path = shell.folder / "overrides.toml"
    add(path, Override("old", "normal", regex="Killed", created=1.0, expires=2.0))
    output = shell("ignore", "test", str(log), "--regex", "EXT4", "--format", "jsonl")
    oom, never, _, candidate, total = map(json.loads, output.splitlines())

    assert 0 == shell.code
    assert (2, 1) == (oom["hidden_lines"], oom["hidden_groups"])
    assert "Out of memory" in oom["sample"]
    assert oom["severe"]
    assert 0 == never["hidden_lines"]
    assert ("candidate", 1) == (candidate["id"], candidate["hidden_lines"])
    assert {"lines": 24, "anomalous_lines": 3, "remaining_lines": 0} == total
    assert 4 == len(shell.entries())  # the candidate is not written

    human = shell("ignore", "test", str(log), "--format", "human")
    low = Bundle.load(DEFAULT_BUNDLE).manifest.thresholds["low"]
    assert "hides 2 lines of 1 group" in human
    assert "hides nothing here" in human
    assert f"WARNING: even sensitivity low ({low:.2f})" in human
    assert "24 lines, 3 anomalous; 1 of these remain" in human


def test_what_is_hidden_is_what_a_scan_with_the_file_leaves_out(shell: Shell, log: Path) -> None:
    shell("ignore", "--line", (OOM % 7).decode().strip())
    shell("feedback", "--line", CALM.decode().strip(), "anomalous")
    shell("ignore", "--regex", "EXT4", "--source", "*/other.log")
    path = str(shell.folder / "overrides.toml")
    done = CliRunner().invoke(app, ["scan", str(log), "--overrides", path, "--stats", "json"])
    stats = json.loads(done.stderr.splitlines()[-1])
    output = shell("ignore", "test", str(log), "--format", "jsonl")
    total = json.loads(output.splitlines()[-1])

    assert 21 + 1 == stats["anomalies"] == total["remaining_lines"]
    assert {"CALM": 21, "EXT4": 1} == {
        "EXT4" if "EXT4" in record["text"] else "CALM": record["count"]
        for record in map(json.loads, done.stdout.splitlines())
    }


def test_a_trace_is_hidden_with_its_head(tmp_path: Path) -> None:
    log, path = tmp_path / "app.log", tmp_path / "overrides.toml"
    trace = b"\tat com.example.Broken.failed(Broken.java:%d)\n"
    head = b"ERROR java.lang.OutOfMemoryError: Java heap space, fatal error, aborting\n"
    log.write_bytes(CALM + head + b"".join(trace % line for line in range(20, 24)) + IO_ERROR)

    def anomalies(*options: str) -> int:
        done = CliRunner().invoke(
            app, ["scan", str(log), "--threshold", "0.2", "--stats", "json", *options]
        )
        return int(json.loads(done.stderr.splitlines()[-1])["anomalies"])

    before = anomalies()
    add(path, Override("a", "normal", regex="Java heap space"))
    after = anomalies("--overrides", str(path))

    assert before > 2  # the head, its parts, and the other error
    assert 1 == after


def test_scan_refuses_overrides_that_are_not_there_or_wrong(tmp_path: Path, log: Path) -> None:
    for path in (tmp_path / "none.toml", log):
        done = CliRunner().invoke(app, ["scan", str(log), "--overrides", str(path)])
        assert 7 == done.exit_code
        assert str(path) in done.output


def test_a_file_that_cannot_be_read_is_told(shell: Shell, log: Path) -> None:
    output = shell("ignore", "test", str(log), str(log) + ".none", "--format", "jsonl")

    assert 4 == shell.code
    assert "none" in output


def test_the_default_time_is_the_documented_one() -> None:
    assert 90 * 86400 == lasting_seconds(teach_command.DEFAULT_LASTING)
