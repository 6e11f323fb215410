"""The offline way: requests to OpenAI Batch JSONL files, responses from them.

Guarantees: requests are named by their prompts' keys, so responses may come in any order, twice,
in several files, or not at all: what is missing or failed in passing is written out again, what
was refused is a failure. Request files are replaced atomically. With `Recorded` in front,
responses are stored as they are read, and need be given once only.

Format: one object a line, `custom_id`, `method`, `url`, `body`; responses have `custom_id` and
`response` (`status_code`, `body`) or `error`. OpenAI, Azure and `vllm run-batch` take and give it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError
from logagent.sanitise import printable

from logagent_build.annotate import wire
from logagent_build.annotate.errors import AnnotatorError, WaitForResponses
from logagent_build.annotate.protocol import Arrived, Failure, Outcome, Prompt

__all__ = ["BatchFiles"]

FILE_REQUESTS = 50_000  # OpenAI takes no more in a file
FILE_BYTES = 190_000_000  # [bytes] OpenAI takes 200 MB
_URL = "/v1/chat/completions"
_OK = 200
_REFUSED = range(400, 500)
_HOPELESS = 20  # refused requests, and none answered: it is not the prompts
_NOTHING = Prompt((), 0.0, 1)  # whether a body is a completion does not depend on what was asked
_MAY_PASS = frozenset({401, 402, 403, 404, 408, 409, 425, 429})


class BatchFiles:
    """An `Annotator` whose prompts are answered by whoever takes the files.

    Attributes:
        counts: of response lines: ``used``, ``duplicates``, ``failed`` (asked again), ``refused``,
            ``unreadable``.
    """

    def __init__(
        self,
        model: str,
        requests: Path,
        responses: Sequence[Path] = (),
        dialect: wire.Dialect | None = None,
    ) -> None:
        """Read the responses there are.

        Args:
            model: to put in the requests.
            requests: file to write; further ones get ``-2``, ``-3``, … before the suffix.
            responses: files to read.
            dialect: of the parameters of requests.

        Raises:
            ConfigError: a file holds no response at all.
            OSError: a file of responses cannot be read.
        """
        self._model = model
        self._requests = requests
        self._dialect = dialect
        self._bodies: dict[str, object] = {}
        self._refused: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        for path in responses:
            self._read(path)

    @property
    def model(self) -> str:
        """The model put in the requests."""
        return self._model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """Answer from the responses.

        Raises:
            WaitForResponses: some are missing; their requests were written.
            AnnotatorError: there are only refusals, many of them.
            OSError: they cannot be written.
        """
        if len(self._refused) >= _HOPELESS and not self._bodies:
            said = next(iter(self._refused.values()))
            raise AnnotatorError(f"every response says that its request was refused: {said}")
        outcomes: list[Outcome] = []
        missing: dict[str, Prompt] = {}
        for index, prompt in enumerate(prompts):
            key = prompt.key(self._model)
            outcome = self._outcome(key, prompt)
            if outcome is None:
                missing[key] = prompt
                outcome = Failure("awaited", retryable=True)
            elif arrived is not None:
                arrived(index, outcome)
            outcomes.append(outcome)
        if missing:
            raise WaitForResponses(len(missing), self._write(missing))
        return outcomes

    def _outcome(self, key: str, prompt: Prompt) -> Outcome | None:
        if key in self._bodies:
            try:
                return wire.reply(self._bodies[key], prompt, 0.0)
            except wire.MalformedError:
                self.counts["unreadable"] += 1
                return None
        refused = self._refused.get(key)
        return None if refused is None else Failure(refused, retryable=False)

    def doubtful(self) -> str:
        """Say which lines of the responses answer nothing; empty if all do."""
        said = (
            ("unreadable", "are no responses"),
            ("failed", "failed, and are asked again"),
            ("refused", "were refused"),
        )
        found = [f"{self.counts[name]:,} {what}" for name, what in said if self.counts[name]]
        return f"lines of --responses: {', '.join(found)}" if found else ""

    def _read(self, path: Path) -> None:
        before = self.counts.copy()
        with path.open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                try:
                    raw = json.loads(line)
                    self._take(str(raw["custom_id"]), raw)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    self.counts["unreadable"] += 1
        if set(new := self.counts - before) == {"unreadable"}:
            raise ConfigError(f"{path}: none of its {new.total():,} lines is a response")

    def _take(self, key: str, raw: dict[str, Any]) -> None:
        response = raw.get("response") or {}
        error = raw.get("error")
        status = response.get("status_code", _OK if response else 0)
        body = response.get("body", response)  # some servers leave the envelope out
        if error is None and status == _OK:
            self.counts["duplicates" if key in self._bodies else "used"] += 1
            if not _readable(self._bodies.get(key)):  # a later response may be
                self._bodies[key] = body
        elif status in _REFUSED and status not in _MAY_PASS:
            self.counts["refused"] += 1
            self._refused[key] = f"HTTP {status}: {printable(json.dumps(error or body), 200)}"
        else:
            self.counts["failed"] += 1

    def _write(self, missing: dict[str, Prompt]) -> list[Path]:
        paths: list[Path] = []
        for data in _parts(missing, self._model, self._dialect):
            number = len(paths) + 1
            stem, suffix = self._requests.stem, self._requests.suffix or ".jsonl"
            name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
            path = self._requests.with_name(name)
            files.replace(path, data, mode=0o600)  # log lines: for their owner alone
            paths.append(path)
        return paths


def _readable(body: object) -> bool:
    try:
        wire.reply(body, _NOTHING, 0.0)
    except wire.MalformedError:
        return False
    return True


def _parts(missing: dict[str, Prompt], model: str, dialect: wire.Dialect | None) -> Iterator[bytes]:
    """Yield the contents of request files, each within the limits of a batch."""
    lines: list[bytes] = []
    size = 0
    for key, prompt in missing.items():
        request = {
            "custom_id": key,
            "method": "POST",
            "url": _URL,
            "body": wire.body(prompt, model, dialect),
        }
        line = json.dumps(request).encode() + b"\n"
        if lines and (len(lines) == FILE_REQUESTS or size + len(line) > FILE_BYTES):
            yield b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    yield b"".join(lines)
