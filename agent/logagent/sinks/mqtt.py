"""Alerts to an MQTT broker, QoS 1: each counts as taken when the broker has acknowledged it.

Topics, below ``PREFIX/HOST``: ``alert``, the record of each alert as JSON; ``status``, retained,
``online`` while we are connected and ``offline`` otherwise, which the broker says for us when we
go without a word.

Guarantees: no call waits for more than `wait_seconds`; an acknowledgement is waited for over
several calls (`Pending`), `_ANSWER_SECONDS` in all; the connection is kept up by `idle`, alerts or
not. An alert whose acknowledgement got lost is published again. The password is in no message.

MQTT 3.1.1, which every broker speaks, by ourselves: paho-mqtt costs 5.9 MiB of private memory,
and wants a thread or a loop of its own.
"""

from __future__ import annotations

import contextlib
import time

from logagent.config_rules import mqtt_address
from logagent.sinks import Alert, Pending, SinkError
from logagent.sinks import mqtt_packets as packets
from logagent.sinks.connection import Connection
from logagent.sinks.disk import reason
from logagent.sinks.home_assistant import discovery, node_id
from logagent.sinks.secret_files import read_secret

__all__ = ["MqttSink"]

_WAIT_SECONDS = 0.05
"""[s] Longest a write waits: enough for a broker nearby; inputs are read in between."""

_PENDING_SECONDS = 0.1
"""[s] Until the next look at an acknowledgement that is not here yet."""

_ANSWER_SECONDS = 10.0
"""[s] Connecting and acknowledgement, each; then the connection is given up."""

_RETRY_SECONDS = 60.0
"""[s] Between attempts to connect while no alert waits, and how long one may take."""

_SETUP, _FIRST = 1, 16
"""Packet numbers: from the first on for what is said on connecting, from the second on alerts."""


