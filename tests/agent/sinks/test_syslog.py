"""Syslog to real sockets: datagrams, streams, daemons that go away and return."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sanitise import printable
from logagent.sinks import Alert, SinkError
from logagent.sinks.syslog import SyslogSink
from logagent.sinks.syslog_format import local_message, network_message

from .fakes import alert

WAIT = 0.05
NOW = 1_762_600_205.25  # 2025-11-08T11:10:05.25Z


def listener(family: int, kind: int, where: Any) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.settimeout(5)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(where)
    if kind == socket.SOCK_STREAM:
        sock.listen(1)
    return sock


def tcp_listener(port: int = 0) -> socket.socket:
    return listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))


def sink_to(address: str, **options: Any) -> SyslogSink:
    return SyslogSink(address, "router", wait_seconds=WAIT, wall=lambda: NOW, **options)


def tcp_sink(server: socket.socket, **options: Any) -> SyslogSink:
    return sink_to(f"tcp://127.0.0.1:{server.getsockname()[1]}", **options)


def eventually(action: Callable[[], object], meanwhile: str = "") -> None:
    """Repeat what the kernel or a thread makes possible in its own time."""
    deadline = time.monotonic() + 5
    while True:
        try:
            action()
        except SinkError as error:
            if meanwhile not in str(error) or time.monotonic() > deadline:
                raise
        else:
            return


def refused_after(
    sink: SyslogSink,
    make: Callable[[int], Alert],
    message: str = "takes nothing now",
    first: int = 0,
) -> int:
    """Write alerts until one is refused; return its number."""
    for number in range(first, 100_000):
        try:
            sink.write(make(number))
        except SinkError as error:
            if message not in str(error):
                raise
            return number
    raise AssertionError("everything was taken")


def accepted(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(5)
    return connection


def receive_until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = connection.recv(1 << 20)
        assert piece, "closed early"
        data += piece
    return data


def frames(data: bytes) -> list[bytes]:
    """Split octet-counted messages."""
    found = []
    while data:
        length, _, data = data.partition(b" ")
        assert len(data) >= int(length)
        found.append(data[: int(length)])
        data = data[int(length) :]
    return found


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_the_local_socket_gets_the_form_that_logger_sends_there(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    daemon = listener(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    with closing(daemon), closing(sink_to(path)) as sink:
        sink.write(alert(7))
        expected = f"<27>Nov  8 11:10:05 logagent[{os.getpid()}]: disk 7 failed"

        assert expected == daemon.recv(9999).decode()


def test_a_local_stream_socket_gets_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    daemon = listener(socket.AF_UNIX, socket.SOCK_STREAM, path)
    with closing(daemon), closing(sink_to(path)) as sink:
        sink.write(alert(7))
        sink.write(alert(8))
        with closing(accepted(daemon)) as connection:
            lines = receive_until(connection, b"disk 8 failed\n").splitlines()

    assert [b"disk 7 failed", b"disk 8 failed"] == [each.split(b": ")[1] for each in lines]


def test_a_local_daemon_that_is_started_anew_loses_no_message(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with closing(sink_to(path)) as sink:
        with pytest.raises(SinkError, match="No such file"):
            sink.write(alert(1))
        with closing(listener(socket.AF_UNIX, socket.SOCK_DGRAM, path)):
            sink.write(alert(1))
        with pytest.raises(SinkError, match="Connection refused"):
            sink.write(alert(2))
        os.unlink(path)
        with closing(listener(socket.AF_UNIX, socket.SOCK_DGRAM, path)) as daemon:
            sink.write(alert(2))
            daemon.recv(9999)
        os.unlink(path)
        with closing(listener(socket.AF_UNIX, socket.SOCK_DGRAM, path)) as daemon:
            sink.write(alert(3))  # on the old socket first
            assert daemon.recv(9999).endswith(b"disk 3 failed")


def test_a_local_daemon_that_hangs_does_not_block(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with (
        closing(listener(socket.AF_UNIX, socket.SOCK_DGRAM, path)) as daemon,
        closing(sink_to(path)) as sink,
    ):
        taken = refused_after(sink, alert)
        received = [daemon.recv(9999) for _ in range(taken)]
        sink.write(alert(taken))
        received.append(daemon.recv(9999))

    expected = [alert(number).text.encode() for number in range(taken + 1)]
    assert expected == [each.split(b": ")[1] for each in received]


def test_udp_gets_rfc_5424() -> None:
    server = listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    with (
        closing(server),
        closing(sink_to(f"udp://127.0.0.1:{server.getsockname()[1]}", facility="local0")) as sink,
    ):
        sink.write(alert(7))
        expected = (
            f"<131>1 2025-11-08T11:10:05.250000Z router logagent {os.getpid()} anomaly "
            '[logagent@32473 id="0000000000000007"] disk 7 failed'
        )
        assert expected == server.recv(9999).decode()


def test_a_udp_port_that_nobody_listens_on_is_noticed_at_a_later_message() -> None:
    server = listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.close()
    with closing(sink_to(f"udp://127.0.0.1:{port}")) as sink:
        sink.write(alert(1))
        assert refused_after(sink, alert, "Connection refused") < 100


def test_tcp_counts_octets() -> None:
    with closing(tcp_listener()) as server, closing(tcp_sink(server)) as sink:
        sink.write(Alert("1", b"{}", "Gerät\nkaputt", 2))
        sink.write(alert(2))
        with closing(accepted(server)) as connection:
            first, second = frames(receive_until(connection, b"disk 2 failed"))

    assert first.decode().endswith('id="1"] Gerät\\x0akaputt')
    assert second.endswith(b"disk 2 failed")


def test_a_tcp_server_that_goes_away_and_returns_gets_the_rest_in_order() -> None:
    with closing(tcp_listener()) as server:
        port = server.getsockname()[1]
        sink = tcp_sink(server)
        sink.write(alert(1))
        with closing(accepted(server)) as connection:
            assert receive_until(connection, b"disk 1 failed")
    with closing(sink):
        # It said goodbye, so the message is not sent into the old connection and lost.
        with pytest.raises(SinkError, match="Connection refused"):
            sink.write(alert(2))
        with closing(tcp_listener(port)) as server:
            sink.write(alert(2))
            sink.write(alert(3))
            with closing(accepted(server)) as connection:
                received = frames(receive_until(connection, b"disk 3 failed"))

    assert [b"disk 2 failed", b"disk 3 failed"] == [each.split(b"] ")[1] for each in received]


def hang(server: socket.socket, sink: SyslogSink) -> tuple[int, socket.socket]:
    """Write until a message went out in part; return its number and the server's end."""
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sink.write(long_alert(0))
    connection = accepted(server)
    return refused_after(sink, long_alert, first=1), connection


