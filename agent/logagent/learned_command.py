"""What `logagent learned` does: show, copy and drop what a learning period told of this host.

Guarantees: what is imported was checked as if the agent read it, and is bounded; a file is
replaced or left alone; a running agent is told to read its configuration and facts again. Nothing
from a log reaches the terminal unescaped.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from logagent import files
from logagent.config import load as load_config
from logagent.errors import EXIT_OK, ConfigError, OutputError, StateError
from logagent.policy.facts import FILE_NAME, Facts, Routine, load, read_bytes, save, told
from logagent.policy.habits import ask_to_forget
from logagent.sanitise import printable
from logagent.service.status import ask

__all__ = ["export_facts", "import_facts", "list_facts", "reset_facts"]


def list_facts(config: Path | None, state_dir: Path | None, *, as_json: bool) -> int:
    """Print what was learnt, also if it has expired.

    Raises:
        ConfigError: the configuration, which names the state folder, cannot be used.
        StateError: the file cannot be read or used.
    """
    path = _folder(config, state_dir) / FILE_NAME
    facts = load(path, float("-inf"))
    expired = facts is not None and time.time() >= facts.expires
    if as_json:
        answer = {"file": str(path), "expired": expired, "facts": facts and _json(facts)}
        print(json.dumps(answer, indent=2, ensure_ascii=True))  # noqa: T201
        return EXIT_OK
    if facts is None:
        _say(f"{path}: not there; nothing was learnt")
        return EXIT_OK
    for line in told(facts):
        _say(line)
    if expired:
        _say("this has expired and is not used any more")
    return EXIT_OK


def export_facts(config: Path | None, state_dir: Path | None, target: str) -> int:
    """Write what was learnt to a file, or to standard output for ``-``.

    Raises:
        ConfigError: the configuration cannot be used.
        OutputError: the file cannot be written.
        StateError: there is nothing to export, or it cannot be read or used.
    """
    path = _folder(config, state_dir) / FILE_NAME
    facts = load(path, float("-inf"))
    if facts is None:
        raise StateError(f"{path}: not there; nothing was learnt")
    text = facts.to_toml()
    if target == "-":
        sys.stdout.write(text)
        return EXIT_OK
    try:
        files.replace(Path(target), text.encode("ascii"))
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise OutputError(f"{target}: {getattr(error, 'strerror', None) or error}") from None
    return EXIT_OK


def import_facts(config: Path | None, state_dir: Path | None, source: Path) -> int:
    """Use what was learnt elsewhere, from now on.

    Raises:
        ConfigError: the configuration or the file cannot be used.
        StateError: the state folder cannot be written.
    """
    folder = _folder(config, state_dir)
    try:
        facts = Facts.from_toml(read_bytes(source))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{source}: {printable(str(reason), 300)}") from None
    if time.time() >= facts.expires:
        raise ConfigError(f"{source}: what was learnt has expired; learn again")
    try:
        save(folder / FILE_NAME, facts)
    except OSError as error:
        raise StateError(f"state folder {folder}: {error.strerror or error}") from None
    here = os.uname().nodename
    if facts.host != here:
        note = f"learnt on {printable(facts.host, 100)}, this host is {printable(here, 100)}"
        print(f"logagent: note: {note}", file=sys.stderr)  # noqa: T201
    _say(f"{folder / FILE_NAME}: imported; {_tell_agent(folder)}")
    return EXIT_OK


def reset_facts(config: Path | None, state_dir: Path | None, *, habits: bool) -> int:
    """Drop what was learnt, and on demand also what the agent remembers of how often groups come.

    Raises:
        ConfigError: the configuration cannot be used.
        StateError: the state folder cannot be written.
    """
    folder = _folder(config, state_dir)
    path = folder / FILE_NAME
    try:
        try:
            path.unlink()
            done = "removed"
        except FileNotFoundError:
            done = "not there; nothing was learnt"
        if habits:
            ask_to_forget(folder)
            done += "; habits are dropped at the agent's next start or reload"
    except OSError as error:
        raise StateError(f"state folder {folder}: {error.strerror or error}") from None
    _say(f"{path}: {done}; {_tell_agent(folder)}")
    return EXIT_OK


def _folder(config: Path | None, state_dir: Path | None) -> Path:
    overrides = {"state.dir": None if state_dir is None else str(state_dir)}
    return load_config(config, overrides).state.folder()


def _tell_agent(folder: Path) -> str:
    """Make the agent that uses a folder, if one runs, read its facts again; say how that went."""
    try:
        pid = ask(folder).get("pid")
    except StateError:
        return "no running agent answered"
    if type(pid) is not int or pid <= 1 or not _is_logagent(pid):
        return "the running agent could not be told: reload it"
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        return f"the running agent could not be told ({error.strerror}): reload process {pid}"
    return f"the running agent, process {pid}, was told"


def _is_logagent(pid: int) -> bool:
    """Tell whether a process is an agent: anything else would die of the signal."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"logagent" in file.read(65536)
    return False


def _json(facts: Facts) -> dict[str, Any]:
    values = {key.name: getattr(facts, key.name) for key in fields(Facts) if key.init}
    values["routine"] = [
        {key.name: getattr(each, key.name) for key in fields(Routine)} for each in facts.routine
    ]
    return values


def _say(text: str) -> None:
    print(printable(text, 4000))  # noqa: T201
