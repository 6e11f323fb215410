"""What `logagent feedback` and `logagent ignore` do: write, show and remove overrides.

Guarantees: what was said is in force at the running agent's next look at the file, within seconds
and without a restart; every entry ends, unless somebody says never; nothing that came out of a log
reaches the terminal unescaped.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from logagent.alert_ids import Known, UnknownAlertError, find, group_of_template, is_id
from logagent.bounded_regex import MAX_BYTES, BoundedRegex
from logagent.config import Config, load
from logagent.errors import EXIT_OK
from logagent.judge import group_key
from logagent.override_entries import Override, OverridesError, entries_of, group_text
from logagent.overrides import FILE_NAME
from logagent.overrides_file import add, new_id, remove
from logagent.sanitise import printable
from logagent.sequence_overrides import SEQUENCE, SESSION, kind_of, session_logs, shown

__all__ = [
    "DEFAULT_LASTING",
    "Meant",
    "lasting_seconds",
    "list_overrides",
    "override_of",
    "remove_overrides",
    "state_config",
    "teach",
]

DEFAULT_LASTING: Final = "90d"
"""What is normal now may not be so for ever."""

_UNIT_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST_SECONDS: Final = 100 * 366 * 86400  # [s] more is never
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Meant:
    """What the command line named: one of these."""

    given: str | None = None
    """An alert's id, or a template."""
    line: str | None = None
    """A raw line."""
    template: str | None = None
    regex: str | None = None
    sequence: str | None = None
    """The name of a kind of sequences."""
    session: str | None = None
    """An expression that is found in keys of sessions."""


def teach(
    config: Path | None,
    state_dir: Path | None,
    meant: Meant,
    verdict: Literal["normal", "anomalous"],
    *,
    lasting: float,
    reason: str = "",
    source: str | None = None,
) -> int:
    """Write an entry and say what it does; for sequences that are anomalous, take entries back.

    Args:
        config: the configuration file; None for the default.
        state_dir: the agent's state folder; None for the configuration's.
        meant: which lines, or sequences.
        verdict: what they are.
        lasting: how long [s]; infinity for ever.
        reason: why, for whoever reads it later.
        source: glob on the name of the lines' source, or of the log that a session begins in.

    Raises:
        ConfigError: the configuration, the entry or the file of overrides cannot be used.
        UnknownAlertError: nobody knows the alert that is meant.
    """
    loaded = state_config(config, state_dir)
    path = loaded.state.folder() / FILE_NAME
    entries = entries_of(path)
    entry = override_of(
        meant,
        loaded,
        verdict,
        id_=new_id(each.id for each in entries),
        lasting=lasting,
        reason=reason,
        source=source,
    )
    if entry.verdict == "anomalous" and (kind := kind_of(entry)) is not None:
        return _tell_again(path, kind, entries)
    written = add(path, entry)
    until = f"until {_time_text(written.expires)}" if written.expires < math.inf else "for ever"
    _say(f"{written.id}: {written.verdict} {until}: {_what(written)}")
    if (
        session_logs(written) is None
        and written.regex is not None
        and (reach := BoundedRegex.of(written.regex).reach) < MAX_BYTES
    ):
        _say(f"it is costly to search, so only in the first {reach} bytes of a line")
    _say(f"to take it back: logagent ignore remove {written.id}")
    return EXIT_OK


def override_of(
    meant: Meant,
    config: Config,
    verdict: Literal["normal", "anomalous"],
    *,
    id_: str,
    lasting: float = math.inf,
    reason: str = "",
    source: str | None = None,
) -> Override:
    """Return the entry for what is meant; nothing is written.

    Raises:
        OverridesError: it says nothing, or is cut.
        UnknownAlertError: nobody knows the alert that is meant.
    """
    now = time.time()
    known = None if (meant.regex, meant.session) != (None, None) else _known(meant, config)
    if known is not None and known.kind is not None:
        if source is not None:
            raise OverridesError("--source goes with lines and sessions, not with an alert's kind")
        source = f"{SEQUENCE}{known.kind}"
    elif meant.session is not None:
        source = f"{SESSION}{'*' if source is None else source}"
    return Override(
        id_,
        verdict,
        group=None if known is None else known.group,
        regex=meant.regex or meant.session,
        source=source,
        created=now,
        expires=now + lasting,
        author=_author(),
        reason=reason,
    )


def list_overrides(config: Path | None, state_dir: Path | None, *, as_json: bool) -> int:
    """Print all entries, those that have expired too.

    Raises:
        ConfigError: the configuration or the file of overrides cannot be used.
    """
    path = state_config(config, state_dir).state.folder() / FILE_NAME
    entries, now = entries_of(path), time.time()
    if as_json:
        records = [_record(entry, now) for entry in entries]
        sys.stdout.write(json.dumps(records, indent=2, ensure_ascii=True) + "\n")
        return EXIT_OK
    if not entries:
        _say(f"{path}: no entries")
    for entry in entries:
        _say(f"{entry.id}  {entry.verdict}, {_left(entry.expires - now)}: {_what(entry)}")
        if entry.author or entry.reason:
            _say(f"        {entry.author or 'somebody'}: {entry.reason or 'no reason given'}")
    return EXIT_OK


