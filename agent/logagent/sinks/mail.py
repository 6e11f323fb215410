"""Alerts by mail, through the machine's own `sendmail`: many in one, and not too often.

Guarantees: between the first alert that waits and its mail lie `batch_seconds`, so at most one
mail goes out in that time, of at most `most_alerts`; more wait for the next. An alert counts as
taken when sendmail has ended with 0, that is, has the mail; until then its spool keeps it, here
are copies. No call waits for more than `wait_seconds`; sendmail is given `_SEND_SECONDS` in all and
is then killed. Nothing an alert holds can become a header or end the mail: the body is in base64,
and of the headers only numbers and our own name are made.

How: `write` says `Pending` until the time has come, then takes alerts; `sync` sends what was taken
and says `Pending` until sendmail has ended; what is offered again meanwhile is known by its id. An
alert may come twice, if the agent is killed after sendmail took the mail.
"""

from __future__ import annotations

import os
import signal
import time
from binascii import b2a_base64
from collections.abc import Sequence

from logagent.sanitise import printable
from logagent.sinks import Alert, Pending, SinkError
from logagent.sinks.disk import reason

__all__ = ["MailSink", "message_of"]

_WAIT_SECONDS = 0.2
_POLL_SECONDS = 0.5
"""[s] Between looks at a sendmail that runs; each look reads a batch from the spool again."""

_SEND_SECONDS = 60.0
"""[s] Those that deliver by themselves (msmtp) talk to a server; the mail RFCs grant minutes."""

_SHOWN_CHARS = 200  # of what sendmail says of its failure
_TEXT_CHARS = 1000  # of an alert's text
_SEVERITIES = {2: "CRITICAL", 3: "ERROR", 4: "WARNING", 5: "NOTICE"}


