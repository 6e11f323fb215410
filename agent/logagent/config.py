"""The configuration of `logagent run`: what is in force, read from a file in TOML and from flags.

The keys and their defaults stand in `logagent.config_sections`; a file goes before the defaults,
flags go before the file.

Guarantees: a loaded `Config` holds allowed values only and never changes; every problem of a file
is told, not only the first; an unknown key is a problem, told with the nearest known one; at most
`MAX_FILE_BYTES` are read, and only of a regular file.

Left to others: whether the paths, addresses and programs named in it exist.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from logagent.config_sections import (
    Adapt,
    Alerts,
    Journal,
    Log,
    Mail,
    Model,
    Mqtt,
    Prometheus,
    Sequences,
    Sinks,
    State,
    Syslog,
    Watch,
    Webhook,
)
from logagent.errors import ConfigError
from logagent.sanitise import printable

__all__ = [
    "MAX_FILE_BYTES",
    "SECTIONS",
    "Adapt",
    "Alerts",
    "Config",
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
    "default_file",
    "load",
]

MAX_FILE_BYTES: Final = 1024 * 1024  # [bytes] a thousand times an ordinary file
_MOST_PROBLEMS = 50  # lines of a message; a file with more was written for another program

SECTIONS: Final[Mapping[str, type]] = {
    "watch": Watch,
    "journal": Journal,
    "syslog": Syslog,
    "model": Model,
    "alerts": Alerts,
    "adapt": Adapt,
    "sequences": Sequences,
    "sinks": Sinks,
    "webhook": Webhook,
    "mqtt": Mqtt,
    "mail": Mail,
    "prometheus": Prometheus,
    "state": State,
    "log": Log,
}
"""Every section, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Config:
    """What is in force."""

    watch: Watch = field(default_factory=Watch)
    journal: Journal = field(default_factory=Journal)
    syslog: Syslog = field(default_factory=Syslog)
    model: Model = field(default_factory=Model)
    alerts: Alerts = field(default_factory=Alerts)
    adapt: Adapt = field(default_factory=Adapt)
    sequences: Sequences = field(default_factory=Sequences)
    sinks: Sinks = field(default_factory=Sinks)
    webhook: Webhook = field(default_factory=Webhook)
    mqtt: Mqtt = field(default_factory=Mqtt)
    mail: Mail = field(default_factory=Mail)
    prometheus: Prometheus = field(default_factory=Prometheus)
    state: State = field(default_factory=State)
    log: Log = field(default_factory=Log)
    file: Path | None = field(default=None, compare=False)
    """The file that was read; None if there was none."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value came from that is no default: ``watch.paths`` to ``file`` or ``flag``."""

    def secret_files(self) -> dict[str, str]:
        """Return the files that hold secrets, by full key; only those that are set."""
        files = {
            "webhook.url_file": self.webhook.url_file,
            "webhook.token_file": self.webhook.token_file,
            "mqtt.password_file": self.mqtt.password_file,
        }
        return {key: path for key, path in files.items() if path}

    def to_toml(self) -> str:
        """Return every key and its value as TOML that gives an equal `Config` when loaded.

        A comment tells where the value came from. Bytes of a flag that are no UTF-8 cannot be
        written in TOML and become U+FFFD.
        """
        lines: list[str] = []
        for section in SECTIONS:
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
            values = getattr(self, section)
            for key in fields(values):
                value = getattr(values, key.name)
                origin = self.origins.get(f"{section}.{key.name}", "default")
                if value is None:
                    lines.append(f"# {key.name} is not set")
                else:
                    lines.append(f"{key.name} = {_toml(value)}  # {origin}")
        return "\n".join(lines) + "\n"