def remove_overrides(
    config: Path | None, state_dir: Path | None, ids: list[str], *, expired: bool
) -> int:
    """Remove entries; with `expired` also all that say nothing any more.

    Raises:
        ConfigError: the configuration or the file of overrides cannot be used.
        UnknownOverrideError: there is no such entry; then none was removed.
    """
    path = state_config(config, state_dir).state.folder() / FILE_NAME
    now = time.time()
    old = [each.id for each in entries_of(path) if each.expires <= now] if expired else []
    wanted = list(dict.fromkeys([*ids, *old]))
    if wanted:
        remove(path, *wanted)
    _say(f"removed: {', '.join(wanted) or 'nothing'}")
    return EXIT_OK


def lasting_seconds(text: str) -> float:
    """Return the seconds that ``--for`` means; infinity for ``never`` (it never expires).

    Raises:
        ValueError: it is no time; says what is.
    """
    if text == "never":
        return math.inf
    found = re.fullmatch(r"(\d{1,9})([mhdw])", text, re.ASCII)
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError(
            f"cannot read {printable(text, 40)!r}; give 30d, 12h, 45m, 2w (at most a hundred "
            "years) or never"
        )
    return float(seconds)


def state_config(config: Path | None, state_dir: Path | None) -> Config:
    """Return the configuration that names the state folder.

    Raises:
        ConfigError: it cannot be used.
    """
    return load(config, {"state.dir": None if state_dir is None else str(state_dir)})


def _tell_again(path: Path, kind: str, entries: tuple[Override, ...]) -> int:
    """Remove what calls a kind of sequences normal: to be told it must be found, not called so."""
    said = [each.id for each in entries if kind_of(each) == kind]
    if said:
        remove(path, *said)
    but = ", but for sessions that entries hide" if any(map(session_logs, entries)) else ""
    _say(f"removed: {', '.join(said) or 'nothing'}; sequences of this kind are told{but}")
    return EXIT_OK


def _known(meant: Meant, config: Config) -> Known:
    """Return the group of lines, or the kind of sequences, that is meant."""
    if meant.sequence is not None:
        return _kind(meant.sequence, config)
    if meant.given is not None and is_id(meant.given):
        known = find(meant.given, config)
        if known.unknown:
            _say(
                "note: one of its events is a line that training did not have; of such lines the "
                "model knows only which of a few buckets they are in, so others are of this kind"
            )
        return known
    return Known(frozenset(), _group(meant))


def _kind(name: str, config: Config) -> Known:
    """Return a kind of sequences by its name, with what it is if somebody knows it."""
    if not is_id(name):
        raise UnknownAlertError("a kind of sequences has 16 hexadecimal digits")
    try:
        known = find(name, config)
    except UnknownAlertError:
        known = None
    if known is not None and known.kind == name:
        return known
    return Known(frozenset({name}), "a kind that the agent has not told of", kind=name)


def _group(meant: Meant) -> str:
    """Return the text of the group that is meant."""
    if meant.line is not None:
        from logagent.normalise import templates  # noqa: PLC0415 - numpy

        found = group_text(group_key(templates([os.fsencode(meant.line)]).templates[0]))
    else:
        text = meant.template if meant.template is not None else meant.given or ""
        try:
            found = group_of_template(text)
        except ValueError as error:
            raise UnknownAlertError(str(error)) from None
        if re.search(r"\d:\d\d", text):
            _say("note: a template has no times; if this is a line, give it with --line")
    if not found:
        raise OverridesError("there is nothing in it to know lines by")
    return found


def _author() -> str:
    """Return who says it: who called sudo, else the login name, else the user's number."""
    import pwd  # noqa: PLC0415 - used once

    name = os.environ.get("SUDO_USER", "")
    if not name:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
    return printable(name, 100)


def _record(entry: Override, now: float) -> dict[str, object]:
    """Return an entry for programs; keys with nothing to say are None."""
    ends = None if math.isinf(entry.expires) else _time_text(entry.expires)
    kind, logs = kind_of(entry), session_logs(entry)
    return {
        "id": entry.id,
        "verdict": entry.verdict,
        "group": entry.group,
        "regex": entry.regex,
        "source": entry.source,
        "about": "lines" if kind is None and logs is None else "session" if logs else "sequence",
        "sequence": kind,
        "created": _time_text(entry.created) if entry.created else None,
        "expires": ends,
        "expired": entry.expires <= now,
        "author": entry.author,
        "reason": entry.reason,
    }


def _what(entry: Override) -> str:
    if (sequences := shown(entry)) is not None:
        return sequences
    what = f"/{entry.regex}/" if entry.regex is not None else entry.group or ""
    where = f" in {printable(entry.source, _SHOWN_CHARS)}" if entry.source is not None else ""
    return printable(what, _SHOWN_CHARS) + where


def _left(seconds: float) -> str:
    if math.isinf(seconds):
        return "for ever"
    if seconds <= 0:
        return "EXPIRED"
    if seconds >= 2 * 86400:
        return f"for {seconds / 86400:.0f} days"
    return f"for {seconds / 3600:.0f} h" if seconds >= 2 * 3600 else f"for {seconds / 60:.0f} min"


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(text: str) -> None:
    print(printable(text, 1000))  # noqa: T201
