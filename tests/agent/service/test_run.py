"""What `logagent run` promises, held by the real process: nothing lost, whatever happens to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from logagent.bundle import DEFAULT_BUNDLE

from .running import Running, fine, oom, until, whole_records

pytestmark = pytest.mark.slow  # each start takes most of a second


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes small disks of its own, as far as we may mount."""
    mounted: list[Path] = []

    def make(*options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        mount("-t", "tmpfs", "-o", ",".join(["size=128k", *options]), "none", str(folder))
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(*arguments: str) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")


def fill(folder: Path) -> Path:
    """Use up all room of a disk; return the file to delete."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return ballast


def pids(records: list[dict[str, Any]]) -> list[int]:
    """Return the process ids of the lines that records are about."""
    return [int(record["text"].split("process ")[1].split(" ")[0]) for record in records]


# ---- the promise itself ----


def test_what_is_appended_is_alerted_everywhere(agent: Running) -> None:
    agent.append(oom(1))  # there before the first start: no news
    agent.start("--jsonl", agent.jsonl)
    agent.append(fine(2), oom(2), fine(3))
    until(agent.printed)
    agent.read(3)

    assert [2] == pids(agent.printed())
    assert agent.printed() == whole_records(agent.jsonl)
    status = agent.status()
    assert (3, 1, 1) == (status["lines"], status["anomalous_lines"], status["alerts"])
    assert 0 == agent.stop()
    assert ["alerts.jsonl", "logs", "state", "stderr.1", "stdout.1"] == sorted(
        os.listdir(agent.folder)
    )


def test_a_stop_and_a_start_repeat_nothing_and_lose_nothing(agent: Running) -> None:
    options = ("--no-group", "--from-start")
    agent.append(oom(1))
    agent.start(*options)
    until(agent.printed)
    for number in range(2, 5):
        assert 0 == agent.stop(signal.SIGINT if number == 2 else signal.SIGTERM)
        agent.append(oom(number))
        agent.start(*options)
        until(lambda number=number: number in pids(agent.printed()))
    agent.stop()

    assert [1, 2, 3, 4] == pids(agent.printed())
    assert [] == agent.messages("state-unusable")


def test_a_group_is_not_told_again_after_a_start(agent: Running) -> None:
    agent.start()
    agent.append(oom(1))
    until(agent.printed)
    agent.stop()
    agent.start()
    agent.append(oom(2))
    agent.read(1)

    assert [1] == pids(agent.printed())


def test_kill_9_at_any_moment_loses_nothing_and_repeats_only_with_equal_ids(
    agent: Running,
) -> None:
    number = 0

    def more(lines: int) -> None:
        nonlocal number
        agent.append(*(oom(number + each) for each in range(lines)))
        number += lines

    options = ("--no-group", "--from-start", "--jsonl", agent.jsonl)
    for start, moment in enumerate((0, 1, 150, 300, 299, 2)):
        # Lines come while it is down, while it starts and while it reads; it is killed when it has
        # told `moment` more of them, which is anywhere between reading and saving.
        more(100)
        told = len(whole_records(agent.jsonl))
        agent.start(*options, "--save-seconds", "0.1" if start % 2 else "3600", wait=False)
        more(100)
        until((agent.folder / "state" / "lock").exists)
        more(100)
        until(lambda told=told, moment=moment: len(whole_records(agent.jsonl)) >= told + moment)
        agent.stop(signal.SIGKILL)
    agent.start(*options)
    more(1)
    until(lambda: number - 1 in pids(whole_records(agent.jsonl)), "the last line")
    agent.stop()

    for records in (whole_records(agent.jsonl), agent.printed()):
        ids: dict[str, int] = {}
        for record, pid in zip(records, pids(records), strict=True):
            assert pid == ids.setdefault(record["id"], pid)
        assert list(range(number)) == sorted(ids.values())


def test_what_was_rotated_while_it_was_stopped_is_read(agent: Running) -> None:
    agent.append(fine(1))
    agent.start("--no-group")
    agent.append(oom(1))
    until(agent.printed)
    agent.stop()
    agent.append(oom(2))
    agent.log.rename(agent.logs / "app.log.1")
    agent.append(oom(3))
    agent.start("--no-group")
    agent.append(oom(4))
    until(lambda: 4 in pids(agent.printed()))

    assert [1, 2, 3, 4] == pids(agent.printed())


def test_standard_input_that_ends_is_alerted_whole(agent: Running) -> None:
    agent.start("--no-group", paths=["-"], stdin=subprocess.PIPE, wait=False)
    assert agent.process is not None
    assert agent.process.stdin is not None
    text = "".join(oom(n) + fine(n) for n in range(500)) + oom(500).rstrip()
    agent.process.stdin.write(text.encode())
    agent.process.stdin.close()

    assert 0 == agent.wait()
    assert list(range(501)) == pids(agent.printed())
    assert {"-"} == {record["source"] for record in agent.printed()}


def test_a_slow_reader_has_everything_before_the_agent_ends(agent: Running) -> None:
    agent.start(
        "--no-group", paths=["-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, wait=False
    )
    assert agent.process is not None
    assert agent.process.stdin is not None
    assert agent.process.stdout is not None
    agent.process.stdin.write("".join(map(oom, range(1000))).encode())
    agent.process.stdin.close()
    until(lambda: agent.messages("sink-down"))  # nobody reads yet
    records = [json.loads(line) for line in agent.process.stdout]

    assert list(range(1000)) == pids(records)
    assert 0 == agent.wait()
    assert "wait for their sinks" not in agent.said()


# ---- reload ----


def test_sighup_takes_a_new_configuration_and_a_new_model(agent: Running) -> None:
    config = agent.folder / "logagent.toml"
    config.write_text("[alerts]\ngroup = false\n")
    agent.start("--config", config)
    agent.append(oom(1))
    until(agent.printed)

    model = agent.folder / "other.bundle"
    shutil.copy(DEFAULT_BUNDLE, model)
    config.write_text(f'[model]\nbundle = "{model}"\nthreshold = 1.0\n[log]\nlevel = "info"\n')
    agent.send(signal.SIGHUP)
    until(lambda: str(model) == agent.status()["model"]["path"])
    agent.append(oom(2))
    agent.read(2)
    assert 1.0 == agent.status()["model"]["threshold"]
    assert [1] == pids(agent.printed())

    config.write_text(f'[model]\nbundle = "{model}"\n[watch]\ntrace_seconds = 0\n')
    agent.send(signal.SIGHUP)
    until(lambda: agent.status()["model"]["threshold"] < 1)
    agent.append(oom(3))
    until(lambda: 3 in pids(agent.printed()))
    assert [1, 3] == pids(agent.printed())
    assert {} == agent.status()["problems"]


def test_what_cannot_be_used_at_reload_changes_nothing(agent: Running) -> None:
    config = agent.folder / "logagent.toml"
    good = "[alerts]\ngroup = false\n"
    config.write_text(good)
    agent.start("--config", config)
    before = agent.status()["model"]
    bad = agent.folder / "bad.bundle"
    bad.write_bytes(os.urandom(10_000))
    other = agent.folder / "other.toml"
    garbage = [
        b"\xff\xfe\x00 garbage = [",
        b"[alerts]\ngroup = 7\n",
        f'[model]\nbundle = "{bad}"\n'.encode(),
        f'[model]\nbundle = "{agent.folder}/none"\n'.encode(),
        b'[syslog]\nudp = "203.0.113.7:1"\n',
    ]
    for number, text in enumerate(garbage, 1):
        other.write_bytes(text)
        other.replace(config)
        agent.send(signal.SIGHUP)
        until(lambda number=number: len(agent.messages("reload-failed")) >= number, repr(text))
        agent.append(oom(number))
        until(lambda number=number: number in pids(agent.printed()), repr(text))
        assert number == len(agent.messages("reload-failed")), agent.said()
        assert before == agent.status()["model"]
    assert all(each.startswith("nothing was changed") for each in agent.messages("reload-failed"))

    config.write_text(good + "[model]\nthreshold = 1.0\n")
    agent.send(signal.SIGHUP)
    until(lambda: agent.status()["model"]["threshold"] == 1.0)
    assert [1, 2, 3, 4, 5] == pids(agent.printed())


def test_reloading_while_lines_come_loses_none_and_repeats_none(agent: Running) -> None:
    config = agent.folder / "logagent.toml"
    config.write_text("[alerts]\ngroup = false\n")
    agent.start("--config", config)
    number = 0
    for _ in range(4):
        for part in ("", '[watch]\nexclude = ["x"]\n', f'[sinks]\njsonl = "{agent.jsonl}"\n'):
            written = agent.folder / "written"
            written.write_text("[alerts]\ngroup = false\n" + part)
            written.replace(config)
            agent.append(*(oom(number + each) for each in range(20)))
            number += 20
            agent.send(signal.SIGHUP)
    until(lambda: len(agent.printed()) >= number)

    assert list(range(number)) == pids(agent.printed())


# ---- disks ----


def test_a_full_disk_under_a_sink_delays_alerts_and_loses_none(
    agent: Running, disk: Callable[..., Path]
) -> None:
    folder = disk()
    jsonl = folder / "alerts.jsonl"
    ballast = fill(folder)
    agent.start("--no-group", "--jsonl", jsonl)
    for number in range(20):
        agent.append(oom(number))
        agent.read(number + 1)
    until(lambda: agent.status()["sinks"][1]["spooled"])
    assert list(range(20)) == pids(agent.printed())  # the other sink is not held up
    assert ["No space left on device" in each for each in agent.messages("sink-down")] == [True]

    ballast.unlink()
    until(lambda: len(whole_records(jsonl)) >= 20, "delivered")
    assert list(range(20)) == pids(whole_records(jsonl))
    until(lambda: agent.messages("sink-up"))
    assert {"sink-down", "sink-up"} == set(agent.status()["problems"])


def test_a_full_disk_under_everything_stops_the_agent_until_there_is_room(
    agent: Running, disk: Callable[..., Path]
) -> None:
    folder = disk()
    jsonl = folder / "alerts.jsonl"
    agent.state = folder / "state"
    agent.start("--no-group", "--jsonl", jsonl)
    agent.append(oom(0))
    until(lambda: whole_records(jsonl))
    agent.saved()
    ballast = fill(folder)
    for number in range(1, 60):  # more than the rest of a page can take
        agent.append(oom(number))
    until(lambda: agent.status()["blocked"])
    lines = agent.status()["lines"]
    assert lines < 60
    # It says so once, though it tries again every second.
    until(lambda: agent.status()["uptime_seconds"] > 3)
    assert 1 == len(agent.messages("blocked")), agent.said()
    assert "No space left on device" in agent.messages("blocked")[0]
    assert len(agent.messages("not-saved")) <= 1

    ballast.unlink()
    until(lambda: len(whole_records(jsonl)) >= 60, "delivered")
    agent.saved()
    assert list(range(60)) == pids(whole_records(jsonl))
    assert 60 == len({record["id"] for record in whole_records(jsonl)})
    assert list(range(60)) == pids(agent.printed())
    assert "lines are read again" in agent.said()

    agent.stop(signal.SIGKILL)
    agent.start("--no-group", "--jsonl", jsonl)
    agent.append(oom(60))
    until(lambda: 60 in pids(whole_records(jsonl)))
    assert list(range(61)) == pids(whole_records(jsonl))


def test_a_killed_agent_on_a_full_disk_loses_nothing(
    agent: Running, disk: Callable[..., Path]
) -> None:
    folder = disk()
    agent.state = folder / "state"
    agent.start("--no-group", "--jsonl", folder / "alerts.jsonl")
    ballast = fill(folder)
    agent.append(*map(oom, range(60)))
    until(lambda: agent.status()["blocked"])
    agent.stop(signal.SIGKILL)
    agent.append(oom(60))
    ballast.unlink()
    agent.start("--no-group", "--jsonl", folder / "alerts.jsonl")
    until(lambda: 60 in pids(whole_records(folder / "alerts.jsonl")))

    records = whole_records(folder / "alerts.jsonl")
    assert set(range(61)) == set(pids(records))
    assert 61 == len({record["id"] for record in records})


def test_a_read_only_state_folder_is_told_once_and_used_when_it_can_be_written(
    agent: Running, disk: Callable[..., Path]
) -> None:
    agent.state = disk("ro")
    agent.append(oom(0))
    agent.start("--no-group", "--from-start", wait=False)  # it cannot be asked
    until(agent.printed)
    for number in range(1, 20):  # it would save after each
        agent.append(oom(number))
        until(lambda number=number: number in pids(agent.printed()))
    for kind in ("state-read-only", "not-saved", "no-status"):
        assert 1 == len(agent.messages(kind)), agent.said()
    assert [] == os.listdir(agent.state)

    mount("-o", "remount,rw", str(agent.state))
    agent.append(oom(20))
    until((agent.state / "state").exists, "saved")
    until(lambda: "positions are saved again" in agent.said())
    agent.stop(signal.SIGKILL)
    agent.append(oom(21))
    agent.start("--no-group", "--from-start")
    until(lambda: 21 in pids(agent.printed()))
    assert 22 == len({record["id"] for record in agent.printed()})


# ---- sinks that hang ----


def test_a_reader_of_standard_output_that_hangs_delays_alerts_and_loses_none(
    agent: Running,
) -> None:
    agent.start("--no-group", "--jsonl", agent.jsonl, stdout=subprocess.PIPE)
    agent.append(*map(oom, range(1000)))
    agent.read(1000)
    status = agent.status()  # it answers meanwhile
    assert 0 < status["sinks"][0]["spooled"] < 1000
    assert "down" == status["sinks"][0]["state"]
    assert list(range(1000)) == pids(whole_records(agent.jsonl))
    agent.append(oom(1000))
    agent.read(1001)

    assert agent.process is not None
    assert agent.process.stdout is not None
    records = [json.loads(agent.process.stdout.readline()) for _ in range(1001)]
    assert list(range(1001)) == pids(records)
    assert 1 == len(agent.messages("sink-down"))
    until(lambda: agent.messages("sink-up"))


def test_a_syslog_server_that_hangs_delays_alerts_and_loses_none(agent: Running) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        listener.settimeout(30)
        port = listener.getsockname()[1]
        agent.start("--no-group", "--syslog", f"tcp://127.0.0.1:{port}")
        number = 0
        while not agent.status()["sinks"][1]["spooled"]:  # the kernel takes some megabytes
            agent.append(*(oom(number + each) for each in range(2000)))
            number += 2000
            assert number < 200_000
            agent.read(number)
        assert number == len(agent.printed())
        told: list[int] = []
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            rest = b""
            while len(told) < number:
                data = connection.recv(1 << 20)
                assert data
                heard = rest + data
                told += map(int, re.findall(rb"process (\d+) \(mysqld\)", heard))
                rest = heard[heard.rfind(b")") + 1 :]
    assert list(range(number)) == told


def test_without_standard_output_alerts_wait(agent: Running) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    agent.append(oom(0))
    agent.start("--from-start", command=closed)
    until(lambda: agent.status()["sinks"][0]["spooled"])
    agent.stop()
    assert 1 == len(agent.messages("sink-down"))
    assert "1 alerts wait for their sinks" in agent.said()
    agent.start("--from-start")
    until(agent.printed)

    assert [0] == pids(agent.printed())
    assert [] == whole_records(agent.folder / "stdout.1")


# ---- the machine around it ----

JUMPING = """
import sys, time
real = time.time
time.time = lambda: real() + float(open(sys.argv[1]).read())
from logagent.service.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_clock_that_jumps_a_day_stops_nothing_and_floods_nobody(agent: Running) -> None:
    clock = agent.folder / "clock"
    clock.write_text("0")
    overrides = {
        "watch.paths": [str(agent.logs)],
        "watch.from_start": True,
        "state.dir": str(agent.state),
        "state.save_seconds": 0.1,
    }
    asked = json.dumps({"overrides": overrides})
    agent.stderr, agent.stdout, agent.starts = agent.folder / "err", agent.folder / "stdout.1", 1
    with open(agent.stdout, "wb") as out, open(agent.stderr, "wb") as err:
        agent.process = subprocess.Popen(
            [sys.executable, "-c", JUMPING, str(clock), asked],
            stdout=out,
            stderr=err,
            env=os.environ | {"CONFIGURATION_DIRECTORY": str(agent.folder)},
        )
    until(lambda: "watching" in agent.said())
    lines = 1
    agent.append(fine(0))
    for jump in (0, 86_400, 0, -86_400, 0):
        moved = agent.folder / "moved"
        moved.write_text(str(jump))
        moved.replace(clock)
        for _ in range(5):
            agent.append(oom(lines), fine(lines))
            lines += 2
            agent.read(lines)
        agent.append(oom(lines, f"program{'abcdefg'[lines % 7]}"))  # new groups are told, too
        lines += 1
        agent.read(lines)
        agent.saved()

    told = [record for record in agent.printed() if "mysqld" in record["text"]]
    assert 1 <= len(told) <= 5  # once, and once per jump at most
    assert len(told) == len({record["id"] for record in told})
    assert {} == agent.status()["problems"]


def test_ten_thousand_files_are_all_followed(agent: Running) -> None:
    many = agent.folder / "many"
    many.mkdir()
    files = [many / f"{number}.log" for number in range(10_000)]
    for number, file in enumerate(files):
        file.write_text(fine(number))
    agent.start("--no-group", "--no-stdout", "--jsonl", agent.jsonl, paths=[many / "*.log"])
    until(lambda: agent.status()["source_count"] == 10_000, "found")
    for number, file in enumerate(files):
        agent.append(oom(number), to=file)
    agent.read(10_000)
    until(lambda: agent.status()["lag_bytes"] == 0)

    records = whole_records(agent.jsonl)
    assert list(range(10_000)) == sorted(pids(records))
    assert 10_000 == len({record["source"] for record in records})
    assert {} == agent.status()["problems"]
    # 10,000 open files with their positions take 17 MiB more than one does.
    assert agent.status()["memory"]["rss_anon_bytes"] < 80 * 1024 * 1024
    assert len(agent.status()["sources"]) == 1000


def test_a_name_of_any_bytes_is_followed_across_a_restart(agent: Running) -> None:
    log = agent.logs / os.fsdecode(b"n\xff\xfe \n\x1b[31m name.log")
    log.touch()
    agent.start("--no-group")
    agent.append(oom(0), to=log)
    until(agent.printed)
    agent.saved()
    agent.stop(signal.SIGKILL)
    agent.append(oom(1), to=log)
    agent.start("--no-group")
    until(lambda: 1 in pids(agent.printed()))

    assert [0, 1] == pids(agent.printed())
    assert all(record["source"].isprintable() for record in agent.printed())


def test_a_folder_of_logs_that_vanishes_and_comes_back_is_followed(agent: Running) -> None:
    agent.start("--no-group")
    agent.append(oom(0))
    until(agent.printed)
    shutil.rmtree(agent.logs)
    agent.logs.mkdir()
    agent.append(oom(1))
    until(lambda: 1 in pids(agent.printed()))
    assert [0, 1] == pids(agent.printed())


# ---- starts that fail ----


def test_a_configuration_with_mistakes_is_exit_7_and_a_line_for_each(agent: Running) -> None:
    config = agent.folder / "bad.toml"
    config.write_text('[watch]\nfrom_start = 3\n[alert]\n[sinks]\nsyslog = "\x7f"\nstdut = true\n')
    agent.start("--config", config, wait=False)

    assert 7 == agent.wait()
    lines = agent.said().splitlines()
    assert 1 <= len(lines) <= 4
    assert all(line.startswith("logagent: ") and line.isprintable() for line in lines)

    config.write_text("[watch]\nfrom_start = 3\n[alert]\n[sinks]\nstdut = true\n")
    agent.start("--config", config, wait=False)
    assert 7 == agent.wait()
    lines = agent.said().splitlines()
    assert 3 == len(lines)
    assert not agent.state.exists()


def test_a_second_agent_on_a_state_folder_is_exit_8(agent: Running) -> None:
    agent.start()
    second = subprocess.run(
        [sys.executable, "-m", "logagent", "run", agent.logs, "--state-dir", agent.state],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 8 == second.returncode
    assert "" == second.stdout
    (line,) = second.stderr.splitlines()
    assert "in use by another logagent" in line
    agent.append(oom(0))  # the first one goes on, and still answers
    until(agent.printed)
    assert 1 == agent.status()["alerts"]


def test_a_state_that_is_damaged_is_set_aside_and_lines_come_again(agent: Running) -> None:
    agent.append(oom(1))
    agent.start("--from-start")
    until(agent.printed)
    agent.stop()
    for name in ("state", "state.previous"):
        if (agent.state / name).exists():
            (agent.state / name).write_bytes(b"damaged")
    agent.append(oom(2))
    agent.start()
    until(lambda: len(agent.printed()) >= 2)

    assert [1, 1] == pids(agent.printed())  # the first line of the group, with the same id
    assert 1 == len({record["id"] for record in agent.printed()})
    assert agent.messages("state-unusable")
    assert list(agent.state.glob("state.unusable-*"))
