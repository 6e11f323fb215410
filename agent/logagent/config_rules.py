"""What one value of the configuration may be: its type, its range, and how that is said.

Guarantees: a rule returns the value as `Config` holds it, or raises `ValueError` with a sentence
that names the value and what is allowed, in printable characters and bounded, whatever the value;
true is no number, NaN and the infinities are none either. Rules that have nothing to be told are
plain classes: a dataclass takes 10 KiB of the agent's memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from logagent.sanitise import printable

__all__ = [
    "Address",
    "Choice",
    "FilePath",
    "Flag",
    "Mailboxes",
    "MqttTarget",
    "Number",
    "Rule",
    "SequenceRules",
    "SyslogTarget",
    "Template",
    "Texts",
    "Waits",
    "WebTarget",
    "Whole",
    "Word",
    "host_and_port",
    "mqtt_address",
    "web_address",
]

_LONGEST_TEXT = 4096  # [characters] PATH_MAX; nothing else is longer
_MOST_TEXTS = 1000  # values of a list; a folder or a pattern names more files than this
_MOST_WAITS = 100
_MOST_MAILBOXES = 20
_MOST_RULES = 50
_HIGHEST_PORT = 65535
_ODD_BITS = 64  # integers beyond are not printed: TOML's hexadecimal ones have no limit
_YEAR_SECONDS = 366 * 86400.0


class Rule(Protocol):
    """What is allowed as the value of one key."""

    def __call__(self, value: object) -> Any:
        """Return the value as `Config` holds it.

        Raises:
            ValueError: it is not allowed; the message goes on after "key: ".
        """
        ...


class Flag:
    """True or false."""

    def __call__(self, value: object) -> bool:
        """Return it, or raise as `Rule` says."""
        if isinstance(value, bool):
            return value
        raise _refused(value, "true or false")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, or of the words and true and false."""

    allowed: Sequence[str | bool]

    def __call__(self, value: object) -> str | bool:
        """Return it, or raise as `Rule` says."""
        for each in self.allowed:
            if type(value) is type(each) and value == each:
                return each
        raise _refused(value, "one of " + ", ".join(map(_shown, self.allowed)))


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    low: int
    high: int

    def __call__(self, value: object) -> int:
        """Return it, or raise as `Rule` says."""
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        ):
            return value
        raise _refused(value, f"a whole number from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a range, whole or not; `None`, which no file can hold, where `optional`."""

    low: float
    high: float
    optional: bool = False

    def __call__(self, value: object) -> float | None:
        """Return it, or raise as `Rule` says."""
        if value is None and self.optional:
            return None
        if _is_number(value, self.low, self.high):
            return float(value)  # type: ignore[arg-type]  # just looked at
        raise _refused(value, f"a number from {self.low:g} to {self.high:g}")


class Waits:
    """A list of waits in seconds, each of a second to a year."""

    def __call__(self, value: object) -> tuple[float, ...]:
        """Return it, or raise as `Rule` says."""
        if (
            isinstance(value, list | tuple)
            and len(value) <= _MOST_WAITS
            and all(_is_number(each, 1.0, _YEAR_SECONDS) for each in value)
        ):
            return tuple(map(float, value))
        odd = next(
            (each for each in _items(value) if not _is_number(each, 1.0, _YEAR_SECONDS)), value
        )
        raise _refused(
            odd, f"a list of at most {_MOST_WAITS} numbers from 1 to {_YEAR_SECONDS:.0f}"
        )


@dataclass(frozen=True, slots=True)
class FilePath:
    """The path of a file or a folder, `~` expanded; empty where `optional`."""

    optional: bool = True
    expand: bool = True

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        if isinstance(value, os.PathLike):  # from a flag
            value = os.fspath(value)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
            raise _refused(value, f"a path of at most {_LONGEST_TEXT} characters")
        if not value and not self.optional:
            raise _refused(value, "a path that is not empty")
        return os.path.expanduser(value) if self.expand else value


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings that are not empty, `~` expanded in each where they are paths."""

    expand: bool = False

    def __call__(self, value: object) -> tuple[str, ...]:
        """Return it, or raise as `Rule` says."""
        one = FilePath(optional=False, expand=self.expand)
        if not isinstance(value, list | tuple) or len(value) > _MOST_TEXTS:
            raise _refused(value, f"a list of at most {_MOST_TEXTS} strings")
        for each in value:
            if not isinstance(each, str | os.PathLike) or not os.fspath(each):
                raise _refused(each, "a list of strings that are not empty")
        return tuple(map(one, value))


class Address:
    """Where to listen, `HOST:PORT`; empty for nowhere. Port 0 takes any that is free."""

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        return _checked(value, lambda text: host_and_port(text, 0), 'HOST:PORT, [IPv6]:PORT or ""')


class SyslogTarget:
    """Where to send syslog: ``local``, or udp, tcp or tls://HOST:PORT; or empty."""

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""

        def look(text: str) -> None:
            scheme, found, rest = text.partition("://")
            if text == "local":
                return
            if not found or scheme not in {"udp", "tcp", "tls"}:
                raise ValueError(text)
            if not host_and_port(rest, 1)[0]:
                raise ValueError(text)

        allowed = '"local", "udp://HOST:PORT", "tcp://HOST:PORT", "tls://HOST:PORT" or ""'
        return _checked(value, look, allowed)


class WebTarget:
    """A web address without user and password; or empty. What is refused is not shown."""

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        try:
            return _checked(value, web_address, "")
        except ValueError:
            raise ValueError(
                'must be "http://HOST/…" or "https://HOST/…", without user and password, or ""'
            ) from None


class MqttTarget:
    """Address of an MQTT broker; or empty."""

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        return _checked(value, mqtt_address, '"mqtt://HOST:PORT", "mqtts://HOST:PORT" or ""')


@dataclass(frozen=True, slots=True)
class Word:
    """A string of visible ASCII characters, none of those in `without`."""

    without: str = ""
    most: int = 200
    optional: bool = True

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        if (
            isinstance(value, str)
            and (value or self.optional)
            and len(value) <= self.most
            and all("!" <= each <= "~" and each not in self.without for each in value)
        ):
            return value
        but = f" but {' '.join(self.without)}" if self.without else ""
        raise _refused(value, f"at most {self.most} visible ASCII characters{but}")


class Mailboxes:
    """A list of addresses for mail, of the plain form ``NAME@HOST`` or ``NAME``."""

    def __call__(self, value: object) -> tuple[str, ...]:
        """Return it, or raise as `Rule` says."""
        if not isinstance(value, list | tuple) or len(value) > _MOST_MAILBOXES:
            raise _refused(value, f"a list of at most {_MOST_MAILBOXES} addresses")
        return tuple(map(Word('(),:;<>[]"\\', optional=False), value))


class SequenceRules:
    """A list of tables, each of which says which lines of some sources make a sequence."""

    def __call__(self, value: object) -> tuple[dict[str, object], ...]:
        """Return it, or raise as `Rule` says."""
        if not isinstance(value, list | tuple) or len(value) > _MOST_RULES:
            raise _refused(value, f"a list of at most {_MOST_RULES} tables, [[sequences.rules]]")
        if not value:
            return ()
        from logagent.sequences.rules import configured  # noqa: PLC0415  # few have any

        for number, each in enumerate(value, 1):
            if not isinstance(each, dict):
                raise _refused(each, "a table, [[sequences.rules]]")
            try:
                configured(each, number, None)
            except ValueError as error:
                raise ValueError(f"rule {number}: {error}") from None
        return tuple(dict(each) for each in value)


class Template:
    """A body of JSON with places such as ``{text}``; or empty."""

    def __call__(self, value: object) -> str:
        """Return it, or raise as `Rule` says."""
        if value:
            from logagent.sinks.webhook_bodies import check_template  # noqa: PLC0415  # rare

            return _checked(value, check_template, "JSON once its places are filled")
        return _checked(value, str, '""')


def host_and_port(text: str, lowest_port: int = 1) -> tuple[str, int]:
    """Split `HOST:PORT`; brackets around an IPv6 address are taken off; the host may be empty.

    Raises:
        ValueError: it is not that, or the port is not from `lowest_port` to 65535.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if (
        not colon
        or (":" in host) != bracketed
        or any(not "!" <= character <= "~" or character in "[]/@" for character in host)
        or not (port.isascii() and port.isdigit() and len(port) <= len(str(_HIGHEST_PORT)))
        or not lowest_port <= int(port) <= _HIGHEST_PORT
    ):
        raise ValueError(f"{printable(text, 100)!r} is not HOST:PORT")
    return host, int(port)


def web_address(text: str) -> tuple[bool, str, int, str]:
    """Split a web address: whether TLS is used, host, port, and what is asked for there.

    Raises:
        ValueError: it is none, or names a user; the message does not quote it.
    """
    scheme, found, rest = text.partition("://")
    place, _, path = rest.partition("/")
    if "?" in place:
        place, _, path = rest.partition("?")
        path = f"?{path}"
    tls = scheme == "https"
    try:
        host, port = host_and_port(_with_port(place, 443 if tls else 80))
    except ValueError:
        host, port = "", 0
    if (
        scheme not in {"http", "https"}
        or not found
        or not host
        or len(text) > _LONGEST_TEXT
        or any(not "!" <= character <= "~" or character == "#" for character in path)
    ):
        raise ValueError("not a web address")
    return tls, host, port, f"/{path}"


def mqtt_address(text: str) -> tuple[bool, str, int]:
    """Split the address of a broker: whether TLS is used, host, port.

    Raises:
        ValueError: it is none.
    """
    scheme, found, rest = text.partition("://")
    tls = scheme == "mqtts"
    host, port = host_and_port(_with_port(rest, 8883 if tls else 1883))
    if scheme not in {"mqtt", "mqtts"} or not found or not host:
        raise ValueError("not the address of a broker")
    return tls, host, port


def _with_port(place: str, port: int) -> str:
    """Return `place` with a port behind it, if it has none."""
    return place if ":" in place.rpartition("]")[2] else f"{place}:{port}"


def _checked(value: object, look: Callable[[str], object], allowed: str) -> str:
    if isinstance(value, str):
        if not value:
            return value
        try:
            look(value)
        except ValueError:
            pass
        else:
            return value
    raise _refused(value, allowed)


def _is_number(value: object, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high  # which NaN is not


def _items(value: object) -> Sequence[object]:
    return value[: _MOST_WAITS + 1] if isinstance(value, list | tuple) else ()


def _refused(value: object, allowed: str) -> ValueError:
    return ValueError(f"{_shown(value)} is not allowed; must be {allowed}")


def _shown(value: object) -> str:
    """Name a value as TOML would write it, bounded."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{printable(value, 100)}"'
    if isinstance(value, int) and value.bit_length() > _ODD_BITS:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
