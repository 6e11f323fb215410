"""Alerts posted to a web address: one request each, acknowledged by its answer.

Guarantees: an alert counts as taken when the server has answered 2xx, or has refused it
`_TRIES` times as one it cannot read (400, 413, 422 and their like): such a one is kept aside,
counted and reported, so that it does not hold up the others for ever. No call waits for more than
`wait_seconds`; an answer is waited for over several calls (`Pending`), `timeout_seconds` in all.
Certificates and names are verified. Redirects are not followed, not even to the same host. The
address, the token and what the server says beside its number are in no message: any of them may
be or hold a secret. Every request carries ``Idempotency-Key``, the alert's id.

What is about us and not about the alert holds up the queue until somebody mends it: a wrong token
(401, 403), a wrong address (404, 405, 410, redirects). 408, 425, 429 and 5xx are tried again when
Retry-After says, or later. An alert whose answer got lost is sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from logagent.config_rules import web_address
from logagent.sinks import Alert, Pending, SinkError
from logagent.sinks.connection import Connection
from logagent.sinks.disk import reason
from logagent.sinks.http_post import Answer, Exchange, request
from logagent.sinks.secret_files import read_secret
from logagent.sinks.webhook_bodies import request_of

__all__ = ["WebhookSink"]

_WAIT_SECONDS = 0.05
"""[s] Longest a write waits: enough for a server nearby; inputs are read in between."""

_PENDING_SECONDS = 0.1
"""[s] Until the next look at an answer that is not here yet."""

_REUSE_SECONDS = 4.0
"""[s] A connection idle for longer is closed: servers do so after 5 s and more, and what we send
just then would have to be sent twice."""

_TRIES = 3
"""Of an alert that is refused: a proxy's odd moment must not cost an alert."""

_OURS = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429, 451})
"""Client errors that say nothing of the alert."""


