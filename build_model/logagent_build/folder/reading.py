"""Stage 1: logs to the distinct templates of each system.

    files → blocks (`logagent.sources`) → `table.Table` → RUN/read-000.msgpack, …

One system at a time, its files in order, in one pass. Every `CHECKPOINT_LINES` lines, and after
each system, what is known is written down; a reading that was killed goes on from there, and its
result is that of one that never stopped. Archives are read again up to that line, plain files too:
that is quick beside judging lines.

Guarantees: trouble with a file is told and counted and stops no other; binary files are left out.
Memory: one table. A file is known by its path, size and time of change: only then are the texts of
a checkpoint, or of an earlier run, used.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
from logagent import files
from logagent.blocks import Block
from logagent.normalise import NORMALISER_VERSION
from logagent.paths import SourceProblem
from logagent.sanitise import printable
from logagent.sources import open_source

from logagent_build.annotate.log_lines import no_text
from logagent_build.folder.stages import Finished, RunFolder, digest, file_digest
from logagent_build.folder.systems import System
from logagent_build.folder.table import Kept, Table, kept_of

__all__ = ["CHECKPOINT_LINES", "MOST_TEMPLATES", "Settings", "load", "read"]

MOST_TEMPLATES = 50_000
"""Of one system. Logs of one kind of software have some hundreds to some thousands; those with
more have free text in them, of which a sample does."""
CHECKPOINT_LINES = 1_000_000  # a second or two of reading
_FORMAT = 1
_CHECKPOINT = "read.checkpoint"
_TOLD = 20  # problems told one by one; the others are counted
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to read."""

    most_templates: int = MOST_TEMPLATES
    checkpoint_lines: int = CHECKPOINT_LINES


