"""Relevant information for a prompt: what the rarest events of a sequence mean (FlexLog §3.3).

Meanings of Linux system calls are shipped (`system_calls.tsv`: name, number on 32-bit x86, one line
in words of our own); those of templates come from a file, or from a model (`describing`).

Guarantees: bounded: `most` meanings a prompt, each of at most `LONGEST_MEANING` characters on one
line. An event without a known meaning is left out; a sequence without any has no such part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log
from pathlib import Path

from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build.sequences.data import Sequences

__all__ = [
    "GIVEN",
    "LONGEST_MEANING",
    "Rarity",
    "Retrieval",
    "given_meanings",
    "i386_names",
    "read_meanings",
    "system_calls",
]

LONGEST_MEANING = 200  # [characters]
GIVEN = ("system-calls", "none")
"""Sources of meanings that are no paths."""
SHIPPED = Path(__file__).with_name("system_calls.tsv")


def read_meanings(path: Path) -> dict[str, str]:
    """Read a table of meanings: the event's name, a tab, its meaning; ``#`` begins a comment.

    Raises:
        ConfigError: it cannot be read, or a row has no tab, or an event comes twice.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    meanings: dict[str, str] = {}
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip() or row.startswith("#"):
            continue
        name, tab, meaning = row.partition("\t")
        if not tab or not meaning.strip():
            raise ConfigError(f"{path}:{number}: expected an event, a tab and its meaning")
        if name in meanings:
            raise ConfigError(f"{path}:{number}: {printable(name, 80)!r} comes twice")
        meanings[name] = meaning.strip()
    return meanings


def system_calls() -> dict[str, str]:
    """Return the meanings of Linux system calls, by name, those of old forms included."""
    return {name: meaning for name, _, meaning in _shipped()}


def i386_names() -> dict[int, str]:
    """Return the names of system calls by their numbers on 32-bit x86, which ADFA-LD has."""
    return {int(number): name for name, number, _ in _shipped() if number.isdigit()}


def given_meanings(sources: Iterable[str]) -> dict[str, str]:
    """Return the meanings of several sources: ``system-calls``, ``none``, or paths; later ones win.

    Raises:
        ConfigError: a table cannot be used.
    """
    meanings: dict[str, str] = {}
    for source in sources:
        if source == "system-calls":
            meanings |= system_calls()
        elif source != "none":
            meanings |= read_meanings(Path(source))
    return meanings


def _shipped() -> list[list[str]]:
    rows = SHIPPED.read_text("utf-8").splitlines()
    return [row.split("\t") for row in rows if not row.startswith(("#", "name\t"))]


class Rarity:
    """How rare events are among the sequences a voter was fitted on."""

    def __init__(self, data: Sequences | None = None) -> None:
        """Count in how many sequences each event occurs; without data all are as rare."""
        seen: Counter[str] = Counter()
        self._sequences = 0 if data is None else len(data)
        if data is not None:
            for events in data.events:
                seen.update({data.vocabulary[int(number)] for number in events})
        self._seen = seen

    def __call__(self, name: str) -> float:
        """Return the surprise of an event's name, at least 0; highest if it was never seen."""
        return log((self._sequences + 1) / (self._seen[name] + 1))


class Retrieval:
    """Finds the meanings that belong to a sequence."""

    def __init__(self, meanings: Mapping[str, str], rarity: Rarity, most: int = 20) -> None:
        """Take meanings by event, rarities, and how many meanings a prompt has at most."""
        self._meanings = {name: printable(text, LONGEST_MEANING) for name, text in meanings.items()}
        self._rarity = rarity
        self._most = most

    def of(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return event and meaning of the rarest events, in the order in which they come first."""
        known = [name for name in dict.fromkeys(names) if name in self._meanings]
        places = sorted(range(len(known)), key=lambda at: (-self._rarity(known[at]), at))
        return [(known[at], self._meanings[known[at]]) for at in sorted(places[: self._most])]
