"""Replies kept in SQLite, in front of any annotator: nothing is asked, or paid, twice.

Guarantees: a reply is on disk (synced) before anybody is told of it; a process killed at any
moment leaves every stored reply readable; several processes may use one store. Only replies are
kept: failures are asked again. The store holds the prompts, log lines included: it is made
readable for its owner alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from logagent.errors import StateError

from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.protocol import (
    Annotator,
    Arrived,
    Failure,
    Outcome,
    Prompt,
    Reply,
)

__all__ = ["Nothing", "Recorded", "Spent", "Store"]

_FORMAT = 1
_BUSY_SECONDS = 60.0  # another process may be writing
_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,             -- asked for
    tag TEXT NOT NULL,
    run TEXT NOT NULL,               -- which labelling paid for it
    request TEXT NOT NULL,           -- JSON: messages, temperature, max_tokens, schema, sample
    text TEXT NOT NULL,
    answered_by TEXT NOT NULL,       -- model named in the reply; "simulated…" if none was asked
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    finish_reason TEXT NOT NULL,
    seconds REAL NOT NULL,
    stored_at REAL NOT NULL          -- seconds since 1970
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replies_of_run ON replies (run, model);
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was paid for."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    """Of all requests, one after the other."""


class Store:
    """The database of replies. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Open or create it.

        Raises:
            StateError: it cannot be opened, is no store, or is of a later version.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._base = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"{path}: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._base.close()
            raise StateError(f"{path} cannot be used as a store of replies: {error}") from None
        except StateError:
            self._base.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT:
            raise StateError(f"{self.path}: format {version}, this program reads {_FORMAT}")
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")  # a paid reply survives a power cut
        if version < _FORMAT:
            with self._base:
                self._base.executescript(_TABLES)
                self._base.execute(f"PRAGMA user_version = {_FORMAT}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._base.close()

    def get(self, key: str) -> Reply | None:
        """Return the reply to a prompt, by its key."""
        columns = "text, answered_by, input_tokens, output_tokens, finish_reason, seconds"
        query = f"SELECT {columns} FROM replies WHERE key = ?"  # noqa: S608  # constant columns
        with self._lock:
            row = self._base.execute(query, (key,)).fetchone()
        return None if row is None else replace(Reply(*row), recorded=True)

    def put(self, prompt: Prompt, model: str, reply: Reply, run: str) -> None:
        """Store a reply; the first one to a prompt stays.

        Raises:
            StateError: it cannot be written (disk full).
        """
        request = {
            "messages": [[message.role, message.text] for message in prompt.messages],
            "temperature": prompt.temperature,
            "max_tokens": prompt.max_tokens,
            "schema": prompt.schema,
            "sample": prompt.sample,
        }
        row = (
            prompt.key(model),
            model,
            prompt.tag,
            _storable(run),
            json.dumps(request),
            reply.text,
            reply.model,
            reply.input_tokens,
            reply.output_tokens,
            reply.finish_reason,
            reply.seconds,
            time.time(),
        )
        marks = ",".join("?" * len(row))
        try:
            with self._lock, self._base:
                self._base.execute(f"INSERT OR IGNORE INTO replies VALUES ({marks})", row)  # noqa: S608  # question marks
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: a reply cannot be stored: {error}") from None

    def spent(self, run: str, model: str) -> Spent:
        """Return what a labelling has paid for so far, in all its runs."""
        query = (
            "SELECT count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), "
            "coalesce(sum(seconds), 0.0) FROM replies WHERE run = ? AND model = ?"
        )
        with self._lock:
            return Spent(*self._base.execute(query, (_storable(run), model)).fetchone())


def _storable(run: str) -> str:
    """Return a run's name as SQLite takes it: paths may hold bytes that are no UTF-8."""
    return run.encode(errors="backslashreplace").decode()


class Recorded:
    """An `Annotator` that asks another one only for what the store lacks."""

    def __init__(self, store: Store, inner: Annotator, run: str = "") -> None:
        self._store = store
        self._inner = inner
        self._run = run

    @property
    def model(self) -> str:
        """That of the annotator behind."""
        return self._inner.model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`. Equal prompts are asked once."""
        outcomes: list[Outcome | None] = []
        places: dict[str, list[int]] = {}
        missing: list[Prompt] = []
        for index, prompt in enumerate(prompts):
            key = prompt.key(self.model)
            known = None if key in places else self._store.get(key)
            outcomes.append(known)
            if known is not None:
                if arrived is not None:
                    arrived(index, known)
                continue
            if key not in places:
                places[key] = []
                missing.append(prompt)
            places[key].append(index)
        spots = list(places.values())

        def came(number: int, outcome: Outcome) -> None:
            if isinstance(outcome, Reply):
                self._store.put(missing[number], self.model, outcome, self._run)
            for index in spots[number]:
                outcomes[index] = outcome
                if arrived is not None:
                    arrived(index, outcome)

        if missing:
            self._inner.ask(missing, came)
        return [each or Failure("no outcome", retryable=True) for each in outcomes]


class Nothing:
    """The `Annotator` behind a store that is all there is: it knows no reply."""

    def __init__(self, model: str, store: Path) -> None:
        self._model = model
        self._store = store

    @property
    def model(self) -> str:
        """Name in the keys of the store."""
        return self._model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """Refuse.

        Raises:
            AnnotatorError: always.
        """
        del arrived
        raise AnnotatorError(
            f"{self._store} lacks {len(prompts):,} replies of {self._model!r}; "
            "give the endpoint that was asked, or the same lines, prompt and options"
        )