class MqttSink:
    """Publishes to one broker."""

    def __init__(
        self,
        address: str,
        hostname: str,
        *,
        prefix: str = "logagent",
        client_id: str = "",
        username: str = "",
        password_file: str = "",
        ca_file: str = "",
        keepalive_seconds: int = 60,
        home_assistant: bool = False,
        discovery_prefix: str = "homeassistant",
        name: str = "mqtt",
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """Connect to nothing yet.

        Args:
            address: ``mqtt://HOST:PORT``, or ``mqtts://HOST:PORT`` for TLS.
            hostname: ours, a level of the topics.
            prefix: the levels of the topics before it.
            client_id: how the broker tells us from others; empty: made of `hostname`.
            username: for the broker; may be empty.
            password_file: holds the password; read for each connection.
            ca_file: authorities in PEM form; empty: those of the machine.
            keepalive_seconds: after one and a half of that in silence the broker takes us for dead.
            home_assistant: whether to send its discovery messages.
            discovery_prefix: what it listens to.
            name: of the sink.
            wait_seconds: longest a write waits.

        Raises:
            ValueError: the address makes no sense.
        """
        self.name = name
        tls, host, port = mqtt_address(address)
        self._where = address
        self._connection = Connection(host, port, tls=tls, ca_file=ca_file)
        top = f"{prefix}/{node_id(hostname)}"
        self._alert_topic, self._status_topic = f"{top}/alert", f"{top}/status"
        self._client_id = client_id or f"logagent-{node_id(hostname)}"
        self._username, self._password_file = username, password_file
        self._keepalive_seconds = keepalive_seconds
        self._setup = [(self._status_topic, b"online")]
        if home_assistant:
            self._setup += discovery(
                discovery_prefix, hostname, self._alert_topic, self._status_topic
            )
        self._wait_seconds = wait_seconds
        self._alert: Alert | None = None  # the one under way
        self._last_number = _FIRST
        self._give_up = 0.0
        self._retry = 0.0
        self._begun, self._begun_at = False, 0.0  # a connection
        self._up = False  # the broker has let us in
        self._spoken = self._heard = self._pinged = 0.0  # when last
        self._in, self._out = bytearray(), bytearray()
        self._number = 0  # of the alert's packet; 0: not sent on this connection
        self._acknowledged = False

    def write(self, alert: Alert) -> None:
        """Publish one alert, or go on with it.

        Raises:
            SinkError: the broker cannot be reached or refuses us.
            Pending: its acknowledgement is not here yet.
        """
        now = time.monotonic()
        if self._alert != alert:
            self._alert, self._number, self._acknowledged = alert, 0, False
            self._give_up = now + _ANSWER_SECONDS
        while True:
            old = self._up
            try:
                self._go_on(now + self._wait_seconds)
            except OSError as error:
                self._break()
                if old:  # it was closed while nobody looked: that is no failure yet
                    continue
                self._alert = None
                raise SinkError(f"{self._where}: {reason(error)}") from error
            break
        if self._acknowledged:
            self._alert = None
            return
        if time.monotonic() >= self._give_up:
            self._break()
            self._alert = None
            raise SinkError(f"{self._where}: no answer in {_ANSWER_SECONDS:g} s")
        raise Pending(f"{self._where}: waiting for an acknowledgement", _PENDING_SECONDS)

    def sync(self) -> None:
        """Do nothing: what was written was acknowledged."""

    def idle(self, now: float) -> None:
        """Keep up the connection; waits only while it is made. What fails shows at an alert."""
        if self._alert is not None or (not self._begun and now < self._retry):
            return
        if not self._begun:
            self._retry = now + _RETRY_SECONDS
        try:
            # Calls may be ten seconds apart: what a broker nearby needs is waited for at once.
            self._go_on(now if self._up else time.monotonic() + self._wait_seconds)
            silent = now - max(self._spoken, self._pinged)
            if self._up and self._pinged > self._heard and now > self._pinged + _ANSWER_SECONDS:
                raise TimeoutError(0, "no answer to a ping")
            if self._up and silent > self._keepalive_seconds / 2:
                self._pinged = now
                self._out += packets.PINGREQ
                self._flush()
            elif not self._up and now - self._begun_at > _RETRY_SECONDS:
                raise TimeoutError(0, "no answer")
        except OSError:
            self._break()

    def close(self) -> None:
        """Say goodbye, if the broker takes it now, and disconnect."""
        if self._up:
            with contextlib.suppress(OSError):
                gone = packets.publish(self._status_topic, b"offline", _SETUP, retain=True)
                self._out += gone + packets.DISCONNECT
                self._flush()
        self._break()

    def _go_on(self, deadline: float) -> None:
        """Connect, publish and listen, up to `deadline` or the acknowledgement.

        Raises:
            OSError: the connection broke or the broker refuses us.
        """
        if not self._begun:
            self._begun, self._begun_at = True, time.monotonic()
        if not self._connection.is_open:
            if not self._connection.ready(deadline):
                return
            self._out += self._greeting()
        while True:
            if self._up and self._alert is not None and not self._number:
                self._last_number = max(_FIRST, (self._last_number + 1) & 0xFFFF)
                self._number = self._last_number
                self._out += packets.publish(self._alert_topic, self._alert.record, self._number)
            self._flush()
            while (data := self._connection.receive(4096)) is not None:
                if not data:
                    raise ConnectionResetError(0, "the broker closed the connection")
                self._in += data
                self._listen()
            if self._acknowledged or (self._up and self._alert is None):
                return
            if self._up and self._alert is not None and not self._number:
                continue
            if not self._connection.wait(bool(self._out), deadline) or time.monotonic() >= deadline:
                return

    def _greeting(self) -> bytes:
        return packets.connect(
            self._client_id,
            self._keepalive_seconds,
            will_topic=self._status_topic,
            will=b"offline",
            username=self._username,
            password=read_secret(self._password_file) if self._password_file else "",
        )

    def _listen(self) -> None:
        self._heard = time.monotonic()
        for kind, body in packets.packets(self._in):
            if kind == packets.CONNACK:
                if body[1]:
                    raise OSError(0, packets.REFUSALS.get(body[1], f"refused ({body[1]})"))
                self._up = True
                for number, (topic, payload) in enumerate(self._setup, _SETUP):
                    self._out += packets.publish(topic, payload, number, retain=True)
            elif kind == packets.PUBACK and int.from_bytes(body, "big") == self._number:
                self._acknowledged = True

    def _flush(self) -> None:
        while self._out:
            sent = self._connection.send(bytes(self._out))
            if not sent:
                return
            del self._out[:sent]
            self._spoken = time.monotonic()

    def _reset(self) -> None:
        self._in, self._out = bytearray(), bytearray()
        self._begun = self._up = False
        self._begun_at = self._spoken = self._heard = self._pinged = 0.0
        self._number, self._acknowledged = 0, False

    def _break(self) -> None:
        self._connection.close()
        self._reset()