def default_file() -> Path:
    """Return the file that is read if none is named; it need not exist.

    The first of systemd's CONFIGURATION_DIRECTORY, /etc/logagent for root, a user's own
    configuration folder otherwise; in it, logagent.toml.
    """
    given = os.environ.get("CONFIGURATION_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given) / "logagent.toml"
    if os.geteuid() == 0:
        return Path("/etc/logagent/logagent.toml")
    import platformdirs  # noqa: PLC0415  # a service never needs it

    return platformdirs.user_config_path("logagent", appauthor=False) / "logagent.toml"


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration: defaults, then the file, then `overrides`.

    Args:
        path: the file; None reads `default_file` if it exists.
        overrides: values of flags by full key, such as ``watch.paths``; None is a flag not given.
            A sensitivity given here goes before a threshold of the file.

    Raises:
        ConfigError: one line per problem of the file and of `overrides`.
    """
    problems: list[str] = []
    file, values = _read(path)
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, value in _flat(values, str(file), problems):
            _take(key, value, str(file), chosen, problems)
            origins[key] = "file"
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    if "model.sensitivity" in given:
        chosen.pop("model.threshold", None)
        origins.pop("model.threshold", None)
    for key, value in given.items():
        _take(key, value, "flag", chosen, problems)
        origins[key] = "flag"
    config = Config(
        **{
            section: kind(
                **{
                    key.name: chosen[name]
                    for key in fields(kind)
                    if (name := f"{section}.{key.name}") in chosen
                }
            )
            for section, kind in SECTIONS.items()
        },
        file=file,
        origins=origins,
    )
    problems += _contradictions(config) if not problems else []
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"… and {more} more problems"] if more > 0 else [])
        raise ConfigError("\n".join(shown))
    return config


def _read(path: Path | None) -> tuple[Path | None, dict[str, Any]]:
    """Return the file that was read and what it holds; (None, {}) if there is none to read."""
    file = default_file() if path is None else path
    name = printable(str(file), 1000)
    try:
        data = _bytes(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        if path is None:
            return None, {}
        raise ConfigError(f"{name}: {error.strerror}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise ConfigError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_FILE_BYTES} bytes, so it is no configuration")
    try:
        return file, tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8: byte 0x{data[error.start]:02x}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        said = str(error)
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
        where = f"{name}:"
        if place:
            said = said[: place.start()]
            where = f"{name}:{place[1] or data.rstrip().count(10) + 1}:"
        raise ConfigError(f"{where} not TOML: {printable(said, 300)}") from None


def _bytes(file: Path) -> bytes:
    """Read a regular file, at most one byte more than is allowed; a pipe must not be waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        return stream.read(MAX_FILE_BYTES + 1)


def _flat(values: dict[str, Any], origin: str, problems: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield (full key, value) of everything in the known sections."""
    for section, keys in values.items():
        if section in SECTIONS and not isinstance(keys, dict):
            problems.append(_problem(origin, section, f"must be a section, [{section}]"))
        elif section not in SECTIONS:
            problems.append(_unknown(origin, section, None))
        else:
            yield from ((f"{section}.{key}", value) for key, value in keys.items())


def _take(
    key: str, value: object, origin: str, chosen: dict[str, Any], problems: list[str]
) -> None:
    """Put an allowed value where it belongs, and a complaint where it is not allowed."""
    section, _, name = key.partition(".")
    known = {each.name: each for each in fields(SECTIONS[section])} if section in SECTIONS else {}
    if name not in known:
        problems.append(_unknown(origin, section, name))
        return
    try:
        chosen[key] = known[name].metadata["rule"](value)
    except ValueError as error:
        problems.append(_problem(origin, key, str(error)))


def _unknown(origin: str, section: str, key: str | None) -> str:
    """Complain of a section (`key` is None) or a key, naming the nearest known one."""
    import difflib  # noqa: PLC0415  # only a mistake needs it

    keys = {
        f"{each}.{one.name}": f"{one.name} in [{each}]"
        for each, kind in SECTIONS.items()
        for one in fields(kind)
    }
    name, said = (
        (section, "no such section") if key is None else (f"{section}.{key}", "no such key")
    )
    # A key that stands in the wrong section, or before all of them.
    near = [text for each, text in keys.items() if each.partition(".")[2] == (key or section)]
    if not near and key is None:
        near = [f"[{each}]" for each in difflib.get_close_matches(section[:100], SECTIONS, 1)]
    elif not near and key is not None:
        own = [each.partition(".")[2] for each in keys if each.startswith(f"{section}.")]
        near = difflib.get_close_matches(key[:100], own, 1)
    if near:
        said += f"; did you mean {' or '.join(near)}?"
    return _problem(origin, name, said)


def _contradictions(config: Config) -> Iterator[str]:
    """Complain of values that are allowed each but make no sense together."""
    origin = str(config.file or "flags")
    if not (
        config.watch.paths
        or config.journal.enabled is not False
        or config.syslog.udp
        or config.syslog.tcp
    ):
        yield _problem(origin, "watch.paths", "empty, and no other input is on: nothing to watch")
    sinks, webhook, mqtt = config.sinks, config.webhook, config.mqtt
    posts = webhook.url or webhook.url_file
    local = sinks.stdout or sinks.jsonl or sinks.syslog or sinks.journal
    if not (local or posts or mqtt.address or config.mail.to):
        yield _problem(origin, "sinks.stdout", "false, and no other sink is on: no alert is told")
    if webhook.url and webhook.url_file:
        yield _problem(origin, "webhook.url", "given, and url_file too; one of them is enough")
    if posts and (webhook.format == "template") != bool(webhook.template):
        yield _problem(origin, "webhook.template", 'goes with format = "template", and only so')
    if mqtt.password_file and not mqtt.username:
        yield _problem(origin, "mqtt.password_file", "needs a username")
    if config.prometheus.textfile and not config.prometheus.textfile.endswith(".prom"):
        yield _problem(origin, "prometheus.textfile", "must end in .prom, or nobody reads it")


def _problem(origin: str, key: str, said: str) -> str:
    return f"{printable(origin, 1000)}: {printable(key, 100)}: {said}"


def _toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return repr(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if (
        0xD800 <= code <= 0xDFFF
    ):  # a byte of a file name that is no UTF-8; TOML has no way to say it
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
