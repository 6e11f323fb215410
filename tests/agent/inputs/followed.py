"""A reader of followed files with a clock of its own, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
from logagent.inputs.files import Files


class Followed:
    """What the agent does with `Files`, without a model: every line is kept."""

    def __init__(self, *patterns: str | Path, **options: Any) -> None:
        self.patterns = [str(pattern) for pattern in patterns]
        self.options = {"from_start": True} | options
        self.saved: Any = self.options.pop("saved", None)
        self.now = 1000.0
        self.reports: list[tuple[str, str]] = []
        self.ids: list[tuple[bytes, int]] = []
        self.sources: list[str] = []
        self.start()

    def start(self) -> None:
        self.files = Files(
            self.patterns,
            lambda kind, message: self.reports.append((kind, message)),
            saved=self.saved,
            clock=lambda: self.now,
            **self.options,
        )

    def lines(self, seconds: float = 100.0, *, accept: bool = True) -> list[str]:
        """Poll until nothing comes, once more `seconds` later, and when a trace is due."""
        got: list[str] = []
        for wait in (0.0, seconds, 0.6 if seconds > 1 else 0.0):
            self.now += wait
            for _ in range(1000):
                self.files.wants_save = False
                found = False
                for batch in self.files.poll(self.now):
                    found = True
                    for number, line in enumerate(batch.block.lines()):
                        self.ids.append((batch.fingerprint, batch.block.line_offset(number)))
                        self.sources.append(batch.source)
                        got.append(line.decode("utf-8", "replace"))
                    if not accept:
                        return got
                    self.files.accepted(batch)
                if not (
                    found or self.files.wants_save or self.files.deadline(self.now) <= self.now
                ):
                    break
                self.now += 0.001
            else:
                raise AssertionError("never quiet")
        return got

    def save(self) -> None:
        """Write the state as the agent does, through msgpack."""
        self.saved = msgpack.unpackb(msgpack.packb(dict(self.files.state())))

    def restart(self, *, save: bool = True) -> None:
        """Stop, and start again from the last saved state."""
        if save:
            self.save()
        self.files.close()
        self.start()

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.reports}
