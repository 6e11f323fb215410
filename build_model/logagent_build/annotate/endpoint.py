"""Any OpenAI-compatible endpoint, through the official client; nothing else here imports it.

Guarantees: at most `concurrency` requests at a time and no more per minute than allowed; what may
pass (429, 408, 409, 5xx, dropped connections, timeouts, garbage) is asked again with back-off,
`Retry-After` honoured for all; what an endpoint does not know (JSON schemas, a temperature, the
name of the limit) is left out once it said so; the key is in no message. Leaves remembering
replies to `recorded` and limiting cost to `budget`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import openai
from logagent.sanitise import printable

from logagent_build.annotate import wire
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.limits import Limiter
from logagent_build.annotate.protocol import Arrived, Failure, Outcome, Prompt, Reply
from logagent_build.annotate.retrying import other_dialect, pause, retry_after

__all__ = ["Endpoint", "Settings"]

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSING = frozenset({401, 402, 403, 404})
_QUIET = 10.0  # [s] without an answer that need no word
_SAY_EVERY = 60.0  # [s]
_HOPELESS = 20  # refused prompts, and none answered: it is not the prompts
_MESSAGE = 300  # characters of an endpoint's own words in ours


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how to ask."""

    base_url: str
    """Up to and with ``/v1``."""
    model: str
    key: str = field(default="", repr=False)
    """Sent as bearer token; empty for endpoints that want none."""
    concurrency: int = 8
    """Requests at a time."""
    requests_per_minute: float = 0.0
    """0 is no limit."""
    tokens_per_minute: float = 0.0
    """Of prompts and longest replies together; 0 is no limit."""
    attempts: int = 6
    """For a prompt that fails while others are answered."""
    timeout_seconds: float = 300.0
    """Of one request, until its reply is complete or, streamed, between two pieces."""
    patience_seconds: float = 900.0
    """How long nothing at all may be answered before giving up."""
    stream: bool = False
    """Ask for replies in pieces: for proxies that cut silent connections."""

    @property
    def shown(self) -> str:
        """Address without user, password and query."""
        parts = urlsplit(self.base_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


class Endpoint:
    """An `Annotator` that asks over HTTP."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Prepare it; `say` hears now and then of an endpoint that does not answer."""
        self._settings = settings
        self._clock = clock
        self._wait = wait
        self._say = say
        self._said_at = clock() - _SAY_EVERY
        self._client = openai.OpenAI(
            base_url=settings.base_url,
            api_key=settings.key or "none",  # the client insists on one
            timeout=settings.timeout_seconds,
            max_retries=0,  # ours wait longer, for all threads at once, and can be stopped
        )
        self._requests = Limiter(settings.requests_per_minute, clock)
        self._tokens = Limiter(settings.tokens_per_minute, clock)
        self._dialect = wire.Dialect()
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._stopped = False
        self._not_before = clock()
        self._answered_at = clock()
        self._answered = self._refused = 0

    @property
    def model(self) -> str:
        """The model asked."""
        return self._settings.model

    def stop(self) -> None:
        """Send nothing more; `ask` returns when what is under way has been answered."""
        self._stopped = True
        self._halt.set()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`."""
        outcomes: list[Outcome | None] = [None] * len(prompts)
        order = iter(range(len(prompts)))
        told = threading.Lock()
        self._answered_at = self._clock()
        if not self._stopped:
            self._halt.clear()

        def work() -> None:
            while not self._halt.is_set():
                with told:
                    index = next(order, None)
                if index is None:
                    return
                try:
                    outcome = self._answer(prompts[index])
                    if outcome is None:
                        return
                    with told:
                        outcomes[index] = outcome
                        if arrived is not None:
                            arrived(index, outcome)
                except BaseException:
                    self._halt.set()
                    raise

        workers = max(1, min(self._settings.concurrency, len(prompts)))
        with ThreadPoolExecutor(workers, "endpoint") as pool:
            working = [pool.submit(work) for _ in range(workers)]
            try:
                for each in working:
                    each.result()
            except BaseException:
                self._halt.set()
                raise
        return [each or Failure("stopped before it was asked", retryable=True) for each in outcomes]

    def _answer(self, prompt: Prompt) -> Outcome | None:
        """Ask until there is an outcome; None if stopped before."""
        began = self._clock()
        attempt = 0
        while True:
            attempt += 1
            if self._paused(prompt):
                return None
            try:
                reply = self._send(prompt)
            except _PassingError as trouble:
                with self._lock:
                    answering = self._answered_at > began
                    silent = self._clock() - self._answered_at
                if answering and attempt >= self._settings.attempts:
                    return Failure(str(trouble), retryable=True)
                if trouble.retry_after > self._settings.patience_seconds:
                    raise AnnotatorError(
                        f"{self._settings.shown} asks to come back in {trouble.retry_after:.0f} s: "
                        f"{trouble}; what arrived is stored, run the same command again then"
                    ) from None
                if silent >= self._settings.patience_seconds:
                    raise AnnotatorError(
                        f"{self._settings.shown} has not answered for {silent:.0f} s: {trouble}; "
                        "what arrived is stored, run the same command again to go on"
                    ) from None
                self._complain(silent, trouble)
                if self._wait(self._halt, pause(attempt, trouble.retry_after)):
                    return None
                continue
            except _RefusedError as trouble:
                with self._lock:
                    self._refused += 1
                    hopeless = not self._answered and self._refused >= _HOPELESS
                if hopeless:
                    raise AnnotatorError(
                        f"{self._settings.shown} refuses every request: {trouble}"
                    ) from None
                return Failure(str(trouble), retryable=False)
            with self._lock:
                self._answered += 1
                self._answered_at = self._clock()
            return reply

    def _complain(self, silent: float, trouble: Exception) -> None:
        """Say now and then that nothing is answered."""
        with self._lock:
            now = self._clock()
            if silent < _QUIET or now - self._said_at < _SAY_EVERY:
                return
            self._said_at = now
        self._say(f"{self._settings.shown}: no answer for {silent:.0f} s, trying on ({trouble})")

    def _paused(self, prompt: Prompt) -> bool:
        """Wait for limits and for what `Retry-After` asked for; tell whether to stop instead."""
        asked = sum(wire.tokens_about(message.text) for message in prompt.messages)
        seconds = max(self._requests.reserve(1), self._tokens.reserve(asked + prompt.max_tokens))
        while seconds > 0:
            if self._wait(self._halt, seconds):
                return True
            with self._lock:
                seconds = self._not_before - self._clock()
        return self._halt.is_set()

    def _send(self, prompt: Prompt) -> Reply:
        """Send once, or again in another dialect if the endpoint does not take this one."""
        while True:
            dialect = self._dialect
            try:
                began = self._clock()
                raw = self._request(wire.body(prompt, self.model, dialect))
                reply = wire.reply(raw, prompt, self._clock() - began)
            except openai.APIStatusError as error:
                said = f"{error.param or ''} {error}"
                other = other_dialect(dialect, prompt, error.status_code, said)
                if other is None:
                    raise self._trouble(error) from None
                self._dialect = other  # races only cost another try
            except openai.APITimeoutError:
                raise _PassingError(
                    f"no reply within {self._settings.timeout_seconds:g} s"
                ) from None
            except openai.APIConnectionError as error:
                raise _PassingError(self._words(error.__cause__ or error)) from None
            except openai.APIError as error:  # an error event in a stream
                raise _PassingError(self._words(error)) from None
            except (ValueError, RecursionError, openai.OpenAIError) as error:  # garbage
                raise _PassingError(self._words(error)) from None
            except Exception as error:
                if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore2"):
                    raise _PassingError(self._words(error)) from None  # dropped within a stream
                raise
            else:
                return reply

    def _request(self, body: dict[str, Any]) -> object:
        completions: Any = self._client.chat.completions
        if not self._settings.stream:
            # The raw text: the client takes any JSON, and even HTML, for a completion.
            return json.loads(completions.with_raw_response.create(**body).http_response.text)
        text, finish, usage, model = [], None, None, None
        options = {"include_usage": True}
        with completions.create(**body, stream=True, stream_options=options) as pieces:
            for piece in pieces:
                model, usage = piece.model or model, piece.usage or usage
                for choice in piece.choices or ():
                    text.append(choice.delta.content or "")
                    finish = choice.finish_reason or finish
        if finish is None:
            raise wire.MalformedError("the stream ended before the reply did")
        message = {"message": {"content": "".join(text)}, "finish_reason": finish}
        counted = usage.model_dump() if usage is not None else None
        return {"choices": [message], "usage": counted, "model": model}

    def _trouble(self, error: openai.APIStatusError) -> Exception:
        """Sort what the endpoint says into what passes, what this prompt may not, and the end."""
        status, said = error.status_code, self._words(error)
        where = self._settings.shown
        if status in _REFUSING or error.code == "insufficient_quota":
            hint = {
                401: "; give the key with --key-env or --key-file",
                404: f"; is there a model {self.model!r}, and does the address end in /v1?",
            }.get(status, "")
            return AnnotatorError(f"{where} refuses (HTTP {status}): {said}{hint}")
        if status in _PASSING or status > 500:
            after = retry_after(error.response.headers)
            if after:
                with self._lock:
                    self._not_before = max(self._not_before, self._clock() + after)
            return _PassingError(f"HTTP {status}: {said}", after)
        return _RefusedError(f"HTTP {status}: {said}")

    def _words(self, error: BaseException) -> str:
        """Return an error's own words, short, printable and without the key."""
        said = str(error) or type(error).__name__
        if self._settings.key:
            said = said.replace(self._settings.key, "***")
        return printable(said, _MESSAGE)


class _PassingError(Exception):
    """Trouble that may pass."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class _RefusedError(Exception):
    """The endpoint will never answer this prompt."""
