"""The sections of the configuration: every key, its default, its unit and what it may be.

docs/configuration.md describes the same keys for people; a test holds the two together.

Guarantees: frozen. What a value may be is in the metadata of its field, `rule`; the classes do not
check what they are made of, `logagent.config.load` does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from logagent import config_rules as rules

__all__ = [
    "FACILITIES",
    "Adapt",
    "Alerts",
    "Journal",
    "Log",
    "Mail",
    "Model",
    "Mqtt",
    "Prometheus",
    "Sequences",
    "Sinks",
    "State",
    "Syslog",
    "Watch",
    "Webhook",
]

FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", *(f"local{number}" for number in range(8))),
)
"""Names of the syslog facilities, RFC 5424, 6.2.1, as logger(1) spells them."""


def _key(default: Any, rule: rules.Rule) -> Any:
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True, slots=True)
class Watch:
    """Which files are followed, and how closely."""

    paths: tuple[str, ...] = _key(("/var/log",), rules.Texts(expand=True))
    """Files, folders (to the bottom), patterns, and ``-`` for standard input; `~` is expanded.
    Default: /var/log. May be empty if another input is on."""

    exclude: tuple[str, ...] = _key((), rules.Texts())
    """Patterns of files left out, matched against the whole path and against the file's name.
    Default: none."""

    from_start: bool = _key(False, rules.Flag())
    """Whether files that exist when the agent starts for the first time are read from their
    beginning; otherwise only what is added to them. Default: false."""

    poll_seconds: float = _key(1.0, rules.Number(0.05, 3600.0))
    """How often files are looked at where inotify tells nothing, such as network file systems,
    0.05 to 3600 [s]. Default: 1."""

    trace_seconds: float = _key(0.5, rules.Number(0.0, 60.0))
    """How long the rest of a stack trace is waited for before what is there is judged, 0 to 60
    [s]. Default: 0.5."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Whether the journal of systemd is read, and what of it."""

    enabled: Literal["auto"] | bool = _key("auto", rules.Choice(("auto", True, False)))
    """Whether the journal is followed; ``auto``: where no paths are set, there is a journal, and no
    syslog daemon writes the same lines to /var/log. Default: auto."""

    units: tuple[str, ...] = _key((), rules.Texts())
    """Units to follow, as `journalctl --unit` takes them; none means all. Default: none."""

    command: str = _key("journalctl", rules.FilePath(optional=False, expand=False))
    """The program that reads the journal, a path or a name found on PATH. Default: journalctl."""


@dataclass(frozen=True, slots=True)
class Syslog:
    """Where the agent listens for syslog messages of other machines."""

    udp: str = _key("", rules.Address())
    """``HOST:PORT`` to receive datagrams on; an empty host is every address. Default: empty, no
    listener."""

    tcp: str = _key("", rules.Address())
    """``HOST:PORT`` to accept connections on; an empty host is every address. Default: empty, no
    listener."""

    max_message_bytes: int = _key(8192, rules.Whole(480, 65536))
    """The longest message; what is beyond is cut and counted; 480 (RFC 5424, 6.1) to 65536 [bytes].
    Default: 8192."""

    max_connections: int = _key(64, rules.Whole(1, 1024))
    """Connections over TCP at a time, 1 to 1024; more are refused and counted. Default: 64."""


@dataclass(frozen=True, slots=True)
class Model:
    """What judges the lines, and from which score on a line is anomalous."""

    bundle: str = _key("", rules.FilePath())
    """Path of the model bundle; `~` is expanded. Default: empty, the one that `logagent model
    update` has put in the state folder, else the one shipped."""

    public_key: str = _key("", rules.FilePath())
    """Ed25519 public key, in PEM form, that `logagent model update` wants a bundle's signature to
    be by; `~` is expanded. Default: empty, no signature is asked for."""

    backend: Literal["auto", "onnxruntime", "numpy"] = _key(
        "auto", rules.Choice(("auto", "onnxruntime", "numpy"))
    )
    """What runs the detector; ``auto``: onnxruntime where it is installed, else numpy.
    Default: auto."""

    sensitivity: Literal["low", "normal", "high"] = _key(
        "normal", rules.Choice(("low", "normal", "high"))
    )
    """Which threshold of the bundle is used: ``low`` tells only the clearest, ``high`` also the
    doubtful. Default: normal."""

    threshold: float | None = _key(None, rules.Number(0.0, 1.0, optional=True))
    """The score from which on a line is anomalous, 0 to 1; takes the place of `sensitivity`.
    Default: not set."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What is told of the anomalous lines."""

    group: bool = _key(True, rules.Flag())
    """Whether equal lines make one alert that is repeated; otherwise each anomalous line is one.
    Default: true."""

    wait_seconds: float = _key(2.0, rules.Number(0.0, 300.0))
    """A new group is told after this silence, or five times that at most, together with others
    that came meanwhile and with the lines around it; 0: at once; 0 to 300 [s]. Default: 2."""

    budget_per_day: int = _key(20, rules.Whole(0, 100_000))
    """Alerts a day that people are asked to read; as they are used up, only what scores higher is
    told at once, the rest in the digest; 0: no limit; 0 to 100000. Default: 20."""

    repeat_seconds: tuple[float, ...] = _key((86400.0, 172800.0, 345600.0, 604800.0), rules.Waits())
    """A group that goes on is told again after these waits, the last of them again and again;
    none: never again; each 1 to a year [s]. Default: 1, 2, 4, 7 days."""

    digest_seconds: float = _key(86400.0, rules.Number(0.0, 2678400.0))
    """How often a digest tells what went on untold or was held back, if anything; 0: never; 0 to
    31 days [s]. Default: a day."""

    clear_seconds: float = _key(0.0, rules.Number(0.0, 2678400.0))
    """Silence after which a group that was told is told to be over; 0: never; 0 to 31 days [s].
    Default: 0."""

    grace_seconds: float = _key(60.0, rules.Number(0.0, 3600.0))
    """After a boot, what is not severe waits this long, to be told as one; 0 to 3600 [s].
    Default: 60."""

    max_groups: int = _key(500, rules.Whole(1, 100_000))
    """Groups remembered, 1 to 100000; the one seen longest ago is forgotten, and told anew when it
    comes back. Default: 500."""


