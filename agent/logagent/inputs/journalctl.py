"""journalctl, kept running beside the agent.

Guarantees: nothing waits, but for `close`. When journalctl ends it is started again, after a second
first, a minute at most; one that is not installed is looked for rarely and reported once. An
option that an old journalctl does not know is left out at the next try.

Left to others: what it is asked for, and what its output means (`logagent.inputs.journal`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from logagent.inputs import Report
from logagent.inputs.child import Child
from logagent.inputs.journal_entries import FIELDS
from logagent.sanitise import printable

__all__ = ["FIRST_DELAY_SECONDS", "LAST_DELAY_SECONDS", "MISSING_SECONDS", "Journalctl"]

FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 1.0, 60.0
"""[s] Until journalctl is started again; twice as long each time that it brought nothing."""

MISSING_SECONDS = 600.0
"""[s] Until a journalctl that is not installed is looked for again."""

_STUCK_SECONDS = 1.0  # from the end of its output until it is killed
_REAP_SECONDS = 0.02  # between looks at whether it has ended; it has closed its output by then


class Journalctl:
    """Starts journalctl, again and again; gives its output."""

    def __init__(
        self,
        report: Report,
        command: str,
        units: Sequence[str],
        refused: Callable[[], bool],
    ) -> None:
        """Start nothing yet.

        Args:
            report: see `Report`.
            command: journalctl, found in PATH, or the path to it.
            units: read only entries of these units; all if empty.
            refused: called when it does not take the cursor; tells whether there is another way.
        """
        self.fruitful = False
        """Set this when an entry came: the next start is then soon."""
        self.restarts = 0
        """How often it has ended."""
        self._report = report
        self._command = command
        self._units = tuple(units)
        self._refused = refused
        self._select = True  # whether it knows --output-fields
        self._child: Child | None = None
        self._due = -math.inf
        self._delay = FIRST_DELAY_SECONDS
        self._missing = False
        self._ended_at: float | None = None  # when its output ended

    @property
    def running(self) -> bool:
        """Whether its output can be read."""
        return self._child is not None and self._ended_at is None

    def ready(self, now: float, where: Callable[[], Sequence[str]]) -> bool:
        """Start it if that is due, with the options of `where`; tell whether it is running."""
        if self._ended_at is not None:
            self._bury(now)
        if self._child is None and now >= self._due:
            self._start(now, where())
        return self.running

    def read(self, now: float) -> bytes | None:
        """Return up to 64 KiB of what it wrote; None if nothing is there, or it has ended."""
        if self._child is None or self._ended_at is not None:
            return None
        self._hear(self._child)
        data = self._child.read()
        if data == b"":
            self._ended_at = now
            self._bury(now)
            return None
        return data

    def descriptors(self) -> list[int]:
        """Return its output and errors while it runs."""
        if self._child is None or self._ended_at is not None:
            return []
        return [self._child.output, self._child.errors]

    def deadline(self, now: float) -> float:
        """Return when `ready` has something to do [s]."""
        if self._ended_at is not None:
            return now + _REAP_SECONDS
        return max(self._due, now) if self._child is None else math.inf

    def close(self) -> None:
        """End it, in a second at the longest, and do not start it again."""
        child, self._child = self._child, None
        self._ended_at = None
        self._due = math.inf
        if child is not None:
            child.close()

    def _start(self, now: float, where: Sequence[str]) -> None:
        fixed = [self._command, "--output=json", "--all", "--follow", "--no-pager"]
        fields = [f"--output-fields={','.join(FIELDS)}"] if self._select else []
        units = [f"--unit={unit}" for unit in self._units]
        self.fruitful = False
        try:
            self._child = Child([*fixed, *fields, *where, *units])
        except FileNotFoundError:
            self._due = now + MISSING_SECONDS
            if not self._missing:
                again = f"it is looked for again every {MISSING_SECONDS:.0f} s"
                self._report("no-journal", f"journal: {self._command} is not installed; {again}")
            self._missing = True
        except (OSError, ValueError) as error:  # EAGAIN, EMFILE, ENOMEM may pass; EACCES
            again = self._later(now)
            what = f"cannot start {self._command}: {error}; {again}"
            self._report("journal-stopped", f"journal: {what}")
        else:
            self._missing = False

    def _hear(self, child: Child) -> None:
        """Pass on what it complains of: journal files it cannot read, as a rule."""
        said = child.hear().strip()
        if said:
            text = printable(b"; ".join(said.splitlines()), 300)
            self._report("journal-message", f"journal: {self._command} says: {text}")

    def _bury(self, now: float) -> None:
        """See off a journalctl that has closed its output; it may need a moment to end."""
        child = self._child
        if child is None or self._ended_at is None:
            return
        code = child.ended()
        if code is None:
            if now - self._ended_at > _STUCK_SECONDS:
                child.kill()
            return
        self._hear(child)
        child.close()
        self._child = self._ended_at = None
        self.restarts += 1
        if code and not self.fruitful and self._learnt(child.complaint):
            self._due = now
            return
        what = f"{self._command} ended with code {code}; {self._later(now)}"
        self._report("journal-stopped", f"journal: {what}")

    def _learnt(self, complaint: bytes) -> bool:
        """Tell whether it refused an option that can be done without."""
        if b"output-fields" in complaint and self._select:  # systemd before 236
            self._select = False
            return True
        return b"cursor" in complaint and self._refused()

    def _later(self, now: float) -> str:
        """Put off the next start; say so."""
        self._delay = FIRST_DELAY_SECONDS if self.fruitful else self._delay
        self._due = now + self._delay
        self._delay = min(2 * self._delay, LAST_DELAY_SECONDS)
        return f"it is started again in {self._due - now:.0f} s"
