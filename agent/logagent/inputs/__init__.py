"""Where lines come from while the agent runs: followed files, standard input, journal, syslog.

Every input speaks `Input`. Guarantees asked of each: `poll` never blocks and does bounded work; a
batch that was not accepted is given again by the next `poll`; what `state` returns holds accepted
batches only, so that whoever saves it and starts again from it sees every later line again and no
earlier one. Trouble with a log is counted and reported, never raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from logagent.blocks import Block

__all__ = ["Batch", "Input", "Report"]

Report = Callable[[str, str], None]
"""Tells the operator of trouble: (kind, message). `kind` is a short word that is counted, such as
``unreadable``; `message` is a sentence that names the source. The receiver limits repeats."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines of one source, in order."""

    source: str
    """Name of the source, as shown in records: a path, ``-``, ``journal``, ``syslog:udp:…``."""
    fingerprint: bytes
    """What sets apart the ids of lines of this source from those of any other: 8 to 16 bytes, equal
    when the same lines are read again after a restart."""
    block: Block
    """The lines; `Block.first_line` and `Block.offset` go on from batch to batch."""
    mark: Any = None
    """Whatever the input needs to know in `accepted`."""


class Input(Protocol):
    """One kind of input. One thread uses it."""

    name: str
    """Key of its saved state, unique in the agent."""
    wants_save: bool
    """Whether the state should be saved before the next `poll`; the caller sets it back."""

    def poll(self, now: float) -> Iterator[Batch]:
        """Yield what is there; return soon, whether or not there is more.

        The caller may stop iterating at any batch. After every batch it either calls `accepted`
        with it before it asks for the next one, or stops.

        Args:
            now: a monotonic clock [s].
        """
        ...

    def accepted(self, batch: Batch) -> None:
        """Every sink has taken what came of `batch`: move on."""
        ...

    def descriptors(self) -> list[int]:
        """Return the file descriptors that become readable when `poll` has something to do."""
        ...

    def deadline(self, now: float) -> float:
        """Return when `poll` is due though no descriptor woke us [s, the clock of `poll`].

        `now` if there is more to read already, ``math.inf`` if never.
        """
        ...

    def ended(self) -> bool:
        """Tell whether nothing can ever come any more (end of standard input)."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return what `restore` of another process needs: msgpack types only, bounded."""
        ...

    def status(self) -> list[dict[str, Any]]:
        """Return one JSON-able dict per source: name, lines, bytes, lag, counters."""
        ...

    def close(self) -> None:
        """Let go of everything; state is read before."""
        ...
