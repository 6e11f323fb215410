"""What systemd is told: the right words to the right socket, and never at the cost of the agent."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from logagent.service.notify import Notifier


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def told(self) -> list[list[str]]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return messages


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    made = Manager(path)
    yield made
    made.socket.close()


def test_the_life_of_a_service_is_told(manager: Manager, path: str) -> None:
    notifier = Notifier(path, watchdog_seconds=30)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready("following 3 files")
    notifier.status("4 files")
    notifier.watchdog()
    notifier.reloading()
    notifier.ready()
    notifier.stopping()

    ready, status, alive, reloading, again, stopping = manager.told()
    assert ["READY=1", "STATUS=following 3 files"] == ready
    assert ["STATUS=4 files"] == status
    assert ["WATCHDOG=1"] == alive
    assert "RELOADING=1" == reloading[0]
    name, _, moment = reloading[1].partition("=")
    assert "MONOTONIC_USEC" == name
    assert before <= int(moment) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert ["READY=1"] == again
    assert ["STOPPING=1"] == stopping
    assert 0 == notifier.failed


def test_an_abstract_socket_is_found() -> None:
    name = f"logagent-test-{os.getpid()}-{time.monotonic_ns()}"
    manager = Manager("\0" + name)
    with manager.socket:
        Notifier.from_environment({"NOTIFY_SOCKET": "@" + name}).ready()

        assert [["READY=1"]] == manager.told()


def test_the_environment_is_read_and_emptied() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    notifier = Notifier.from_environment(environment)

    assert notifier.enabled
    assert 30.0 == notifier.watchdog_seconds
    assert {"PATH": "/bin"} == environment


def test_the_real_environment_is_taken_by_default(
    manager: Manager, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    Notifier.from_environment().ready()

    assert [["READY=1"]] == manager.told()
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "9" * 5000},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(
    manager: Manager, path: str, variables: dict[str, str]
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": path, **variables})
    notifier.watchdog()

    assert math.inf == notifier.watchdog_seconds
    assert [] == manager.told()


@pytest.mark.parametrize("address", [None, "", "relative/path", "vsock:2:1234"])
def test_outside_of_systemd_nothing_is_said(address: str | None) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address} if address is not None else {})
    notifier.ready("x")
    notifier.stopping()

    assert not notifier.enabled
    assert 0 == notifier.failed


@pytest.mark.parametrize("address", ["/no/such/socket", "/" + "x" * 200, "/a\0b", "@"])
def test_a_manager_that_is_gone_is_counted_and_survived(address: str) -> None:
    notifier = Notifier(address)
    notifier.ready()
    notifier.status("x")

    assert 2 == notifier.failed


def test_a_manager_that_does_not_listen_never_blocks(manager: Manager, path: str) -> None:
    notifier = Notifier(path)
    for _ in range(5000):  # far more than a socket's queue holds
        notifier.status("x")

    assert notifier.failed
    assert manager.told()


def test_a_status_cannot_smuggle_in_another_message(manager: Manager, path: str) -> None:
    Notifier(path).status("fine\nMAINPID=1\n\x1b[2J" + "x" * 9999)

    ((line,),) = manager.told()
    assert line.startswith("STATUS=fine\\x0aMAINPID=1")
    assert line.isprintable()
    assert len(line) <= 510
