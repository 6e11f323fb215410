"""An endpoint asked by a process of its own, which outlives the one that labels.

A request that was sent is going to be paid for. If the labelling process is killed (kill -9 of it
or of its whole process group, a closed terminal, Ctrl-C), the courier, in a session of its own,
sends nothing more, awaits what is under way, stores it and ends. Whoever continues waits for the
store's lock, held by the courier, and then finds those replies stored.

Guarantees: a reply that reaches this machine is stored, and its prompt never asked again, unless
the courier itself is killed or the machine stops; one courier at a time asks for a store.

    parent → courier, JSON lines: settings; prompts…, "go"; prompts…, "go"; end of file
    courier → parent: {"index", "outcome"}…, {"done"} or {"error"}; {"say"} at any time
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from logagent.errors import LogagentError, StateError

from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.protocol import (
    Arrived,
    Failure,
    Message,
    Outcome,
    Prompt,
    Reply,
)
from logagent_build.annotate.recorded import Recorded, Store

if TYPE_CHECKING:
    from logagent_build.annotate.endpoint import Settings

__all__ = ["Courier", "main"]

_LOCK_SECONDS = 0.05  # between two tries for the lock of the store
_WAITING = "an earlier run is still storing replies that were under way; waiting for it"
_ANYBODY = contextlib.suppress(BrokenPipeError, ValueError)
"""Around telling the parent: it may be gone, which must stop nothing that is under way."""


class Courier:
    """An `Annotator` that has an endpoint asked by another process."""

    def __init__(
        self,
        settings: Settings,
        store: Path,
        run: str = "",
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._run = run
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def model(self) -> str:
        """The model asked."""
        return self._settings.model

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`."""
        outcomes: list[Outcome] = [Failure("no outcome", retryable=True)] * len(prompts)
        process = self._started()
        ended = False
        try:
            for prompt in prompts:
                _write(process.stdin, dataclasses.asdict(prompt))
            _write(process.stdin, {"go": True})
            while True:
                said = json.loads(process.stdout.readline() or b"null")  # type: ignore[union-attr]  # a pipe
                ended = said is None or "error" in said
                if said is None:
                    raise AnnotatorError(
                        f"the process that asks the endpoint ended (exit code {process.wait()}); "
                        "what arrived is stored, run the same command again to go on"
                    )
                if "say" in said:
                    self._say(said["say"])
                elif "error" in said:
                    kind = StateError if said["state"] else AnnotatorError
                    raise kind(said["error"])
                elif "done" in said:
                    return outcomes
                else:
                    index, outcome = said["index"], _outcome(said["outcome"])
                    outcomes[index] = outcome
                    if arrived is not None:
                        arrived(index, outcome)
        except BaseException:
            self.close(wait=ended)  # what is under way may take minutes, and needs nobody
            raise

    def close(self, *, wait: bool = True) -> None:
        """Let the courier finish what is under way and end; wait for that or not."""
        if self._process is None:
            return
        with _ANYBODY:
            self._process.stdin.close()  # type: ignore[union-attr]  # a pipe
        if wait:
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]  # a pipe
        if not wait:
            self._process.returncode = 0  # it goes on by itself; nobody will ask how it ended
        self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: the folder it is called in may hold anything, modules too.
                [sys.executable, "-P", "-m", "logagent_build.annotate.courier"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C and kill of the process group pass it by
            )
            settings = dataclasses.asdict(self._settings)  # through the pipe: `ps` shows no key
            first = {"settings": settings, "store": str(self._store), "run": self._run}
            _write(self._process.stdin, first)
        return self._process


def _write(pipe: IO[bytes] | None, value: object) -> None:
    assert pipe is not None  # noqa: S101  # it was asked for
    try:
        pipe.write(json.dumps(value).encode() + b"\n")
        pipe.flush()
    except BrokenPipeError:
        raise AnnotatorError("the process that asks the endpoint has ended") from None


def _outcome(raw: dict[str, Any]) -> Outcome:
    return Failure(**raw) if "reason" in raw else Reply(**raw)


def _prompt(raw: dict[str, Any]) -> Prompt:
    messages = tuple(Message(**message) for message in raw.pop("messages"))
    return Prompt(messages, **raw)


class _Parent:
    """The process that labels, as the courier sees it."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._out = sys.stdout.buffer
        self._telling = threading.Lock()
        self.on_gone: Callable[[], None] = lambda: None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            if not line.endswith(b"\n"):  # killed while writing
                break
            self._lines.put(json.loads(line))
        self.gone.set()
        self._lines.put(None)
        self.on_gone()

    def next(self) -> dict[str, Any] | None:
        """Wait for what it says; None if it is gone."""
        return self._lines.get()

    def tell(self, value: object) -> None:
        """Tell it, if it is still there."""
        with _ANYBODY, self._telling:
            self._out.write(json.dumps(value).encode() + b"\n")
            self._out.flush()

    def prompts(self) -> list[Prompt] | None:
        """Wait for the next prompts; None if it is gone."""
        prompts: list[Prompt] = []
        while (said := self.next()) is not None:
            if "go" in said:
                return prompts
            prompts.append(_prompt(said))
        return None


def main() -> None:
    """Serve the parent on standard input and output until it is gone."""
    parent = _Parent()
    first = parent.next()
    if first is None:
        return
    try:
        _serve(parent, first)
    except LogagentError as error:
        parent.tell({"error": str(error), "state": isinstance(error, StateError)})
    except OSError as error:
        parent.tell({"error": str(error), "state": True})


def _serve(parent: _Parent, first: dict[str, Any]) -> None:
    from logagent_build.annotate.endpoint import Endpoint, Settings  # noqa: PLC0415  # slow

    path = Path(first["store"])
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _locked(lock, parent):
        return
    endpoint = Endpoint(Settings(**first["settings"]), say=lambda text: parent.tell({"say": text}))
    parent.on_gone = endpoint.stop
    if parent.gone.is_set():
        return
    with Store(path) as store:
        annotator = Recorded(store, endpoint, first["run"])

        def came(index: int, outcome: Outcome) -> None:
            parent.tell({"index": index, "outcome": dataclasses.asdict(outcome)})

        while (prompts := parent.prompts()) is not None:
            annotator.ask(prompts, came)
            parent.tell({"done": True})


def _locked(lock: int, parent: _Parent) -> bool:
    """Wait for the store to be free; False if the parent was gone before."""
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not told:
                parent.tell({"say": _WAITING})
                told = True
        if parent.gone.wait(_LOCK_SECONDS):
            return False


if __name__ == "__main__":
    code = 1
    try:
        main()
        code = 0
    except Exception:
        traceback.print_exc()
    # Python's own farewell would wait for the thread that listens, and complain of a closed pipe.
    os._exit(code)
