"""Which file of a folder belongs to which system.

By default every sub-folder is a system, and so is every loose file; rotated and compressed copies
of a log (``syslog.2.gz``, ``app-20240131.log``) are of one system with it, oldest first. A mapping
says otherwise:

    [systems]              # pattern below the folder → name; the first that fits wins
    "web*/access.log*" = "nginx"
    [kin]                  # systems, shipped or yours, with lines of the same software
    nginx = ["apache"]

Guarantees: sorted, so that a run repeats; no file is in two systems; names are printable and
differ. Leaves opening files to `reading`.
"""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent.errors import ConfigError
from logagent.paths import SourceProblem, expand
from logagent.sanitise import printable

__all__ = ["MOST_SYSTEMS", "System", "find_systems"]

MOST_SYSTEMS = 500
"""More are a folder whose files are not one system each; say which with a mapping."""
_LONGEST_NAME = 80  # [characters]
_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst|zip)$", re.IGNORECASE)
_ROTATED = re.compile(
    r"[._-](?:\d{1,4}|\d{6,14}|\d{4}-\d\d-\d\d(?:[T_-]\d\d.?\d\d.?\d\d)?|old|bak)$"
)
_KIND = re.compile(r"\.(?:log|txt|out|err)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class System:
    """Files whose lines come from the same software."""

    name: str
    files: tuple[str, ...]
    """Paths, in the order they are read; at least one."""
    kin: frozenset[str] = frozenset()
    """Systems that are left out of training together with it."""


def find_systems(
    folder: Path,
    mapping: Path | None = None,
    *,
    without: Sequence[Path] = (),
    own: Callable[[str], bool] = lambda _path: False,
    say: Callable[[str], None] = lambda _text: None,
) -> list[System]:
    """Return the systems of a folder, sorted by name.

    Args:
        folder: of logs.
        mapping: TOML, see the module; None: see there, too.
        without: files and folders of our own, which are no logs.
        own: tells of further files whether they are our own.
        say: told of files that no pattern fits, and of what cannot be read.

    Raises:
        ConfigError: there is no such folder, no file in it, the mapping is malformed, or there are
            more than `MOST_SYSTEMS`.
    """
    if not folder.is_dir():
        raise ConfigError(f"{printable(str(folder))}: no such folder")
    ours = [os.path.realpath(path) for path in without]

    def files(path: str) -> list[str]:
        found = []
        for each in expand([path]):
            if isinstance(each, SourceProblem):
                say(printable(f"{each.source}: {each.message}"))
            elif not own(each) and not any(_below(os.path.realpath(each), one) for one in ours):
                found.append(each)
        return found

    everything = files(str(folder))
    if not everything:
        raise ConfigError(f"{printable(str(folder))}: there are no files in it")
    kin: dict[str, frozenset[str]] = {}
    if mapping is None:
        grouped = _by_place(folder, everything)
    else:
        patterns, kin = _read_mapping(mapping)
        grouped = _by_pattern(folder, patterns, everything, files, say)
    if len(grouped) > MOST_SYSTEMS:
        raise ConfigError(
            f"{printable(str(folder))}: {len(grouped):,} systems, more than {MOST_SYSTEMS}; say "
            "with --systems MAPPING.toml which files belong together"
        )
    if unknown := sorted(kin.keys() - grouped.keys()):
        raise ConfigError(f"{mapping}: [kin] {printable(unknown[0])}: there is no such system")
    return [
        System(name, tuple(sorted(grouped[name], key=_age)), kin.get(name, frozenset()))
        for name in sorted(grouped)
    ]


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _by_place(folder: Path, files: Sequence[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path in files:
        first, *rest = Path(os.path.relpath(path, folder)).parts
        grouped.setdefault(first if rest else _stem(first), []).append(path)
    if len(grouped) > MOST_SYSTEMS:
        return grouped  # is refused: no names are needed
    raw = sorted(grouped)
    return {name: grouped[each] for name, each in zip(_names(raw), raw, strict=True)}


def _names(raw: Sequence[str]) -> list[str]:
    """Return printable names; those that would be alike get numbers."""
    found: list[str] = []
    for each in raw:
        name, number = _name(each), 1
        while name in found:
            number += 1
            behind = f" ({number})"
            name = _name(each)[: _LONGEST_NAME - len(behind)] + behind
        found.append(name)
    return found


def _by_pattern(
    folder: Path,
    patterns: dict[str, str],
    everything: Sequence[str],
    files: Callable[[str], list[str]],
    say: Callable[[str], None],
) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    taken: set[str] = set()
    known = {os.path.realpath(path): path for path in everything}
    below = glob.escape(str(folder))  # its own name is no pattern
    for pattern, name in patterns.items():
        for path in map(os.path.realpath, files(os.path.join(below, pattern))):
            if path in known and path not in taken:
                taken.add(path)
                grouped.setdefault(name, []).append(known[path])
    left = len(known) - len(taken)
    if left:
        say(f"{left:,} files fit no pattern of the mapping and are left out")
    if not grouped:
        raise ConfigError("no file fits a pattern of the mapping")
    return grouped


def _read_mapping(path: Path) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {printable(str(error))}") from None
    if unknown := sorted(table.keys() - {"systems", "kin"}):
        raise ConfigError(f"{path}: [{printable(unknown[0])}] is none of [systems], [kin]")
    patterns, kin = table.get("systems"), table.get("kin", {})
    if not isinstance(patterns, dict) or not patterns:
        raise ConfigError(f'{path}: needs [systems] with lines such as "web/*.log" = "nginx"')
    if not all(isinstance(name, str) and name.strip() for name in patterns.values()):
        raise ConfigError(f"{path}: [systems]: every name is a string")
    if not isinstance(kin, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in kin.values()
    ):
        raise ConfigError(f"{path}: [kin]: every entry is a list of names")
    return (
        {pattern: _name(name) for pattern, name in patterns.items()},
        {_name(name): frozenset(names) for name, names in kin.items()},
    )


def _name(raw: str) -> str:
    return printable(os.fsencode(raw).strip(), _LONGEST_NAME) or "unnamed"


def _stem(name: str) -> str:
    """Return the name of a log without what compression and rotation put behind it."""
    stem = name
    while True:
        shorter = _ROTATED.sub("", _PACKED.sub("", stem))
        shorter = _KIND.sub("", shorter) or shorter
        if shorter in ("", stem):
            return stem or name
        stem = shorter


def _age(path: str) -> tuple[str, int, str]:
    """Sort the copies of a rotated log: ``syslog.2.gz`` is older than ``syslog.1``."""
    folder, name = os.path.split(path)
    bare = _PACKED.sub("", name)
    number = re.search(r"\.(\d{1,4})$", bare)
    if number is None:
        return os.path.join(folder, bare), 0, name
    return os.path.join(folder, bare[: number.start()]), -int(number[1]), name
