"""What a Containerfile says: its stages, their steps, and what the image declares.

Guarantees: what is not understood is an error, never skipped; so whoever carries out what `parse`
returns does all that the file says.
Leaves to others: carrying it out (`container_root.py`).

Understood is what our two files use: FROM … AS, ARG, ENV, LABEL, COPY, RUN, USER, VOLUME,
STOPSIGNAL, HEALTHCHECK, ENTRYPOINT and CMD in their JSON forms.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "Copy",
    "Healthcheck",
    "Recipe",
    "RecipeError",
    "Run",
    "Stage",
    "allowed",
    "context_files",
    "parse",
]

_WORD = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class RecipeError(Exception):
    """The file says something that is not understood; the message says what."""


@dataclass(frozen=True, slots=True)
class Run:
    """A command line for /bin/sh."""

    script: str
    environment: Mapping[str, str]
    """Set for it by ARG and ENV before."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Files that are copied into the stage."""

    sources: tuple[str, ...]
    """Patterns below the context, or paths in the stage `stage`."""
    target: str
    stage: str | None


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """The command that tells whether the agent is well."""

    command: tuple[str, ...]
    options: Mapping[str, str]


@dataclass(slots=True)
class Stage:
    """One FROM, and what follows it."""

    base: str
    """Name of an earlier stage, or of an image."""
    name: str | None
    steps: list[Run | Copy] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    healthcheck: Healthcheck | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """All stages; the last is the image."""

    stages: tuple[Stage, ...]

    @property
    def image(self) -> Stage:
        """Return the stage that becomes the image."""
        return self.stages[-1]

    def stage(self, name: str) -> Stage | None:
        """Return the stage of that name, if there is one."""
        return next((stage for stage in self.stages if stage.name == name), None)


def parse(text: str) -> Recipe:
    """Read a Containerfile.

    Raises:
        RecipeError: it says something that is not understood.
    """
    stages: list[Stage] = []
    for line in _logical_lines(text):
        match = _WORD.fullmatch(line)
        if match is None:
            raise RecipeError(f"not an instruction: {line}")
        word, rest = match[1], match[2].strip()
        if word == "FROM":
            stages.append(_stage(rest, stages))
        elif not stages:
            raise RecipeError(f"{word} before FROM")
        else:
            _add(stages[-1], word, rest)
    if not stages:
        raise RecipeError("no FROM")
    return Recipe(tuple(stages))


def context_files(root: Path, ignore: str) -> list[Path]:
    """Return what an engine sends as context: the files that a .dockerignore lets through.

    Args:
        root: the folder that is the context.
        ignore: ``*`` first, then ``!PATTERN`` each.

    Raises:
        RecipeError: it is written in another way.
    """
    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    if lines[:1] != ["*"] or not all(line.startswith("!") for line in lines[1:]):
        raise RecipeError("the ignore file must be * and then !PATTERN")
    return sorted(path for line in lines[1:] for path in root.glob(line[1:]))


def allowed(ignore: str, source: str) -> bool:
    """Tell whether an ignore file lets a source of COPY through."""
    patterns = [line[1:] for line in ignore.splitlines() if line.startswith("!")]
    return any(pattern == source or fnmatch.fnmatch(source, pattern) for pattern in patterns)


def _logical_lines(text: str) -> Iterator[str]:
    """Yield instructions; comment lines are left out, also between continued lines."""
    gathered = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            gathered += line[:-1]
            continue
        gathered += line
        if gathered.strip():
            yield gathered.strip()
        gathered = ""
    if gathered.strip():
        raise RecipeError("the last line is continued by nothing")


def _stage(rest: str, before: list[Stage]) -> Stage:
    words = rest.split()
    if len(words) not in {1, 3} or (len(words) == 3 and words[1] != "AS"):
        raise RecipeError(f"FROM {rest}")
    stage = Stage(words[0], words[2] if len(words) == 3 else None)
    for earlier in before:
        if earlier.name == stage.base:
            stage.environment |= earlier.environment
    return stage


def _add(stage: Stage, word: str, rest: str) -> None:
    if word == "RUN":
        if stage.user is not None:
            raise RecipeError("RUN after USER is not understood")
        stage.steps.append(Run(rest, {**stage.arguments, **stage.environment}))
    elif word == "COPY":
        stage.steps.append(_copy(rest))
    elif word == "ARG":
        name, _, value = rest.partition("=")
        stage.arguments[name] = value
    elif word == "ENV":
        stage.environment |= _pairs(stage, rest)
    elif word == "LABEL":
        stage.labels |= _pairs(stage, rest)
    else:
        _declare(stage, word, rest)


def _declare(stage: Stage, word: str, rest: str) -> None:
    """Note what is said of the image and changes no file."""
    match word:
        case "USER":
            stage.user = rest
        case "VOLUME":
            stage.volumes += rest.split()
        case "STOPSIGNAL":
            stage.stop_signal = rest
        case "ENTRYPOINT":
            stage.entrypoint = _array(rest)
        case "CMD":
            stage.command = _array(rest)
        case "HEALTHCHECK":
            options, _, command = rest.partition("CMD ")
            found = dict(re.findall(r"--(\w[\w-]*)=(\S+)", options))
            stage.healthcheck = Healthcheck(tuple(_array(command)), found)
        case _:
            raise RecipeError(f"{word} is not understood")


def _copy(rest: str) -> Copy:
    words = rest.split()
    stage = None
    if words[0].startswith("--"):
        if not words[0].startswith("--from="):
            raise RecipeError(f"COPY {words[0]} is not understood")
        stage = words.pop(0).removeprefix("--from=")
    if len(words) < 2:
        raise RecipeError(f"COPY {rest}")
    return Copy(tuple(words[:-1]), words[-1], stage)


def _pairs(stage: Stage, rest: str) -> dict[str, str]:
    known = {**stage.arguments, **stage.environment}
    found: dict[str, str] = {}
    for word in shlex.split(rest):
        name, equals, value = word.partition("=")
        if not equals:
            raise RecipeError(f"not NAME=VALUE: {word}")
        found[name] = _VARIABLE.sub(lambda match: known.get(match[1] or match[2], ""), value)
    return found


def _array(text: str) -> list[str]:
    try:
        words = json.loads(text)
    except ValueError:
        raise RecipeError(f"not a JSON array of words: {text}") from None
    if not isinstance(words, list) or not words or not all(isinstance(one, str) for one in words):
        raise RecipeError(f"not a JSON array of words: {text}")
    return words
