"""From the id that an alert showed to the group of lines, or kind of sequences, it was about.

Asked in turn: the running agent, the state that it saved, the alerts that it wrote to a file.

Guarantees: nothing is written; what cannot be read, or reads otherwise than expected, is passed
over; at most a line of each file is held.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent.config import Config
from logagent.errors import EXIT_USAGE, LogagentError, StateError
from logagent.judge import mask_names
from logagent.override_entries import group_text
from logagent.policy.known import alert_ids, restored
from logagent.records import TEXT_CHARS
from logagent.sanitise import CUT, printable
from logagent.sequence_ids import UNNAMED, KnownKind, kinds_of_answer, kinds_of_state, of_record
from logagent.service.status import ask

__all__ = ["Known", "UnknownAlertError", "find", "group_of_template", "groups_of", "is_id"]

_ID = re.compile("[0-9a-f]{16}")
_STATE_BYTES = 64 * 1024 * 1024  # [bytes] as `service.state` reads
_RECORD_BYTES = 64 * 1024  # [bytes] of a line; records have fewer than 25,000


class UnknownAlertError(LogagentError):
    """Nobody knows an alert, a group or an entry of this name."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Known:
    """A group of lines, or a kind of sequences, that alerts were about."""

    ids: frozenset[str]
    """Its own and those of its alerts."""
    group: str
    """Its key, as `override_entries.group_text` writes it; of a kind what it is, for people."""
    text: str = ""
    """One of its lines, printable."""
    kind: str | None = None
    """Name of the kind of sequences; None for lines."""
    unknown: bool = False
    """Whether a line that training did not have is one of the kind's events."""


def is_id(text: str) -> bool:
    """Tell whether a text looks like the id of an alert or a group."""
    return _ID.fullmatch(text) is not None


def find(id_: str, config: Config) -> Known:
    """Return what an alert was about.

    Args:
        id_: the record's ``id`` or its ``group``.
        config: names the state folder, and the file that alerts are written to.

    Raises:
        UnknownAlertError: nobody knows it, or it is about nothing that can be named; says what
            can be given instead.
    """
    folder = config.state.folder()
    answer = _answer(folder)
    for known in (*_groups_of_agent(answer), *groups_of(folder)):
        if id_ in known.ids:
            return known
    for kind in (*kinds_of_answer(answer), *kinds_of_state(_state(folder))):
        if id_ in kind.ids:
            return _named(id_, kind)
    if config.sinks.jsonl:
        numbers = range(1, config.sinks.jsonl_keep + 1)
        for name in (config.sinks.jsonl, *(f"{config.sinks.jsonl}.{each}" for each in numbers)):
            if (found := _in_records(id_, name)) is not None:
                return found
    where = f"the state folder {printable(str(folder), 300)}"
    where += f" nor {printable(config.sinks.jsonl, 300)}" if config.sinks.jsonl else ""
    raise UnknownAlertError(
        f"no alert {id_} is known to {where}; give the alert's line with --line, the template of "
        "its record with --template, a sequence's `group` with --sequence, or name the agent's "
        "state folder with --state-dir"
    )


def group_of_template(text: str) -> str:
    """Return the group of a template as a record shows it.

    Raises:
        ValueError: the record has not all of it.
    """
    if len(text) >= TEXT_CHARS and text.endswith(CUT):
        raise ValueError("the template was cut (…); give the alert's id, or a regex with --regex")
    if "\ufffd" in text:
        raise ValueError("the template holds bytes that are not UTF-8; give the alert's id")
    # Escapes are longer than what they stand for, so nothing may be cut here.
    return group_text(mask_names(os.fsencode(text)))


def groups_of(state_dir: Path) -> Iterator[Known]:
    """Yield the groups in the state that the agent saved last; none if it cannot be read."""
    try:
        groups = _state(state_dir)["alerts"]["policy"]["groups"]
    except (KeyError, TypeError):
        return
    for values in groups if isinstance(groups, list) else ():
        try:
            group = restored(values)
        except ValueError:
            continue
        ids = frozenset(alert_ids(group))
        yield Known(ids, group_text(group.key), printable(group.last.text))


def _state(state_dir: Path) -> Any:
    """Return the state that the agent saved last; None if it cannot be read."""
    import msgpack  # noqa: PLC0415 - the state is read only if the agent does not run

    try:
        with open(state_dir / "state", "rb") as file:
            outer = msgpack.unpackb(file.read(_STATE_BYTES), unicode_errors="surrogateescape")
        return msgpack.unpackb(outer[3], unicode_errors="surrogateescape")
    except Exception:  # noqa: BLE001, RUF100 - msgpack raises several unrelated types
        return None


def _named(id_: str, kind: KnownKind) -> Known:
    """Return what is known of a kind of sequences.

    Raises:
        UnknownAlertError: it has no name.
    """
    if not kind.name:
        raise UnknownAlertError(f"alert {id_}: {UNNAMED}")
    return Known(kind.ids, kind.about, "", kind.name, kind.unknown)


def _answer(folder: Path) -> dict[str, Any]:
    """Return what the running agent says of itself; nothing if none runs."""
    try:
        return ask(folder)
    except StateError:
        return {}


def _groups_of_agent(answer: dict[str, Any]) -> Iterator[Known]:
    """Yield the groups that the running agent knows."""
    groups = answer.get("known_groups")
    for each in groups if isinstance(groups, list) else ():
        match each:
            case {"id": str(id_), "group": str(group)} if group:
                more = each.get("alert_ids")
                ids = [id_, *(more if isinstance(more, list) else ())]
                text = printable(str(each.get("text", "")))
                yield Known(frozenset(i for i in ids if isinstance(i, str)), group, text)


def _in_records(id_: str, name: str) -> Known | None:
    """Return the group of a record in a file of alerts."""
    wanted = id_.encode()
    found = None
    try:
        with open(name, "rb") as file:
            while line := file.readline(_RECORD_BYTES):
                if wanted in line and (record := _record(id_, line)) is not None:
                    found = record
    except OSError:
        return None
    return found


def _record(id_: str, line: bytes) -> Known | None:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind = of_record(record)
    if kind is not None:
        return _named(id_, kind) if id_ in kind.ids else None
    match record:
        case {"template": str(template)} if id_ in (record.get("id"), record.get("group")):
            try:
                group = group_of_template(template)
            except ValueError as error:
                raise UnknownAlertError(f"alert {id_}: {error}") from None
            return Known(frozenset({id_}), group, printable(str(record.get("text", ""))))
    return None