@dataclass(frozen=True, slots=True)
class Adapt:
    """How the agent goes by the habits of this machine."""

    habits: bool = _key(True, rules.Flag())
    """Whether what was never said on this machine before ranks higher. Default: true."""

    learn_seconds: float = _key(0.0, rules.Number(0.0, 2678400.0))
    """For how long the agent learns what is routine on this machine and which threshold fits it;
    once, until what it learnt expires; 0: not at all; 0 to 31 days [s]. Default: 0."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Whether sessions and windows of lines are judged, and which lines make them."""

    enabled: bool = _key(False, rules.Flag())
    """Whether they are; needs a bundle with the part ``sequences``. Default: false."""

    max_sessions: int = _key(2000, rules.Whole(1, 50_000))
    """Sessions that are open at a time, about 1 kB each, 1 to 50000; of more, the oldest is judged
    early. Default: 2000."""

    alerts_per_day: int = _key(20, rules.Whole(1, 10_000))
    """Alerts of sequences a day, 1 to 10000; more wait for the next. Default: 20."""

    repeat_seconds: float = _key(86400.0, rules.Number(0.0, 31622400.0))
    """Sequences that the same events carry are told again after so long at the earliest, with how
    many there were, 0 to a year [s]. Default: a day."""

    rules: tuple[dict[str, object], ...] = _key((), rules.SequenceRules())
    """Tables ``[[sequences.rules]]``; the first that fits a source says which of its lines make a
    sequence. Default: none, as the model was trained."""


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where alerts go."""

    stdout: bool = _key(True, rules.Flag())
    """Whether alerts are printed on standard output. Default: true."""

    format: Literal["auto", "human", "jsonl"] = _key(
        "auto", rules.Choice(("auto", "human", "jsonl"))
    )
    """How they are printed there; ``auto``: human on a terminal, else jsonl. Default: auto."""

    jsonl: str = _key("", rules.FilePath())
    """Path of a file that gets one JSON object per alert; `~` is expanded. Default: empty, none."""

    jsonl_max_bytes: int = _key(10 * 1024 * 1024, rules.Whole(4096, 2**40))
    """Size at which that file is renamed and a new one begun, 4096 to 2^40 [bytes].
    Default: 10 MiB."""

    jsonl_keep: int = _key(5, rules.Whole(1, 1000))
    """Renamed files kept, 1 to 1000. Default: 5."""

    syslog: str = _key("", rules.SyslogTarget())
    """``local`` for the syslog of this machine, ``udp://HOST:PORT``, ``tcp://HOST:PORT``,
    ``tls://HOST:PORT`` (RFC 5425). Default: empty, none."""

    syslog_facility: str = _key("daemon", rules.Choice(FACILITIES))
    """Facility of the messages sent there. Default: daemon."""

    syslog_ca_file: str = _key("", rules.FilePath())
    """Authorities that a receiver over TLS is verified by, in PEM form; `~` is expanded.
    Default: empty, those of the machine."""

    journal: bool = _key(False, rules.Flag())
    """Whether alerts go to the journal of systemd, with fields. Default: false."""

    spool_bytes: int = _key(16 * 1024 * 1024, rules.Whole(64 * 1024, 2**32))
    """Alerts kept on disk for each sink that does not take them now, 65536 to 2^32 [bytes].
    Default: 16 MiB."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Alerts posted to a web address."""

    url: str = _key("", rules.WebTarget())
    """Where to, ``http://…`` or ``https://…``. Default: empty, none."""

    url_file: str = _key("", rules.FilePath())
    """File with the address, where that is a secret; `~` is expanded. Default: empty, none."""

    format: Literal["json", "slack", "ntfy", "gotify", "matrix", "template"] = _key(
        "json", rules.Choice(("json", "slack", "ntfy", "gotify", "matrix", "template"))
    )
    """What the body is: the record, or what the service of that name takes. Default: json."""

    template: str = _key("", rules.Template())
    """Body of the format ``template``, JSON with {text}, {id}, {score}, {severity}, {host} inside
    its strings. Default: empty."""

    token_file: str = _key("", rules.FilePath())
    """File with a token, sent as ``Authorization: Bearer``, to Gotify as ``X-Gotify-Key``; `~` is
    expanded. Default: empty, none."""

    ca_file: str = _key("", rules.FilePath())
    """Authorities that the server is verified by, in PEM form; `~` is expanded. Default: empty,
    those of the machine."""

    timeout_seconds: float = _key(10.0, rules.Number(0.1, 60.0))
    """How long an answer is waited for, while reading goes on, 0.1 to 60 [s]. Default: 10."""


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Alerts published to an MQTT broker."""

    address: str = _key("", rules.MqttTarget())
    """``mqtt://HOST:PORT``, or ``mqtts://HOST:PORT`` for TLS. Default: empty, none."""

    topic_prefix: str = _key("logagent", rules.Word("+#", optional=False))
    """What the topics begin with, before the machine's name. Default: logagent."""

    client_id: str = _key("", rules.Word(most=64))
    """How the broker tells clients apart. Default: empty, logagent- and the machine's name."""

    username: str = _key("", rules.Word())
    """User at the broker. Default: empty, none."""

    password_file: str = _key("", rules.FilePath())
    """File with the password; `~` is expanded. Default: empty, none."""

    ca_file: str = _key("", rules.FilePath())
    """Authorities that the broker is verified by, in PEM form; `~` is expanded. Default: empty,
    those of the machine."""

    keepalive_seconds: int = _key(60, rules.Whole(30, 3600))
    """After one and a half of that in silence the broker takes the agent for dead, 30 to 3600
    [s]. Default: 60."""

    home_assistant: bool = _key(False, rules.Flag())
    """Whether Home Assistant is told of the agent by discovery messages. Default: false."""

    discovery_prefix: str = _key("homeassistant", rules.Word("+#", optional=False))
    """What the topics of those messages begin with. Default: homeassistant."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Alerts by mail."""

    to: tuple[str, ...] = _key((), rules.Mailboxes())
    """Addresses. Default: none, no mail."""

    sender: str = _key("", rules.Word('(),:;<>[]"\\'))
    """Address the mail is from. Default: empty, what sendmail makes of the user."""

    command: str = _key("/usr/sbin/sendmail", rules.FilePath(optional=False, expand=False))
    """The program that takes the mail, called with ``-oi -t``. Default: /usr/sbin/sendmail."""

    batch_seconds: float = _key(300.0, rules.Number(1.0, 86400.0))
    """How long alerts are gathered for one mail, 1 to 86400 [s]. Default: 300."""

    batch_alerts: int = _key(100, rules.Whole(1, 200))
    """Most alerts in one mail, 1 to 200; more wait for the next. Default: 100."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The agent's counters, for Prometheus."""

    textfile: str = _key("", rules.FilePath())
    """Path of a file for the textfile collector of node_exporter, its name ends in ``.prom``; `~`
    is expanded. Default: empty, none."""

    listen: str = _key("", rules.Address())
    """``HOST:PORT`` to answer ``/metrics`` and ``/healthz`` on; an empty host is this machine
    alone, 127.0.0.1. Default: empty, no listener."""