def long_alert(number: int) -> Alert:
    return Alert(f"{number:016x}", b"{}", f"{number} {'x' * 7000}.", 3)


def numbers(received: list[bytes]) -> list[int]:
    assert all(each.endswith(b"x.") for each in received)
    return [int(each.split(b"] ")[1].split(b" ")[0]) for each in received]


def test_a_tcp_server_that_hangs_gets_each_message_once_and_whole() -> None:
    with closing(tcp_listener()) as server, closing(tcp_sink(server)) as sink:
        number, connection = hang(server, sink)
        data = b""

        def read() -> None:
            nonlocal data
            while piece := connection.recv(1 << 16):
                data += piece

        with closing(connection):
            thread = threading.Thread(target=read)
            thread.start()
            eventually(lambda: sink.write(long_alert(number)))
            eventually(lambda: sink.write(long_alert(number + 1)))
            sink.close()
            thread.join()

    assert list(range(number + 2)) == numbers(frames(data))


def test_a_message_torn_by_a_broken_connection_is_sent_again_whole() -> None:
    with closing(tcp_listener()) as server, closing(tcp_sink(server)) as sink:
        number, connection = hang(server, sink)
        connection.close()  # with data unread: a reset
        eventually(lambda: sink.write(long_alert(number)))
        with closing(accepted(server)) as connection:
            assert [number] == numbers(frames(receive_until(connection, b"x.")))


def test_names_are_looked_up_off_the_thread_and_each_address_is_tried() -> None:
    asked: list[tuple[str, int]] = []
    may_answer = threading.Event()
    with closing(tcp_listener()) as server:
        refused = tcp_listener()
        nobody = refused.getsockname()
        refused.close()

        def look_up(host: str, port: int, kind: Any) -> list[Any]:
            asked.append((host, port))
            may_answer.wait(5)
            return [
                (socket.AF_INET, kind, 0, nobody),
                (socket.AF_INET, kind, 0, server.getsockname()),
            ]

        with closing(sink_to("tcp://logs.example", look_up=look_up)) as sink:
            for _ in range(2):
                with pytest.raises(SinkError, match=r"name logs.example is still being looked up"):
                    sink.write(alert(1))
            may_answer.set()
            eventually(lambda: sink.write(alert(1)), meanwhile="looked up")
            sink.write(alert(2))
            with closing(accepted(server)) as connection:
                assert 2 == len(frames(receive_until(connection, b"disk 2 failed")))

    assert [("logs.example", 514)] == asked


def test_a_failing_look_up_is_a_sink_error_and_is_tried_again() -> None:
    asked = []

    def look_up(host: str, port: int, kind: Any) -> list[Any]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with closing(sink_to("udp://logs.example", look_up=look_up)) as sink:
        for _ in range(2):
            with pytest.raises(SinkError, match=r"cannot look up .*: Name or service not known"):
                sink.write(alert(1))

    assert 2 == len(asked)


@pytest.mark.parametrize(
    "address",
    [
        *("", "log", "http://a:1", "udp://", "udp://:514", "tcp://a:0", "tcp://a:70000"),
        *("tcp://a:b", "tcp://::1:514", "tcp:a"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="syslog address"):
        SyslogSink(address, "router")


def test_an_unknown_facility_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown syslog facility 'deamon': kern, user"):
        SyslogSink("/dev/log", "router", "deamon")


def test_ipv6_addresses_stand_in_brackets() -> None:
    try:
        server = listener(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with (
        closing(server),
        closing(sink_to(f"tcp://[::1]:{server.getsockname()[1]}")) as sink,
    ):
        sink.write(alert(1))
        with closing(accepted(server)) as connection:
            assert receive_until(connection, b"disk 1 failed")


@given(text=st.text(), name=st.text(), host=st.text(), limit=st.integers(200, 2000))
def test_a_message_is_one_bounded_line_whatever_the_alert_holds(
    text: str, name: str, host: str, limit: int
) -> None:
    each = Alert(name[:8], b"{}", text * 50, 99)
    messages = [
        network_message(each, facility=3, hostname=host[:20], pid=1, now=NOW, limit=limit),
        local_message(each, facility=3, pid=1, now=NOW, limit=limit),
    ]
    for message in messages:
        assert len(message) <= limit
        assert printable(message, limit) == message.decode()
        assert message.startswith(b"<31>")
    sd = r'\[logagent@32473 id="(?:[^"\\\]]|\\["\\\]])*"\] '
    header = r"<31>1 \S+ [!-~]+ logagent 1 anomaly "
    assert re.match(header + sd, messages[0].decode())