class WebhookSink:
    """Posts to one address."""

    def __init__(
        self,
        url: str,
        form: str = "json",
        *,
        url_file: str = "",
        template: str = "",
        token_file: str = "",
        ca_file: str = "",
        timeout_seconds: float = 10.0,
        aside: Callable[[Alert], None] = lambda _alert: None,
        report: Callable[[str, str], None] = lambda _kind, _message: None,
        name: str = "webhook",
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: where to; may be empty if `url_file` is given.
            form: one of `webhook_bodies.FORMATS`.
            url_file: holds the address, where that is a secret.
            template: of the body, for the form ``template``.
            token_file: holds a bearer token; read, as `url_file`, for each connection.
            ca_file: authorities in PEM form; empty: those of the machine.
            timeout_seconds: longest an answer is waited for.
            aside: keeps an alert that was refused.
            report: (kind, message) is told of each (``rejected``).
            name: of the sink.
            wait_seconds: longest a write waits.
        """
        self.name = name
        self.rejected = 0
        """Alerts that were refused and kept aside."""
        self._url, self._url_file = url, url_file
        self._form, self._template = form, template
        self._token_file, self._ca_file = token_file, ca_file
        self._timeout_seconds = timeout_seconds
        self._aside, self._report = aside, report
        self._wait_seconds = wait_seconds
        self._where = "webhook"  # for messages: scheme, host and port
        self._connection: Connection | None = None
        self._host = self._target = self._token = ""
        self._used = 0.0  # when the connection had its last answer; 0 if none yet
        self._alert: Alert | None = None  # the one under way
        self._exchange: Exchange | None = None  # its request, once there is a connection
        self._give_up = 0.0
        self._refused: tuple[str, int] = ("", 0)  # id and how often

    def write(self, alert: Alert) -> None:
        """Post one alert, or go on with it.

        Raises:
            SinkError: the server cannot be reached or does not take it.
            Pending: its answer is not here yet.
        """
        now = time.monotonic()
        if self._alert is not None and self._alert != alert:
            self._drop()  # nobody asks for that one's answer any more
        if self._alert is None:
            self._close_if_old(now)
            self._alert, self._give_up = alert, now + self._timeout_seconds
        answer = self._answer(alert, now + self._wait_seconds)
        self._alert = self._exchange = None
        self._used = time.monotonic()
        if not answer.reusable or answer.status >= 300:  # another token may help
            self._drop()
        self._judge(alert, answer)

    def sync(self) -> None:
        """Do nothing: what was written was acknowledged."""

    def idle(self, now: float) -> None:
        """Close a connection that was not used for a while."""
        if self._alert is None:
            self._close_if_old(now)

    def close(self) -> None:
        """Disconnect; an alert under way is still its spool's."""
        self._drop()

    def _answer(self, alert: Alert, deadline: float) -> Answer:
        while True:
            old = self._used > 0
            try:
                answer = self._go_on(alert, deadline)
            except (OSError, ValueError) as error:
                said = self._exchange is not None and self._exchange.answered
                self._drop()
                if old and not said:  # closed while it was idle: that is no failure
                    self._alert = alert
                    continue
                why = reason(error) if isinstance(error, OSError) else str(error)
                raise SinkError(f"{self._where}: {why}") from error
            if answer is not None:
                return answer
            if time.monotonic() >= self._give_up:
                self._drop()
                raise SinkError(f"{self._where}: no answer in {self._timeout_seconds:g} s")
            raise Pending(f"{self._where}: waiting for an answer", _PENDING_SECONDS)

    def _go_on(self, alert: Alert, deadline: float) -> Answer | None:
        if self._connection is None:
            self._connection = self._made()
        if not self._connection.ready(deadline):
            return None
        if self._exchange is None:
            self._exchange = Exchange(self._connection, self._request(alert))
        return self._exchange.go_on(deadline)

    def _made(self) -> Connection:
        """Read the secrets; return a connection to begin."""
        try:
            tls, host, port, self._target = web_address(
                read_secret(self._url_file) if self._url_file else self._url
            )
        except ValueError:
            raise OSError(0, f"{self._url_file}: holds no http:// or https:// address") from None
        self._token = read_secret(self._token_file) if self._token_file else ""
        bracketed = f"[{host}]" if ":" in host else host
        self._host = bracketed if port == (443 if tls else 80) else f"{bracketed}:{port}"
        self._where = f"{'https' if tls else 'http'}://{bracketed}:{port}"
        return Connection(host, port, tls=tls, ca_file=self._ca_file)

    def _request(self, alert: Alert) -> bytes:
        made = request_of(self._form, alert, self._template)
        fields = {"Content-Type": made.content_type, "Idempotency-Key": alert.id}
        fields |= dict(made.fields)
        if self._token and self._form == "gotify":
            fields["X-Gotify-Key"] = self._token
        elif self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        path, mark, query = self._target.partition("?")
        if made.suffix:
            path = path.rstrip("/") + made.suffix
        return request(made.method, self._host, path + mark + query, fields, made.body)

    def _judge(self, alert: Alert, answer: Answer) -> None:
        status = answer.status
        if 200 <= status < 300:
            self._refused = ("", 0)
            return
        if not 400 <= status < 500 or status in _OURS:
            hint = "; it redirects: give the address it leads to" if status < 400 else ""
            raise SinkError(f"{self._where}: answered {status}{hint}", answer.retry_seconds)
        id_, times = self._refused
        times = times + 1 if id_ == alert.id else 1
        if times < _TRIES:
            self._refused = (alert.id, times)
            raise SinkError(f"{self._where}: refused an alert with {status}")
        self._refused = ("", 0)
        self._aside(alert)
        self.rejected += 1
        self._report(
            "rejected",
            f"{self._where}: refused alert {alert.id} {_TRIES} times, the last time with "
            f"{status}; it is kept aside",
        )

    def _close_if_old(self, now: float) -> None:
        if self._used and now - self._used > _REUSE_SECONDS:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._alert = self._exchange = None
        self._used = 0.0
