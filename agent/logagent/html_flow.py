"""The events of one sequence as drawings: all in one, and each in a lane of its own.

The first line is on the left. In the drawing of all, each event has a height of its own, so that a
sequence has a shape. Where events stand that carried the verdict, a class colours them.

Guarantees: nothing but numbers and names of classes is in a drawing; at most `_COLUMNS` columns, so
a lane has 2 kB at most; no style attribute, so that a page may forbid them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Flow"]

_COLUMNS: Final = 160  # of a drawing: on a phone two pixels each
_LEAST_COLUMNS: Final = 16  # a sequence of two events is no wall
_HEIGHT: Final = 20
_ROWS: Final = 8  # heights in the drawing of all
_LEAST_MARK: Final = 7  # of the drawing of all: what carried the verdict is seen among a thousand
_PLAIN: Final = "c0"

Events = npt.NDArray[np.int32]


class Flow:
    """The drawings of one sequence."""

    def __init__(self, events: Events, *, folded: bool) -> None:
        """Take a sequence.

        Args:
            events: int32 (length,), in order.
            folded: whether there were more in its middle.
        """
        self._events = events
        self._columns = min(len(events), _COLUMNS)
        self._width = max(self._columns, _LEAST_COLUMNS)
        self._folded = folded

    def others(self, but: Collection[int]) -> list[int]:
        """Return its events but some, each once, the one that comes first first."""
        events, first = np.unique(self._events, return_index=True)
        return [int(e) for e in events[np.argsort(first, kind="stable")] if int(e) not in but]

    def places(self, events: Iterable[int]) -> list[int]:
        """Return where these events stand, from 0."""
        return [int(at) for at in np.flatnonzero(np.isin(self._events, list(events)))]

    def lane(self, places: Iterable[int], colour: str = _PLAIN) -> str:
        """Return the drawing of what stands at some places; a dashed line where nothing does."""
        columns = self._columns_of(places)
        if not columns:
            middle = _HEIGHT // 2
            path = _line(0, self._width, middle, middle)
        else:
            path = f'<path class="{colour}" d="{_bars(columns, 3, _HEIGHT - 6)}"/>'
        return self._drawing(path)

    def whole(self, marks: Mapping[int, str]) -> str:
        """Return the drawing of all; `marks` are places with the class that colours them."""
        rows: dict[int, set[int]] = {}
        row_of: dict[int, int] = {}
        for at, event in enumerate(self._events.tolist()):
            row = row_of.setdefault(event, min(len(row_of), _ROWS - 1))
            rows.setdefault(row, set()).update(self._columns_of([at]))
        step = _HEIGHT / max(min(len(row_of), _ROWS), 1)
        parts = []
        plain = "".join(
            _bars(columns, _HEIGHT - (row + 1) * step, step) for row, columns in rows.items()
        )
        parts.append(f'<path class="{_PLAIN}" d="{plain}"/>')
        coloured: dict[str, str] = {}
        for at, colour in sorted(marks.items()):
            if not 0 <= at < len(self._events):
                continue
            row = row_of[int(self._events[at])]
            high = max(step, _LEAST_MARK)
            top = min(_HEIGHT - (row + 1) * step, _HEIGHT - high)
            coloured.setdefault(colour, "")
            coloured[colour] += _bars(self._columns_of([at]), top, high)
        parts += [f'<path class="{name}" d="{path}"/>' for name, path in coloured.items()]
        return self._drawing("".join(parts))

    def _columns_of(self, places: Iterable[int]) -> set[int]:
        count = max(len(self._events), 1)
        return {at * self._columns // count for at in places if 0 <= at < count}

    def _drawing(self, content: str) -> str:
        fold = ""
        if self._folded:
            middle = self._columns // 2
            fold = _line(middle, middle, 0, _HEIGHT)
        return (
            f'<svg class="lane" viewBox="0 0 {self._width} {_HEIGHT}" preserveAspectRatio="none" '
            f'aria-hidden="true">{content}{fold}</svg>'
        )


def _line(x1: int, x2: int, y1: int, y2: int) -> str:
    return (
        f'<line class="file" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" '
        'vector-effect="non-scaling-stroke"/>'
    )


def _bars(columns: Iterable[int], top: float, height: float) -> str:
    """Return the path of some columns; those side by side are one bar."""
    path, runs = [], list[list[int]]()
    for column in sorted(columns):
        if runs and runs[-1][1] == column:
            runs[-1][1] = column + 1
        else:
            runs.append([column, column + 1])
    for start, stop in runs:
        wide = f"{stop - start - 0.2:.1f}"
        path.append(f"M{start + 0.1:.1f} {top:.1f}h{wide}v{height:.1f}h-{wide}z")
    return "".join(path)
