"""Syslog over TLS (RFC 5425), to a real listener with a certificate of its own."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from logagent.sinks import Alert, SinkError
from logagent.sinks.syslog import SyslogSink

from .certificates import Certificate
from .fakes import alert


class Collector:
    """Splits what comes into messages by their octet counts."""

    def __init__(self, certificate: Certificate, port: int = 0) -> None:
        self.context = certificate.server()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.messages: list[bytes] = []
        self.connections: list[ssl.SSLSocket] = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                connection = self.context.wrap_socket(plain, server_side=True)
            except OSError:  # it did not like our certificate
                plain.close()
                continue
            self.connections.append(connection)
            with suppress(OSError, ValueError), connection:
                file = connection.makefile("rb")
                with file:
                    while count := self._count(file):
                        self.messages.append(file.read(count))

    def _count(self, file: object) -> int:
        digits = b""
        while (byte := file.read(1)) not in (b" ", b""):  # type: ignore[attr-defined]
            digits += byte
        return int(digits or 0)

    def wait(self, count: int) -> list[bytes]:
        stop = time.monotonic() + 10
        while len(self.messages) < count:
            assert time.monotonic() < stop, self.messages
            time.sleep(0.001)
        return self.messages

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self.connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def collector(certificate: Certificate) -> Iterator[Collector]:
    made = Collector(certificate)
    yield made
    made.close()


def is_refused(sink: SyslogSink, one: Alert) -> bool:
    try:
        sink.write(one)
    except SinkError as error:
        if "takes nothing now" not in str(error):
            raise
        return True
    return False


def written(sink: SyslogSink, one: Alert) -> None:
    stop = time.monotonic() + 10
    while True:
        try:
            sink.write(one)
        except SinkError as error:
            if "still connecting" not in str(error) or time.monotonic() > stop:
                raise
        else:
            return


def test_messages_arrive_counted_and_whole(collector: Collector, certificate: Certificate) -> None:
    sink = SyslogSink(collector.address, "router", ca_file=str(certificate.file))
    with closing(sink):
        for number in range(50):
            written(sink, alert(number))
        got = collector.wait(50)

    assert all(f"disk {n} failed".encode() in each for n, each in enumerate(got))
    assert got[0].startswith(b"<27>1 ")


def test_a_collector_that_was_restarted_gets_the_next_alert(certificate: Certificate) -> None:
    first = Collector(certificate)
    sink = SyslogSink(first.address, "router", ca_file=str(certificate.file))
    with closing(sink):
        written(sink, alert(1))
        first.wait(1)
        first.close()
        second = Collector(certificate, first.port)
        with closing(second):
            written(sink, alert(2))
            assert b"disk 2" in second.wait(1)[0]
            sink.close()


def test_a_collector_nobody_vouches_for_hears_nothing(
    collector: Collector, certificate: Certificate, tmp_path: Path
) -> None:
    other = Certificate(tmp_path / "other")
    for ca_file in ("", str(other.file)):
        with (
            closing(SyslogSink(collector.address, "router", ca_file=ca_file)) as sink,
            pytest.raises(SinkError, match="its certificate is refused"),
        ):
            written(sink, alert(1))
    with (
        closing(SyslogSink(collector.address, "router", ca_file="/no/file")) as sink,
        pytest.raises(SinkError, match="/no/file: No such file"),
    ):
        written(sink, alert(1))
    assert [] == collector.messages


def test_a_listener_that_never_shakes_hands_does_not_hold_the_agent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tls://127.0.0.1:{mute.getsockname()[1]}"
        with (
            closing(SyslogSink(address, "router", wait_seconds=0.01)) as sink,
            pytest.raises(SinkError, match="still connecting"),
        ):
            sink.write(alert(1))


def test_a_collector_that_does_not_read_makes_the_alert_wait_and_gets_it_whole(
    certificate: Certificate,
) -> None:
    context = certificate.server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        got: list[ssl.SSLSocket] = []

        def accept() -> None:
            plain, _ = listener.accept()
            got.append(context.wrap_socket(plain, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        address = f"tls://127.0.0.1:{listener.getsockname()[1]}"
        sink = SyslogSink(address, "router", ca_file=str(certificate.file), wait_seconds=0.01)
        number = 0
        with closing(sink):
            written(sink, alert(0))
            thread.join()
            while number < 100_000:
                number += 1
                one = Alert("a" * 16, b"{}", f"{number} {'x' * 8000}", 3)
                if is_refused(sink, one):
                    break
            data = b""
            got[0].settimeout(10)
            refused = Alert("a" * 16, b"{}", f"{number} {'x' * 8000}", 3)
            taken = False
            while f" {number} xxx".encode() not in data or not data.endswith(b"x" * 100):
                data += got[0].recv(1 << 20)
                if not taken:
                    with suppress(SinkError):
                        sink.write(refused)
                        taken = True
            assert taken
        got[0].close()

    assert all(f" {n} xxx".encode() in data for n in range(1, number + 1))
    assert 1 == data.count(f" {number} xxx".encode())


@pytest.mark.parametrize("address", ["tls://", "tls://h:0", "tls:/h", "tls://h:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"tls://host:6514"):
        SyslogSink(address, "router")
    assert 6514 == SyslogSink("tls://h", "router")._port
