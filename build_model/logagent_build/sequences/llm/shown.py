"""A sequence as text for a prompt: names in brackets, of bounded length.

    [openat, read ×3, "Received block <*>", … 123 events left out …, close]

Guarantees: one line of printable characters; a name that is no plain word stands in quotes (as in
JSON) and is cut at `longest_name` characters, so it can neither end the list nor pass for two
events or for a gap; at most `longest` entries, of which a run of one event is one; what is left out
is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build.sequences.llm.retrieval import Rarity

__all__ = ["KEEPS", "Showing", "shown"]

KEEPS = ("ends", "head", "tail", "informative")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_CHUNK = 10  # entries that stay or go together: an order of events wants neighbours


@dataclass(frozen=True, slots=True)
class Showing:
    """How sequences are shown."""

    longest: int = 500
    """[entries] of a sequence, at least 2."""
    keep: str = "ends"
    """What stays of a longer one: ``head``, ``tail``, ``ends`` (half of each), ``informative``
    (both ends, and the tens of entries whose events are rarest; below 30 entries as ``ends``)."""
    fold: bool = True
    """Whether a run of one event is one entry with its number."""
    longest_name: int = 120
    """[characters]"""

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise ConfigError(f"keep {self.keep!r} is none of {', '.join(KEEPS)}")
        if self.longest < 2 or self.longest_name < 2:
            raise ConfigError("a sequence shows at least 2 events, and 2 characters of each")


def shown(names: Sequence[str], showing: Showing, rarity: Rarity | None = None) -> str:
    """Return the text of a sequence, given the names of its events."""
    runs = [(name, len(list(run))) for name, run in groupby(names)]
    if not showing.fold:
        runs = [(name, 1) for name in names]
    kept = _kept(runs, showing, rarity or Rarity())
    parts: list[str] = []
    gone = 0
    for at, (name, count) in enumerate(runs):
        if at not in kept:
            gone += count
            continue
        if gone:
            parts.append(f"… {gone} events left out …")
            gone = 0
        parts.append(_name(name, showing.longest_name) + (f" ×{count}" if count > 1 else ""))
    if gone:
        parts.append(f"… {gone} events left out …")
    return f"[{', '.join(parts)}]"


def _name(name: str, longest: int) -> str:
    if _PLAIN.fullmatch(name) and len(name) <= longest:
        return name
    return json.dumps(printable(name, longest), ensure_ascii=False)


def _kept(runs: Sequence[tuple[str, int]], showing: Showing, rarity: Rarity) -> set[int]:
    """Return which entries stay."""
    count, longest = len(runs), showing.longest
    if count <= longest:
        return set(range(count))
    if showing.keep == "head":
        return set(range(longest))
    if showing.keep == "tail":
        return set(range(count - longest, count))
    head = longest - longest // 2
    if showing.keep == "ends" or longest < 3 * _CHUNK:
        return {*range(head), *range(count - longest // 2, count)}
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    worth = [sum(rarity(runs[at][0]) for at in chunk) / len(chunk) for chunk in chunks]
    order = sorted(range(1, len(chunks) - 1), key=lambda at: (-worth[at], at))
    kept = {*chunks[0], *chunks[-1]}
    for at in order:
        if len(kept) + _CHUNK > longest:
            break
        kept.update(chunks[at])
    return kept