class MailSink:
    """Mails to fixed addresses."""

    def __init__(
        self,
        to: Sequence[str],
        hostname: str,
        *,
        sender: str = "",
        command: str = "/usr/sbin/sendmail",
        batch_seconds: float = 300.0,
        most_alerts: int = 100,
        name: str = "mail",
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """Send nothing yet.

        Args:
            to: addresses, visible ASCII without commas (`config_rules.Mailboxes`).
            hostname: ours, for the subject.
            sender: address for From; empty: what sendmail makes of the user.
            command: a program that takes ``-oi -t`` and a mail on its standard input.
            batch_seconds: how long alerts are gathered.
            most_alerts: in one mail.
            name: of the sink.
            wait_seconds: longest a `sync` waits.
        """
        self.name = name
        self._to, self._sender, self._hostname = list(to), sender, hostname
        self._command = command
        self._batch_seconds, self._most_alerts = batch_seconds, most_alerts
        self._wait_seconds = wait_seconds
        self._due: float | None = None  # when the batch may go; None: no alert waits
        self._batch: dict[str, Alert] = {}  # taken, by id
        self._mailed: frozenset[str] = frozenset()  # the last batch
        self._pid = 0  # of a sendmail that runs
        self._said = -1  # what it writes to its standard error
        self._give_up = 0.0
        self._failure: SinkError | None = None  # told by `write` since the last one

    def write(self, alert: Alert) -> None:
        """Take one alert into the next mail.

        Raises:
            Pending: the time of the next mail has not come, or a mail is on its way.
            SinkError: the mail on its way failed.
        """
        self._failure = None
        if self._pid and alert.id not in self._batch:
            try:
                self._look(time.monotonic())
            except Pending:
                raise
            except SinkError as error:
                self._failure = error  # of what was taken before, too
                raise
        if alert.id in self._mailed or alert.id in self._batch:
            return
        now = time.monotonic()
        if self._due is None:
            self._due = now + self._batch_seconds
        if now < self._due:
            raise Pending(f"{self.name}: gathering alerts", self._due - now)
        if len(self._batch) >= self._most_alerts:
            raise Pending(f"{self.name}: a mail is full", _POLL_SECONDS)
        self._batch[alert.id] = alert

    def sync(self) -> None:
        """Send what was taken, or look after the mail on its way.

        Raises:
            Pending: sendmail is at it.
            SinkError: it failed; what was taken must be offered again.
        """
        if self._failure is not None:
            raise self._failure
        if not self._batch:
            return
        if not self._pid:
            self._start()
        self._look(time.monotonic() + self._wait_seconds)

    def close(self) -> None:
        """Let a sendmail that runs go on by itself; what waits is still in the spool."""
        if self._said >= 0:
            os.close(self._said)
            self._said = -1
        self._pid = 0
        self._batch = {}

    def _start(self) -> None:
        alerts = list(self._batch.values())
        data = message_of(alerts, self._hostname, self._to, self._sender)
        said = -1
        mail = os.memfd_create("mail")
        try:
            said = os.memfd_create("said")
            with open(mail, "wb", closefd=False) as file:
                file.write(data)
            os.lseek(mail, 0, os.SEEK_SET)
            self._pid = os.posix_spawn(
                self._command,
                [self._command, "-oi", "-t"],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, mail, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, said, 2),
                ],
                setsigdef=[signal.SIGPIPE],  # which Python ignores
            )
        except OSError as error:
            if said >= 0:
                os.close(said)
            self._batch = {}
            raise SinkError(f"{self._command}: {reason(error)}") from error
        finally:
            os.close(mail)
        self._said = said
        self._give_up = time.monotonic() + _SEND_SECONDS

    def _look(self, deadline: float) -> None:
        """Wait for sendmail, up to `deadline`.

        Raises:
            Pending: it is not done.
            SinkError: it failed.
        """
        while not (status := self._ended()):
            now = time.monotonic()
            if now >= self._give_up:
                self._kill(now + self._wait_seconds)
                self._forget()
                raise SinkError(f"{self._command}: not done in {_SEND_SECONDS:g} s, killed")
            if now >= deadline:
                raise Pending(f"{self.name}: a mail is on its way", _POLL_SECONDS)
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(status[0])
        if code:
            first = os.pread(self._said, 1024, 0).decode(errors="replace").strip().partition("\n")
            shown = printable(first[0], _SHOWN_CHARS)
            self._forget()
            raise SinkError(f"{self._command}: ended with {code}" + (f": {shown}" if shown else ""))
        mailed = frozenset(self._batch)
        self._forget()
        self._mailed, self._due = mailed, None

    def _ended(self) -> tuple[int] | None:
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody else took its status: nobody knows
            return (1 << 8,)
        return (status,) if pid else None

    def _kill(self, deadline: float) -> None:
        os.kill(self._pid, signal.SIGKILL)
        while not self._ended() and time.monotonic() < deadline:  # a dead disk can hold it
            time.sleep(0.005)

    def _forget(self) -> None:
        os.close(self._said)
        self._said, self._pid = -1, 0
        self._batch = {}


def message_of(alerts: Sequence[Alert], hostname: str, to: Sequence[str], sender: str) -> bytes:
    """Return a mail, with line feeds as line ends, as sendmail takes it."""
    host = "".join(c for c in hostname if c.isascii() and (c.isalnum() or c in "-."))[:100]
    worst = min((alert.severity for alert in alerts), default=4)
    count = f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}"
    headers = [
        f"To: {', '.join(to)}",
        f"Subject: [logagent] {host}: {count}, {_SEVERITIES.get(worst, 'WARNING').lower()}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "Auto-Submitted: auto-generated",  # RFC 3834: no holiday notes, please
    ]
    if sender:
        headers.insert(0, f"From: {sender}")
    lines = []
    for alert in alerts:
        severity = _SEVERITIES.get(alert.severity, "WARNING")
        text = printable(alert.text, _TEXT_CHARS)
        lines += [f"{severity} {text}", f"    id {printable(alert.id, 64)}", ""]
    body = "\n".join(lines).encode(errors="replace")
    coded = b"".join(b2a_base64(body[at : at + 57]) for at in range(0, len(body), 57))
    return "\n".join([*headers, "", ""]).encode("ascii") + coded
