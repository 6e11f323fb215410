"""The run folder of a build: its stages, what each was made of, and what it left.

    RUN/read.json, label.json, train.json, …     one record per finished stage
    RUN/<files>                                  what the stages wrote

A stage is done if its record names the same inputs (a hash) and its files still have the hashes
they had. Records come last and replace atomically, so a stage that was killed is not done. Log
lines are in there: the folder is its owner's alone.

Guarantees: one build at a time in a folder (flock, which a kill releases).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import StateError

__all__ = ["Finished", "RunFolder", "digest", "file_digest"]

_FORMAT = 1
_PIECE = 1 << 20  # [bytes] hashed at a time


def digest(value: object) -> str:
    """Return the SHA-256 of a value of JSON: what a stage was made of."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage that is done."""

    facts: dict[str, Any]
    """What it found out, for the record."""
    digest: str
    """Of its inputs and outputs: what the next stage is made of."""


class RunFolder:
    """A folder of stages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[RunFolder]:
        """Make the folder if it is not there, and keep other builds out.

        Raises:
            StateError: it cannot be used, or another build is at work in it.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = error.strerror
            raise StateError(f"{path}: cannot be used as the run folder: {reason}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateError(f"{path}: another build is at work there") from None
            yield cls(path)
        finally:
            os.close(descriptor)

    def name(self) -> str:
        """Return what the folder is called where its spending is booked; it moves with it.

        Raises:
            OSError: it cannot be written or read.
        """
        path = self / "name"
        if not path.exists():
            files.replace(path, secrets.token_hex(8).encode(), mode=0o600)
        return path.read_text("utf-8", errors="replace")

    def __truediv__(self, name: str) -> Path:
        """Return the path of a file in it."""
        return self.path / name

    def done(self, stage: str, inputs: str) -> Finished | None:
        """Return what a stage left, or None if it is not done with these inputs."""
        try:
            record = json.loads((self / f"{stage}.json").read_bytes())
            if record["format"] != _FORMAT or record["inputs"] != inputs:
                return None
            outputs = dict(record["outputs"])
            if any(file_digest(self / name) != wanted for name, wanted in outputs.items()):
                return None
            return Finished(dict(record["facts"]), digest([inputs, outputs]))
        except (OSError, ValueError, KeyError, TypeError):  # none, or not ours: done again
            return None

    def finish(
        self, stage: str, inputs: str, outputs: Iterable[str], facts: Mapping[str, Any]
    ) -> Finished:
        """Record that a stage is done.

        Args:
            stage: its name.
            inputs: hash of what it was made of.
            outputs: names of its files, all written.
            facts: for the record, as JSON.
        """
        hashes = {name: file_digest(self / name) for name in outputs}
        record = {
            "format": _FORMAT,
            "inputs": inputs,
            "outputs": hashes,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "facts": dict(facts),
        }
        text = json.dumps(record, indent=1) + "\n"
        files.replace(self / f"{stage}.json", text.encode(), mode=0o600)
        return Finished(json.loads(json.dumps(dict(facts))), digest([inputs, hashes]))
