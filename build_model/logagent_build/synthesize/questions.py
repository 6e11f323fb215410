"""What is asked for lines of a system: a plan, then lines of each kind, as prompts.

    plan → normal, hard, anomalous, pairs, each of a few components in a situation

Guarantees: the same ask about a system of the same name gives the same prompt, whatever systems
stand beside it; systems of other names get other prompts, also where the words for them are the
same, so that two corpora of one kind of system are two; the kinds take their components in the same
turn, so that no component, and no form of header, is left to one class. Names and examples of
components are the model's own, cleaned by `replies`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from logagent.sanitise import printable

from logagent_build.annotate.prompt_files import PromptFile, load
from logagent_build.annotate.protocol import Message, Prompt
from logagent_build.corpora import CATEGORIES
from logagent_build.synthesize.replies import KINDS, schema

__all__ = [
    "ATTEMPTS",
    "COMPONENTS",
    "LATEST",
    "PURPOSE",
    "Ask",
    "Component",
    "Questions",
    "System",
    "prompts_by_kind",
]

PURPOSE = "synthesize"
_T = TypeVar("_T")
ATTEMPTS = 5  # times what was broken is asked again, as labelling does
COMPONENTS = 12  # asked for in a plan
_WARMER = 0.1  # temperature added each time
_HOTTEST = 2.0
_TOGETHER = 4  # components in a prompt: enough to vary, few enough to keep to their forms
_CATEGORIES = 4  # in a prompt, likewise
LATEST = 12
"""Lines shown as written already; more cost more tokens each time."""
_LONGEST_NAME = 300  # [characters] of a system's description
_NAME_BYTES = 4  # [bytes] of the hash of a system's name: a handful of names share none
_SITUATIONS = (
    "an ordinary day",
    "start-up after a power cut",
    "the night, with its scheduled jobs and backups",
    "the hours after an upgrade",
    "peak load",
    "a change of configuration",
    "a new device or user",
    "shutdown and restart",
    "an old machine, full of history",
    "a quiet weekend",
    "maintenance, with an operator logged in",
    "a busy network with all kinds of clients",
)


@dataclass(frozen=True, slots=True)
class System:
    """What to write lines of."""

    name: str
    """Of its files."""
    words: str
    """What it is, for the model."""


@dataclass(frozen=True, slots=True)
class Component:
    """What writes lines."""

    name: str
    example: str
    """A whole line of it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt to be."""

    system: int
    """Number of the system."""
    kind: str
    """``plan`` or one of `KINDS`."""
    count: int
    """Lines, pairs or components asked for."""
    number: int = 0
    """Of the prompt among those of its kind."""
    attempt: int = 0
    """How often it was asked before."""
    known: tuple[str, ...] = ()
    """Lines written already."""
    lengths: tuple[int, int] = (0, 0)
    """[characters] Least and most of each line; zeros leave it to the usual mixture."""


def prompts_by_kind(names: Mapping[str, str] | None = None) -> dict[str, PromptFile]:
    """Read the prompts of all kinds.

    Args:
        names: name or path by kind, where it is not the shipped one.

    Raises:
        ConfigError: one cannot be used.
    """
    names = names or {}
    return {kind: load(names.get(kind, f"synth-{kind}"), PURPOSE) for kind in ("plan", *KINDS)}


class Questions:
    """Makes prompts of asks."""

    def __init__(
        self,
        systems: Sequence[System],
        files: Mapping[str, PromptFile],
        seed: int = 0,
        thinking_tokens: int = 0,
    ) -> None:
        """Take the systems, the prompts by kind, and what may be drawn anew by another seed."""
        self._systems = [printable(each.words, _LONGEST_NAME) for each in systems]
        self._names = [each.name for each in systems]
        self._files = files
        self._seed = seed
        self._thinking = thinking_tokens

    def prompt(self, ask: Ask, plan: Sequence[Component] = ()) -> Prompt:
        """Return the prompt for an ask.

        Args:
            ask: what to ask for.
            plan: components of the system; may be empty.
        """
        file = self._files[ask.kind]
        places = {
            "system": self._systems[ask.system],
            "count": str(ask.count),
            "components": self._components(ask, plan),
            "situation": self._turn(_SITUATIONS, ask, 1, ask.kind)[0],
            "categories": ", ".join(self._turn(list(CATEGORIES.values()), ask, _CATEGORIES, "")),
            "lengths": _lengths(*ask.lengths),
            "known": _known(ask.known),
        }
        return Prompt(
            (Message("system", file.system.strip()), Message("user", file.fill(places))),
            round(min(_HOTTEST, file.temperature + _WARMER * ask.attempt), 6),
            file.tokens_fixed + file.tokens_per_line * ask.count + self._thinking,
            schema(ask.kind) if file.answer == "json" else None,
            f"synthesize {file.name} {file.version}",
            _sample(self._names[ask.system], ask.number),
        )

    def _components(self, ask: Ask, plan: Sequence[Component]) -> str:
        chosen = self._turn(plan, ask, _TOGETHER, "components") if plan else []
        if not chosen:
            return "- whatever writes to its logs"
        return "\n".join(f"- {each.name}: {each.example}" for each in chosen)

    def _turn(self, things: Sequence[_T], ask: Ask, count: int, salt: str) -> list[_T]:
        """Return the next few of a shuffled row, whose turn comes again and again."""
        order = list(things)
        seed = f"{self._seed} {self._names[ask.system]} {salt}"
        random.Random(seed).shuffle(order)  # noqa: S311  # no secret
        start = ask.number * count
        return [order[place % len(order)] for place in range(start, start + min(count, len(order)))]


def _sample(name: str, number: int) -> int:
    """Return the number of a reply: two systems share none, even if all words of a prompt do."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_NAME_BYTES).digest()) + number


def _lengths(least: int, most: int) -> str:
    if least:
        return f"Every line, whole, has at least {least} characters."
    if most:
        return f"Every line, whole, has at most {most} characters."
    return "A third of the lines have less than 90 characters, a third up to 140, the others more."


def _known(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    shown = "\n".join(f"- {line}" for line in lines[-LATEST:])
    return f"\nThese are written already; write no variants of them, nor them again:\n{shown}\n"