@dataclass(frozen=True, slots=True)
class State:
    """Where and how often the agent saves how far it has read."""

    dir: str = _key("", rules.FilePath())
    """The state folder; `~` is expanded. Default: empty, see `folder`."""

    save_seconds: float = _key(10.0, rules.Number(0.1, 3600.0))
    """The state is saved at most this often, and only when it has changed, 0.1 to 3600 [s]. After a
    crash, lines of this time may be told twice, none is lost. Default: 10."""

    def folder(self) -> Path:
        """Return the state folder in force; it need not exist.

        Where `dir` is empty: the first of systemd's STATE_DIRECTORY, /var/lib/logagent for root, a
        user's own state folder otherwise.
        """
        if self.dir:
            return Path(self.dir)
        given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        if given:
            return Path(given)
        if os.geteuid() == 0:
            return Path("/var/lib/logagent")
        import platformdirs  # noqa: PLC0415  # a service never needs it

        return platformdirs.user_state_path("logagent", appauthor=False)


@dataclass(frozen=True, slots=True)
class Log:
    """The agent's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = _key(
        "info", rules.Choice(("debug", "info", "warning", "error"))
    )
    """The least severe messages that are written. Default: info."""

    format: Literal["auto", "json", "text"] = _key("auto", rules.Choice(("auto", "json", "text")))
    """How; ``auto``: text on a terminal and in the journal, else one JSON object per line.
    Default: auto."""