def read(
    run: RunFolder,
    systems: Sequence[System],
    settings: Settings,
    *,
    progress: Progress = lambda _stage, _done: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Finished:
    """Read the logs of all systems; skipped if they have not changed.

    Raises:
        OSError: the run folder cannot be written.
        ValueError: no system has a line.
    """
    inputs = digest(
        {
            "format": _FORMAT,
            "normaliser": NORMALISER_VERSION,
            "most": settings.most_templates,
            "checkpoint": settings.checkpoint_lines,  # caches are emptied there
            "systems": [[each.name, [_identity(path) for path in each.files]] for each in systems],
        }
    )
    if (finished := run.done("read", inputs)) is not None:
        progress("read", 1.0)
        return finished
    reading = _Reading(run, systems, settings, inputs, progress, say)
    facts = reading.all()
    if not any(each["templates"] for each in facts["systems"]):
        raise ValueError("there are no lines of text in the folder")
    outputs = [_file(number) for number in range(len(systems))]
    done = run.finish("read", inputs, outputs, facts)
    (run / _CHECKPOINT).unlink(missing_ok=True)
    return done


def load(run: RunFolder, number: int) -> list[Kept]:
    """Return the templates of a system that `read` has finished.

    Raises:
        OSError: the file cannot be read.
    """
    rows = msgpack.unpackb((run / _file(number)).read_bytes(), raw=False)
    return [kept_of(row) for row in rows]


def _file(number: int) -> str:
    return f"read-{number:03d}.msgpack"


def _identity(path: str) -> list[Any]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # it is gone: `read` will tell
        return [os.path.abspath(path), -1, -1]
    return [os.path.abspath(path), status.st_size, status.st_mtime_ns]


class _Reading:
    """One run over all systems."""

    def __init__(
        self,
        run: RunFolder,
        systems: Sequence[System],
        settings: Settings,
        inputs: str,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self._run, self._systems, self._settings = run, systems, settings
        self._inputs, self._progress, self._say = inputs, progress, say
        self._all_bytes = max(1, sum(_size(path) for each in systems for path in each.files))
        self._bytes = 0
        self._problems: Counter[str] = Counter()
        self._facts: list[dict[str, Any]] = []
        self._written: list[str] = []  # hashes of the files of finished systems
        self._system = self._file = 0
        self._line = 1  # of the file, the next to take in
        self._table = Table(settings.most_templates)
        self._hash = hashlib.sha256()
        self._chain = b""  # hash of what came before the last checkpoint
        self._since = 0

    def all(self) -> dict[str, Any]:
        """Read what no checkpoint has; return the facts."""
        self._resume()
        while self._system < len(self._systems):
            system = self._systems[self._system]
            while self._file < len(system.files):
                self._read_file(system.files[self._file])
                self._table.end_file()
                self._file, self._line = self._file + 1, 1
            self._finish_system(system)
        return {
            "lines": sum(each["lines"] for each in self._facts),
            "problems": dict(sorted(self._problems.items())),
            "systems": self._facts,
        }

    def _read_file(self, path: str) -> None:
        source = open_source(path, on_problem=self._trouble, regular_only=True)
        if isinstance(source, SourceProblem):
            self._trouble(source)
            return
        try:
            at = 0
            for block in source.blocks():
                if block.first_line == 1 and no_text(block.data):
                    self._trouble(SourceProblem(path, "binary", "binary file, left out", True))
                    return
                fresh = _from_line(block, self._line)
                now, at = source.position_bytes() - at, source.position_bytes()
                self._bytes += now
                if fresh is None:
                    continue
                self._hash.update(fresh.data)
                self._hash.update(b"\n")
                self._table.add(fresh)
                self._line = fresh.first_line + fresh.line_count
                self._since += fresh.line_count
                self._progress("read", min(1.0, self._bytes / self._all_bytes))
                if self._since >= self._settings.checkpoint_lines:
                    self._checkpoint()
        finally:
            source.close()

    def _finish_system(self, system: System) -> None:
        kept = self._table.finish()
        rows = msgpack.packb([each.row() for each in kept])
        files.replace(self._run / _file(self._system), rows, mode=0o600)
        self._written.append(file_digest(self._run / _file(self._system)))
        self._fold_hash()
        table = self._table
        self._facts.append(
            {
                "name": system.name,
                "files": len(system.files),
                "lines": table.lines,
                "new_keys": table.keys,
                "templates": len(kept),
                "kept_lines": sum(each.count for each in kept),
                "let_go_templates": table.let_go,
                "let_go_lines": table.let_go_lines,
                "sha256": self._chain.hex(),
            }
        )
        self._say(
            f"{system.name}: {table.lines:,} lines, {table.keys:,} with a new key, "
            f"{len(kept):,} templates"
            + (f" ({table.let_go:,} more had no room)" if table.let_go else "")
        )
        self._system, self._file, self._line = self._system + 1, 0, 1
        self._table, self._chain = Table(self._settings.most_templates), b""
        self._checkpoint()

    def _fold_hash(self) -> None:
        """Chain the hash of what was read since the last checkpoint to that of before.

        A hash that is under way cannot be saved.
        """
        self._chain = hashlib.sha256(self._chain + self._hash.digest()).digest()
        self._hash = hashlib.sha256()

    def _checkpoint(self) -> None:
        if self._table.lines:
            self._fold_hash()
        self._table.settle()
        self._since = 0
        state = {
            "inputs": self._inputs,
            "place": [self._system, self._file, self._line],
            "table": self._table.state(),
            "chain": self._chain,
            "problems": dict(self._problems),
            "facts": self._facts,
            "written": self._written,
        }
        files.replace(self._run / _CHECKPOINT, msgpack.packb(state), mode=0o600)

    def _hashes(self, systems: int) -> list[str]:
        return [file_digest(self._run / _file(number)) for number in range(systems)]

    def _resume(self) -> None:
        try:
            packed = (self._run / _CHECKPOINT).read_bytes()
            state = msgpack.unpackb(packed, raw=False)
            if state["inputs"] != self._inputs:
                return
            system, file, line = map(int, state["place"])
            table = Table.of(state["table"])
            chain, problems = bytes(state["chain"]), Counter(state["problems"])
            facts, written = list(state["facts"]), list(state["written"])
            if len(facts) != system or written != self._hashes(system):
                return  # a file of a finished system is gone, or not what it was
        except (OSError, ValueError, KeyError, TypeError, msgpack.UnpackException):
            return  # none, or not ours: from the start
        self._system, self._file, self._line = system, file, line
        self._table, self._chain, self._problems = table, chain, problems
        self._facts, self._written = facts, written
        done = [path for each in self._systems[: self._system] for path in each.files]
        if self._system < len(self._systems):
            done += self._systems[self._system].files[: self._file]
        self._bytes = sum(map(_size, done))  # of the file itself, what is skipped is counted again
        if self._system < len(self._systems):
            self._say(f"goes on with {self._systems[self._system].name}, line {self._line:,}")

    def _trouble(self, problem: SourceProblem) -> None:
        self._problems[problem.kind] += 1
        if sum(self._problems.values()) <= _TOLD:
            self._say(printable(f"{problem.source}: {problem.message}"))


def _size(path: str) -> int:
    return max(0, int(_identity(path)[1]))


def _from_line(block: Block, line: int) -> Block | None:
    """Return the part of a block from a line on, or None."""
    if block.first_line >= line:
        return block
    skipped = line - block.first_line
    if skipped >= block.line_count:
        return None
    rest = b"\n".join(block.lines()[skipped:])
    return Block(rest, line, block.offset + len(block.data) - len(rest))
