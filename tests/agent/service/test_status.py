"""The status socket: whoever asks gets one whole answer, and cannot hold the agent up."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logagent.errors import StateError
from logagent.service import status as status_module
from logagent.service.status import StatusServer, ask


class Served:
    """A status server and a thread that asks it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.reports: list[tuple[str, str]] = []
        self.server = self.made()

    def made(self) -> StatusServer:
        return StatusServer(self.folder, lambda kind, message: self.reports.append((kind, message)))

    def ask(self, answer: dict[str, Any]) -> Any:
        """Ask from a thread, answer here; return what was heard, or the error."""
        heard: list[Any] = []

        def asking() -> None:
            try:
                heard.append(ask(self.folder))
            except StateError as error:
                heard.append(error)

        thread = threading.Thread(target=asking)
        thread.start()
        deadline = time.monotonic() + 10
        while thread.is_alive() and time.monotonic() < deadline:
            self.server.serve(lambda: answer)
            thread.join(0.01)
        thread.join()
        return heard[0]

    def connect(self) -> socket.socket:
        asker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        asker.connect(str(self.folder / "status.sock"))
        return asker


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "state")
    yield made
    made.server.close()


def impostor(folder: Path, data: bytes) -> threading.Thread:
    """Answer one asker with any bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "status.sock"))
    listener.listen(1)

    def answering() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(data)

    thread = threading.Thread(target=answering)
    thread.start()
    return thread


def test_who_asks_is_answered(served: Served) -> None:
    assert {"lines": 7, "sources": []} == served.ask({"lines": 7, "sources": []})
    assert {"lines": 8} == served.ask({"lines": 8})
    assert [] == served.reports


def test_an_answer_of_a_thousand_files_comes_whole(served: Served) -> None:
    answer = {"sources": [{"source": f"/var/log/{'x' * 200}{n}"} for n in range(1000)]}

    assert answer == served.ask(answer)


def test_any_text_comes_through(served: Served) -> None:
    answer = {"name\udcff\n": "\x1b[31m\u2028\udc80\0"}

    assert answer == served.ask(answer)


def test_a_folder_with_a_name_too_long_for_a_socket_can_be_asked(tmp_path: Path) -> None:
    served = Served(tmp_path / ("d" * 120) / ("e" * 120))
    before = len(os.listdir("/proc/self/fd"))

    assert {"lines": 7} == served.ask({"lines": 7})
    assert before == len(os.listdir("/proc/self/fd"))
    served.server.close()
    assert [] == os.listdir(served.folder)


@pytest.mark.parametrize("length", range(96, 112))
def test_folders_of_any_length_can_be_asked(tmp_path: Path, length: int) -> None:
    """Around the limit of 107 bytes, with the name of the socket."""
    room = length - len(str(tmp_path)) - 1
    if room < 1:
        pytest.skip("the temporary folder's own name is longer")
    served = Served(tmp_path / ("d" * room))

    assert {"lines": 7} == served.ask({"lines": 7})
    served.server.close()


def test_only_owner_and_group_may_ask(served: Served) -> None:
    assert 0o660 == (served.folder / "status.sock").stat().st_mode & 0o777


def test_nobody_asking_costs_nothing(served: Served) -> None:
    def never() -> dict[str, Any]:
        raise AssertionError("nobody asked")

    served.server.serve(never)


def test_an_asker_that_does_not_read_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_SEND_SECONDS", 0.01)
    with served.connect() as asker:
        served.server.serve(lambda: {"text": "x" * 10_000_000})
        asker.settimeout(10)
        got = 0
        while data := asker.recv(1 << 20):
            got += len(data)

    assert 0 < got < 10_000_000


def test_an_answer_that_was_cut_off_is_told(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_SEND_SECONDS", 0.0)
    error = served.ask({"text": "x"})

    assert isinstance(error, StateError)
    assert "cut off; ask again" in str(error)


def test_an_asker_that_is_gone_is_survived(served: Served) -> None:
    served.connect().close()
    served.server.serve(lambda: {"text": "x" * 10_000_000})

    assert {"lines": 7} == served.ask({"lines": 7})


def test_an_asker_that_says_something_is_not_listened_to(served: Served) -> None:
    with served.connect() as asker:
        asker.sendall(b"x" * 10_000)
        served.server.serve(lambda: {"lines": 7})
        asker.settimeout(10)
        assert {"lines": 7} == json.loads(asker.recv(1 << 16))


def test_a_socket_that_a_killed_agent_left_is_replaced(served: Served) -> None:
    left = served.server
    served.server = served.made()

    assert {"lines": 7} == served.ask({"lines": 7})
    served.server.close()
    left.close()


def test_a_closed_server_leaves_no_socket(served: Served) -> None:
    assert 1 == len(served.server.descriptors())
    served.server.close()

    assert [] == os.listdir(served.folder)
    assert [] == served.server.descriptors()
    served.server.serve(dict)
    with pytest.raises(StateError, match="no logagent runs with state folder"):
        ask(served.folder)


def test_where_no_socket_can_be_the_agent_does_without(tmp_path: Path) -> None:
    (tmp_path / "status.sock").mkdir()  # in the way, for root as well
    served = Served(tmp_path)

    ((kind, message),) = served.reports
    assert "no-status" == kind
    assert "`logagent status` cannot ask" in message
    assert [] == served.server.descriptors()
    served.server.serve(dict)
    served.server.close()
    assert ["status.sock"] == os.listdir(tmp_path)


def test_a_folder_that_does_not_exist_has_no_agent(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path / ("d" * 200)):
        with pytest.raises(StateError, match="no logagent runs with state folder"):
            ask(folder)


def test_a_socket_nobody_listens_on_has_no_agent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "status.sock"))

    with pytest.raises(StateError, match="no logagent runs"):
        ask(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'"text"', b"[]", b"null", b"\xff\xfe", b"[" * 100_000]
)
def test_an_answer_that_is_none_of_ours_is_an_error(tmp_path: Path, data: bytes) -> None:
    thread = impostor(tmp_path, data)
    with pytest.raises(StateError, match=r"status\.sock"):
        ask(tmp_path)
    thread.join()


def test_an_answer_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "_MAX_ANSWER_BYTES", 100_000)
    thread = impostor(tmp_path, b" " * 150_000)
    with pytest.raises(StateError, match="too long"):
        ask(tmp_path)
    thread.join()


def test_an_agent_that_hangs_is_not_waited_for_for_ever(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "_ASK_SECONDS", 0.01)
    with pytest.raises(StateError, match="timed out"):
        ask(served.folder)
