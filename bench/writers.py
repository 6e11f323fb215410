"""The programs that write logs in the soak, and the logrotate that takes the logs from them.

Each `Writer` appends to one log at full speed, in bursts, and rotates it in the ways of its
`Habit`. The first and the last line of every file are anomalous, so that a report shows what
happened at its edges; of those between, one in `every`.

What no reader could deliver is not asked for. Nothing is written between copy and cut of a
copytruncate. A file is deleted only after its last line was reported. A symbolic link is swapped
only after the agent has saved that it knows the present target, which nothing but the link names.
A rotated file is removed only after the agent has saved that it is past it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import logrotate
from ledger import Ledger, Mark
from numbered import HEADER, line

KEPT = 7  # rotated files of a log, as a `rotate 7` keeps
ROTATION_SECONDS = (0.5, 5.0)  # between two rotations of a log
LATE_SECONDS = 1.0  # at most, in which lines still go to a renamed file
GAP_SECONDS = 0.2  # at most, in which a renamed log is missing
PAUSE_SECONDS = 0.2  # at most, in the middle of a line
PATIENCE_SECONDS = 15.0  # for the agent to report a line before the writer goes on without it
_TORN = 0.2  # share of bursts whose last line is written in two parts
_WRITE_BYTES = 64 * 1024  # [bytes] in one write, as of a program with a buffer
_NAP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Burst:
    """How many lines are written at once."""

    share: float
    """Of all bursts."""
    fewest: int
    most: int


BURSTS = (Burst(0.5, 1, 20), Burst(0.4, 100, 2_000), Burst(0.1, 1, 1))


@dataclass(frozen=True, slots=True)
class Habit:
    """How one log is rotated."""

    name: str
    kinds: tuple[str, ...]
    naming: logrotate.Name = logrotate.numbered
    header: bytes = b""


HABITS = (
    Habit("renamed", ("rename", "rename, late lines", "rename, gap", "rename twice")),
    Habit("packed", ("rename, gzip", "rename, gzip twice", "rename, gzip delayed")),
    Habit("copied", ("copytruncate",)),
    Habit("copypacked", ("copytruncate", "copytruncate, gzip"), logrotate.dated),
    Habit("dated", ("rename", "rename, late lines", "rename twice"), logrotate.dated),
    Habit("linked", ("symlink swap",)),
    Habit("deleted", ("delete and create",)),
    Habit("mixed", ("rename", "rename, late lines", "copytruncate", "rename, gzip")),
    Habit("headed", ("rename", "copytruncate", "rename, gzip"), header=HEADER),
)


class Watched(Protocol):
    """What a writer needs to know of the agent, and how fast it may write."""

    def allowed(self) -> int:
        """How many lines all writers together may have written by now."""
        ...

    def down(self) -> bool:
        """Whether no agent runs."""
        ...

    def reported(self, numbers: Iterable[int]) -> bool:
        """Whether these lines were reported."""
        ...

    def saved(self, numbers: Iterable[int]) -> bool:
        """Whether these lines were reported and the position was saved since."""
        ...


class Writer:
    """One log, written and rotated by a thread of its own until `finish`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        habit: Habit,
        ledger: Ledger,
        watched: Watched,
        *,
        every: int,
        seed: str,
        note: Callable[[str], None],
    ) -> None:
        """Create the log, empty.

        Args:
            folder: where it lies.
            name: its name without `.log`.
            habit: how it is rotated.
            ledger: where its lines get their numbers.
            watched: what is known of the agent.
            every: one line in so many is anomalous.
            seed: of its random decisions.
            note: is told of every rotation.
        """
        self.name = name
        self.rotations: Counter[tuple[str, bool]] = Counter()
        """By kind and whether the agent was down."""
        self.inodes_reused = 0
        self.failure: BaseException | None = None
        """Why it ended before it was asked to."""
        self._path = folder / f"{name}.log"
        self._habit = habit
        self._ledger = ledger
        self._watched = watched
        self._every = every
        self._random = random.Random(seed)
        self._note = note
        self._asked = threading.Event()  # to rotate now
        self._ended = threading.Event()
        self._generation = 0
        self._targets = 0
        self._fresh = True  # nothing but a header was written to the present file
        self._marks: list[int] = []  # of the present file
        self._kept: list[list[int]] = []  # of the rotated ones, the oldest first
        self._file = self._create()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def finish(self) -> None:
        """Ask it to end; `join` waits for it."""
        self._ended.set()

    def join(self) -> None:
        """Wait until all is written."""
        self._thread.join()

    def rotate_now(self) -> None:
        """Ask for a rotation without waiting for its time."""
        self._asked.set()

    def _run(self) -> None:
        try:
            due = self._due()
            while not self._ended.is_set():
                if self._asked.is_set() or time.monotonic() > due:
                    self._asked.clear()
                    self._rotate(self._random.choice(self._habit.kinds))
                    self._prune()
                    due = self._due()
                elif self._ledger.lines < self._watched.allowed():
                    self._burst()
                else:
                    time.sleep(_NAP_SECONDS)
            if not self._fresh:
                self._edge("last")
        except BaseException as error:  # the soak asks for it, and must not end without knowing
            self.failure = error
            raise
        finally:
            os.close(self._file)

    def _due(self) -> float:
        return time.monotonic() + self._random.uniform(*ROTATION_SECONDS)

    # --- writing

    def _burst(self) -> None:
        burst = self._random.choices(BURSTS, [burst.share for burst in BURSTS])[0]
        left = self._watched.allowed() - self._ledger.lines
        count = min(self._random.randint(burst.fewest, burst.most), max(left, 1))
        data = bytearray()
        if self._fresh:
            data += self._numbered("first")
        for number in self._ledger.take(count):
            anomalous = self._random.random() * self._every < 1
            data += self._lined(number, "inside" if anomalous else "")
            if len(data) > _WRITE_BYTES:
                self._write(data)
                data.clear()
        if self._random.random() < _TORN and len(data) > 2:
            at = len(data) - self._random.randrange(1, min(len(data), 60))
            self._write(data[:at])
            time.sleep(self._random.uniform(0, PAUSE_SECONDS))
            data = data[at:]
        self._write(data)

    def _edge(self, place: str) -> None:
        """Write one anomalous line."""
        self._write(self._numbered(place))

    def _numbered(self, place: str) -> bytes:
        return self._lined(self._ledger.take(1)[0], place)

    def _lined(self, number: int, place: str) -> bytes:
        """A line with its newline; `place` marks it as anomalous."""
        if place:
            self._ledger.marks[number] = Mark(self._path.name, self._generation, place)
            self._marks.append(number)
        # In one write with the first line: a reader that stopped right after a header could not
        # tell what became of that file from any other with the same header.
        header = self._habit.header if self._fresh else b""
        self._fresh = False
        return header + line(number, anomalous=bool(place)) + b"\n"

    def _write(self, data: bytes | bytearray, file: int | None = None) -> None:
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                at += os.write(self._file if file is None else file, view[at:])

    def _create(self, path: Path | None = None) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if path is None and self._habit.kinds == ("symlink swap",):
            self._path.symlink_to(self._target().name)
        return os.open(path or self._path, flags, 0o644)

    # --- rotating

    def _rotate(self, kind: str) -> None:
        if self._fresh and self._random.random() < 0.8:  # most rotated files are not empty
            self._edge("first")
        if not self._fresh:
            self._edge("last")
        if kind == "delete and create":
            self._delete()
        elif kind == "symlink swap":
            self._swap()
        elif kind.startswith("copytruncate"):
            self._copy(kind)
        else:
            self._rename(kind)
            if kind.endswith("twice"):
                if self._random.random() < 0.7:
                    self._edge("first")
                self._rename(kind)

    def _rename(self, kind: str) -> None:
        packed, late = "gzip" in kind, "late" in kind
        if kind.endswith("delayed"):  # what was rotated last time is compressed this time
            before = [path for path in logrotate.rotated(self._path) if path.suffix != ".gz"]
            for path in before:
                logrotate.compress(path)
            packed = False
        half = b""
        if late:
            whole = self._numbered("late")
            half = whole[len(whole) // 2 :]
            self._write(whole[: len(whole) // 2])
        self._count(kind)
        renamed = logrotate.rename(self._path, self._habit.naming)
        if kind.endswith("gap"):
            time.sleep(self._random.uniform(0, GAP_SECONDS))
        old, self._file = self._file, self._create()
        marks = self._turn()
        if late:
            self._late(old, half, marks)
        os.close(old)
        if packed:
            logrotate.compress(renamed)

    def _late(self, old: int, half: bytes, marks: list[int]) -> None:
        """Go on writing to the renamed file while the new one is written already."""
        self._edge("first")
        for _ in range(2):
            time.sleep(self._random.uniform(0, LATE_SECONDS / 2))
            number = self._ledger.take(1)[0]
            self._ledger.marks[number] = Mark(self._path.name, self._generation - 1, "late")
            marks.append(number)
            self._write(half + line(number, anomalous=True) + b"\n", old)
            half = b""

    def _copy(self, kind: str) -> None:
        self._count(kind)
        copy = logrotate.copy_truncate(self._path, self._habit.naming)
        self._turn()
        if kind.endswith("gzip"):
            logrotate.compress(copy)

    def _swap(self) -> None:
        if not self._wait(lambda: self._watched.saved(self._marks[:1])):
            return
        target = self._target()
        file = self._create(target)
        self._count("symlink swap")
        logrotate.swap_link(self._path, target)
        os.close(self._file)
        self._file = file
        self._turn()

    def _delete(self) -> None:
        while_down = self._random.random() < 0.5
        if not self._wait(lambda: self._watched.reported(self._marks)):
            return
        if while_down:
            self._wait(self._watched.down)
        before = self._path.stat().st_ino
        self._count("delete and create")
        self._path.unlink()
        os.close(self._file)
        self._file = self._create()
        self.inodes_reused += os.fstat(self._file).st_ino == before
        self._turn()
        self._kept.clear()  # nothing is left of it
        self._edge("first")

    def _wait(self, ready: Callable[[], bool]) -> bool:
        limit = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            if self._ended.is_set() or time.monotonic() > limit:
                return False
            time.sleep(_NAP_SECONDS)
        return True

    def _turn(self) -> list[int]:
        """The present file has become an old one; its marks."""
        self._generation += 1
        self._fresh = True
        self._kept.append(self._marks)
        self._marks = []
        return self._kept[-1]

    def _count(self, kind: str) -> None:
        down = self._watched.down()
        self.rotations[kind, down] += 1
        self._note(f"{self._path.name} {self._generation} {kind}{', down' if down else ''}")

    def _target(self) -> Path:
        self._targets += 1
        return self._path.with_name(f"{self.name}.target-{self._targets:04d}")

    def _prune(self) -> None:
        """Remove the oldest of the rotated files while there are too many."""
        while len(self._kept) > KEPT and self._watched.saved(self._kept[0]):
            if self._habit.kinds == ("symlink swap",):
                oldest = min(self._path.parent.glob(f"{self.name}.target-*"))
            else:
                oldest = logrotate.rotated(self._path)[0]
            oldest.unlink()
            self._kept.pop(0)
