"""Publishing to a broker: a small one that does as it is told, and the real mosquitto."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.config_rules import mqtt_address
from logagent.sinks import Alert, Pending, SinkError, mqtt
from logagent.sinks.home_assistant import discovery, node_id
from logagent.sinks.mqtt import MqttSink
from logagent.sinks.mqtt_packets import connect, packets, publish

from .certificates import Certificate
from .fakes import alert

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed here")


class Broker:
    """Speaks as much MQTT as our own client needs; written from the standard, not from it."""

    def __init__(self, port: int = 0) -> None:
        self.code = 0  # of CONNACK
        self.silent = False  # acknowledge nothing
        self.connects: list[dict[str, Any]] = []
        self.messages: list[tuple[str, bytes, bool]] = []
        self.kinds: list[int] = []
        self.odd = b""  # sent instead of a PUBACK
        self.open: list[socket.socket] = []
        self.threads: list[threading.Thread] = []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        try:
            while first := file.read(1):
                length = shift = 0
                while True:
                    (byte,) = file.read(1)
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                self._packet(connection, first[0], file.read(length))
        except (OSError, ValueError):
            pass
        finally:
            file.close()
            connection.close()

    def _packet(self, connection: socket.socket, first: int, body: bytes) -> None:
        self.kinds.append(first >> 4)
        if first >> 4 == 1:
            self._connect(body)
            connection.sendall(bytes([0x20, 2, 0, self.code]))
        elif first >> 4 == 3:
            size = int.from_bytes(body[:2], "big")
            topic, number = body[2 : 2 + size].decode(), body[2 + size : 4 + size]
            assert 1 == first >> 1 & 3, "QoS 1"
            assert number != b"\0\0"
            self.messages.append((topic, body[4 + size :], bool(first & 1)))
            if self.odd:
                connection.sendall(self.odd)
            elif not self.silent:
                connection.sendall(b"\x40\x02" + number)
        elif first >> 4 == 12 and not self.silent:
            connection.sendall(b"\xd0\x00")

    def _connect(self, body: bytes) -> None:
        assert b"\x00\x04MQTT\x04" == body[:7]
        flags, keepalive = struct.unpack(">BH", body[7:10])
        texts, at = [], 10
        while at < len(body):
            size = int.from_bytes(body[at : at + 2], "big")
            texts.append(body[at + 2 : at + 2 + size].decode())
            at += 2 + size
        self.connects.append({"flags": flags, "keepalive": keepalive, "texts": texts})

    def alerts(self) -> list[bytes]:
        return [payload for topic, payload, _ in self.messages if topic.endswith("/alert")]

    def drop(self) -> None:
        for each in self.open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        self.drop()
        for each in self.threads:
            each.join(10)


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


def until(happened: Callable[[], Any], meanwhile: Callable[[], object] = lambda: None) -> Any:
    stop = time.monotonic() + 10
    while not (found := happened()):
        assert time.monotonic() < stop
        meanwhile()
        time.sleep(0.001)
    return found


def published(sink: MqttSink, one: Alert) -> None:
    """Offer an alert until it was taken; a real broker answers in its own time."""
    stop = time.monotonic() + 10
    while True:
        try:
            sink.write(one)
        except Pending:
            assert time.monotonic() < stop
            continue
        return


def refusal(sink: MqttSink, one: Alert) -> str:
    with pytest.raises(SinkError) as caught:
        published(sink, one)
    assert not isinstance(caught.value, Pending)
    return str(caught.value)


def test_an_alert_is_published_below_the_name_of_the_machine(broker: Broker) -> None:
    with closing(MqttSink(broker.address, "my.router")) as sink:
        published(sink, alert(7))
        published(sink, alert(8))

    assert ("logagent/my_router/status", b"online", True) == broker.messages[0]
    assert ("logagent/my_router/alert", alert(7).record, False) == broker.messages[1]
    assert [alert(7).record, alert(8).record] == broker.alerts()
    assert 1 == len(broker.connects)
    (made,) = broker.connects
    assert ["logagent-my_router", "logagent/my_router/status", "offline"] == made["texts"]
    assert (0x2E, 60) == (made["flags"], made["keepalive"])


def test_it_says_goodbye_when_it_is_closed(broker: Broker) -> None:
    with closing(MqttSink(broker.address, "h")) as sink:
        published(sink, alert(7))
    until(lambda: 14 in broker.kinds)

    assert ("logagent/h/status", b"offline", True) == broker.messages[-1]


def test_an_alert_counts_only_when_the_broker_has_acknowledged_it(broker: Broker) -> None:
    broker.silent = True
    with closing(MqttSink(broker.address, "h", wait_seconds=0.001)) as sink:

        def offer() -> None:
            with pytest.raises(Pending):
                sink.write(alert(7))

        until(broker.alerts, offer)
        offer()
        assert 1 == len(broker.alerts())


def test_a_broker_that_never_acknowledges_is_given_up(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_ANSWER_SECONDS", 0.05)
    broker.silent = True
    with closing(MqttSink(broker.address, "h", wait_seconds=0.01)) as sink:
        assert f"{broker.address}: no answer in 0.05 s" == refusal(sink, alert(7))
        broker.silent = False
        monkeypatch.undo()
        published(sink, alert(7))


def test_a_connection_that_broke_is_made_anew_and_the_alert_published_again(
    broker: Broker,
) -> None:
    with closing(MqttSink(broker.address, "h")) as sink:
        published(sink, alert(7))
        broker.drop()
        published(sink, alert(8))
        broker.silent = True
        sink._wait_seconds = 0.001
        with pytest.raises(Pending):
            until(lambda: sink.write(alert(9)))
        broker.silent = False
        broker.drop()
        published(sink, alert(9))

    assert [alert(7).record, alert(8).record] == broker.alerts()[:2]
    assert alert(9).record == broker.alerts()[-1]


@pytest.mark.parametrize(
    ("code", "said"),
    [(1, "3.1.1"), (2, "client id"), (4, "wrong user name"), (5, "authorised"), (99, "refused")],
)
def test_a_broker_that_refuses_us_is_told(broker: Broker, code: int, said: str) -> None:
    broker.code = code
    with closing(MqttSink(broker.address, "h")) as sink:
        assert said in refusal(sink, alert(7))
        assert [] == broker.alerts()
        broker.code = 0
        published(sink, alert(7))


@pytest.mark.parametrize("odd", [b"HTTP/1.1 400 Bad\r\n", b"\x40\xff\xff\xff\xff", b"\x30\x02ab"])
def test_what_is_no_acknowledgement_breaks_the_connection(broker: Broker, odd: bytes) -> None:
    broker.odd = odd
    with closing(MqttSink(broker.address, "h")) as sink:
        assert "no acknowledgement" in refusal(sink, alert(7))


def test_an_acknowledgement_of_another_message_is_none(broker: Broker) -> None:
    broker.odd = b"\x40\x02\xff\xf0"
    with closing(MqttSink(broker.address, "h", wait_seconds=0.01)) as sink:
        for _ in range(3):
            with pytest.raises(Pending):
                sink.write(alert(7))


def test_user_and_password_are_sent_and_never_told(broker: Broker, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    sink = MqttSink(
        broker.address, "h", prefix="a/b", client_id="c", username="u", password_file=str(secret)
    )
    with closing(sink):
        published(sink, alert(7))
        broker.code = 4
        broker.drop()
        assert "hunter2" not in refusal(sink, alert(8))
        secret.unlink()
        assert "No such file" in refusal(sink, alert(8))

    assert ["c", "a/b/h/status", "offline", "u", "hunter2"] == broker.connects[0]["texts"]
    assert 0xEE == broker.connects[0]["flags"]


def test_nobody_there_is_a_sink_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with closing(MqttSink(f"mqtt://127.0.0.1:{port}", "h")) as sink:
        assert f"mqtt://127.0.0.1:{port}: Connection refused" == refusal(sink, alert(7))


def test_without_alerts_the_connection_is_made_and_kept_up(broker: Broker) -> None:
    with closing(MqttSink(broker.address, "h", keepalive_seconds=30)) as sink:
        until(lambda: broker.messages, lambda: sink.idle(time.monotonic()))
        assert ("logagent/h/status", b"online", True) == broker.messages[0]
        assert 12 not in broker.kinds
        sink.idle(time.monotonic() + 16)
        until(lambda: 12 in broker.kinds)
        published(sink, alert(7))

    assert 1 == len(broker.connects)


def test_a_broker_that_answers_no_ping_is_left(broker: Broker) -> None:
    with closing(MqttSink(broker.address, "h", keepalive_seconds=30)) as sink:
        published(sink, alert(7))
        broker.silent = True
        now = time.monotonic()
        sink.idle(now + 16)
        sink.idle(now + 20)
        assert sink._up
        sink.idle(now + 27)
        assert not sink._up


def test_a_broker_that_is_not_there_is_tried_once_a_minute() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with closing(MqttSink(f"mqtt://127.0.0.1:{port}", "h")) as sink:
        now = time.monotonic()
        for seconds in (0, 1, 2, 59):
            sink.idle(now + seconds)
        with closing(Broker(port)) as late:
            sink.idle(now + 59.5)
            assert [] == late.connects
            until(lambda: late.connects, lambda: sink.idle(now + 61))


# ---- Home Assistant ----


def test_home_assistant_is_told_of_the_agent(broker: Broker) -> None:
    with closing(MqttSink(broker.address, "my.router", home_assistant=True)) as sink:
        published(sink, alert(7))
    (_, event), (_, sensor) = (
        (topic, json.loads(payload))
        for topic, payload, retained in broker.messages
        if topic.startswith("homeassistant/") and retained
    )

    assert "logagent/my_router/alert" == event["state_topic"] == sensor["json_attributes_topic"]
    assert "logagent/my_router/status" == event["availability_topic"]
    assert ["anomaly"] == event["event_types"]
    assert ("problem", 600) == (sensor["device_class"], sensor["off_delay"])
    assert event["unique_id"] != sensor["unique_id"]
    assert event["device"] == sensor["device"]


@given(st.text(max_size=100))
def test_any_name_of_a_machine_makes_topics_of_few_characters(host: str) -> None:
    assert set(node_id(host)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    )
    assert node_id(host)
    for topic, payload in discovery("homeassistant", host, "a", "s"):
        assert 4 == topic.count("/")
        json.loads(payload)


# ---- packets ----


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_any_bytes_are_packets_or_an_error_however_they_are_cut(
    data: bytes, cuts: list[int]
) -> None:
    def read(pieces: list[bytes]) -> list[tuple[int, bytes]] | None:
        buffer, found = bytearray(), []
        try:
            for piece in pieces:
                buffer += piece
                found += list(packets(buffer))
        except OSError:
            return None
        return found

    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert read([data]) == read(pieces)


@given(st.integers(0, 300_000))
def test_a_length_is_coded_in_seven_bits_a_byte(size: int) -> None:
    data = publish("t", b"x" * size, 1)
    length = shift = 0
    for at in range(1, 5):
        length |= (data[at] & 127) << shift
        shift += 7
        if data[at] < 128:
            break

    assert len(data) == length + at + 1


def test_a_password_without_a_user_is_not_sent() -> None:
    made = connect("c", 60, will_topic="t", will=b"o", password="p")

    assert not made.endswith(b"\0\x01p")


@pytest.mark.parametrize(
    "text", ["h", "http://h", "mqtt://", "mqtt://u@h", "mqtt://h:0", "mqtt://h/"]
)
def test_what_is_no_broker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        mqtt_address(text)
    assert (True, "h", 8883) == mqtt_address("mqtts://h")
    assert (False, "::1", 5) == mqtt_address("mqtt://[::1]:5")


# ---- the real thing ----


class Mosquitto:
    """The Debian package's broker, with a file of users and, if wanted, TLS."""

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        folder.chmod(0o755)  # as root it becomes another user
        passwords = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(passwords), "ada", "lovelace"], check=True
        )
        passwords.chmod(0o644)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {passwords}",
            "user root",
        ]
        if certificate is not None:
            lines += [f"certfile {certificate.file}", f"keyfile {certificate.key}"]
        (folder / "conf").write_text("\n".join(lines) + "\n")
        self.command = [str(MOSQUITTO), "-c", str(folder / "conf")]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens() -> bool:
            assert self.process.poll() is None
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Listener:
    """mosquitto_sub, subscribed to everything."""

    def __init__(self, broker: Mosquitto, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *("mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-u", "ada"),
                *("-P", "lovelace", "-q", "1", "-t", "#", "-F", "%r %t %p", *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@needs_mosquitto
@pytest.mark.parametrize("secure", [False, True])
def test_mosquitto_takes_alerts_before_and_after_its_restart(tmp_path: Path, secure: bool) -> None:
    certificate = Certificate(tmp_path / "tls") if secure else None
    broker = Mosquitto(tmp_path, certificate)
    secret = tmp_path / "secret"
    secret.write_text("lovelace")
    sink = MqttSink(
        f"mqtt{'s' if secure else ''}://127.0.0.1:{broker.port}",
        "h",
        username="ada",
        password_file=str(secret),
        ca_file=str(certificate.file) if certificate else "",
        home_assistant=True,
    )
    trust = ["--cafile", str(certificate.file)] if certificate else []
    with closing(sink):
        published(sink, alert(1))
        with closing(Listener(broker, *trust)) as listener:
            retained = sorted(listener.line() for _ in range(3))  # so it is subscribed now
            assert "1 homeassistant/binary_sensor/logagent_h/anomaly/config {" in retained[0]
            assert "1 logagent/h/status online" == retained[2]
            published(sink, alert(2))
            assert f"0 logagent/h/alert {alert(2).record.decode()}" == listener.line()
        broker.close()
        assert "refused" in refusal(sink, alert(3))
        broker.start()
        published(sink, alert(3))
    broker.close()


@needs_mosquitto
def test_mosquitto_says_offline_for_an_agent_that_was_killed(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("lovelace")
    address = f"mqtt://127.0.0.1:{broker.port}"
    sink = MqttSink(address, "h", username="ada", password_file=str(secret))
    published(sink, alert(1))
    with closing(Listener(broker)) as listener:
        assert "1 logagent/h/status online" == listener.line()
        sink._connection.close()  # as the kernel does for a process that is killed
        assert "0 logagent/h/status offline" == listener.line()
    broker.close()


@needs_mosquitto
def test_mosquitto_refuses_a_wrong_password(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    address = f"mqtt://127.0.0.1:{broker.port}"
    with closing(MqttSink(address, "h", username="ada", password_file=str(secret))) as sink:
        assert "not authorised" in refusal(sink, alert(1))
    broker.close()
