"""Is the version in the changelog? Checks CHANGELOG.md against the version of the package.

    python3 packaging/changelog.py              while developing
    python3 packaging/changelog.py --release    before a release: the version needs a dated entry

Holds: the rules of Keep a Changelog that a release depends on. `[Unreleased]` comes first, then
versions, newest first, each with its date. A version that has no entry yet is one to come, so
`[Unreleased]` must say something. Needs nothing but Python.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

__all__ = ["Entry", "entries", "problems", "version"]

ROOT = Path(__file__).resolve().parent.parent
_HEADING = re.compile(r"## \[(?P<name>[^]]+)\](?: - (?P<date>\S+))?")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_SECTIONS = {"Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What one version changed."""

    name: str
    """A version, or Unreleased."""
    date: str | None
    changes: int
    """How many are listed."""
    sections: tuple[str, ...]


def version(root: Path = ROOT) -> str:
    """Return the version, from the one place that has it."""
    source = root / "agent" / "logagent" / "__init__.py"
    found = _VERSION.search(source.read_text("utf-8"))
    if found is None:
        raise ValueError(f"{source.name}: no __version__")
    return found[1]


def entries(text: str) -> list[Entry]:
    """Return the entries of a changelog, in order."""
    found: list[Entry] = []
    for block in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        heading, *lines = block.splitlines()
        told = _HEADING.fullmatch(heading)
        if told is None:
            raise ValueError(f"not a heading of a version: {heading!r}")
        changes = sum(line.startswith("- ") for line in lines)
        sections = tuple(line[4:] for line in lines if line.startswith("### "))
        found.append(Entry(told["name"], told["date"], changes, sections))
    return found


def problems(text: str, wanted: str, *, release: bool) -> list[str]:
    """Return what is wrong with a changelog, for the version of the package.

    Args:
        text: of CHANGELOG.md.
        wanted: version of the package.
        release: it is about to be released, so it must have an entry of its own.
    """
    try:
        found = entries(text)
    except ValueError as error:
        return [str(error)]
    wrong = []
    if not found or found[0].name != "Unreleased":
        wrong.append("the first entry must be [Unreleased]")
    released = [entry for entry in found if entry.name != "Unreleased"]
    for entry in released:
        try:
            date.fromisoformat(entry.date or "")
        except ValueError:
            wrong.append(f"[{entry.name}] has no date like 2026-01-31")
        if not entry.changes:
            wrong.append(f"[{entry.name}] lists no change")
    for entry in found:
        strange = set(entry.sections) - _SECTIONS
        wrong += [f"[{entry.name}] has a section {name}" for name in sorted(strange)]
    order = [_key(entry.name) for entry in released]
    if order != sorted(order, reverse=True) or len(set(order)) != len(order):
        wrong.append("versions must come newest first, each once")
    if order and order[0] > _key(wanted):
        wrong.append(f"the newest entry is [{released[0].name}], the package is {wanted}")
    if wanted not in {entry.name for entry in released}:
        if release:
            wrong.append(f"no entry for {wanted}: give [Unreleased] that name and a date")
        elif not any(entry.changes for entry in found if entry.name == "Unreleased"):
            wrong.append(f"{wanted} has no entry and [Unreleased] is empty")
    return wrong


def _key(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def main() -> int:
    """Check this repository's; 1 if something is wrong."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    wrong = problems(text, version(), release="--release" in sys.argv[1:])
    for one in wrong:
        print(f"CHANGELOG.md: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
