"""Which labelled sequences stand in a prompt as examples: in-context learning (FlexLog §2.3).

``balanced``: as many anomalous as normal ones, drawn once, of as many kinds as possible; the same
in every prompt. ``similar``: for each sequence the nearest of either class, by the cosine of the
logarithms of event counts. Guarantees: no sequence is an example for itself, which would tell its
label, and whose votes could not be compared with labels; otherwise both classes stand in every
prompt that has at least two examples, if both were given; no example twice; the same seed draws the
same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from logagent.errors import ConfigError
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # ships no types

from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.prompt import Shot
from logagent_build.sequences.llm.sequence_keys import keys

__all__ = ["SELECTIONS", "Shots", "named"]

SELECTIONS = ("balanced", "similar")


def named(data: Sequences, at: int) -> tuple[str, ...]:
    """Return the names of a sequence's events."""
    return tuple(data.vocabulary[number] for number in data.events[at].tolist())


class Shots:
    """Chooses examples among labelled sequences."""

    def __init__(self, data: Sequences, count: int, how: str = "balanced", seed: int = 0) -> None:
        """Prepare it.

        Args:
            data: labelled sequences; of equal ones the first counts.
            count: examples of a prompt.
            how: one of `SELECTIONS`.
            seed: of what is drawn.

        Raises:
            ConfigError: there is no such way to choose.
        """
        if how not in SELECTIONS:
            raise ConfigError(f"examples {how!r} are none of {', '.join(SELECTIONS)}")
        first: dict[bytes, int] = {}
        for at, key in enumerate(keys(data)):
            first.setdefault(key, at)
        self._data = data.only(list(first.values()))
        self._count = min(count, len(first))
        self._column: dict[str, int] = {}
        self._drawn: tuple[Shot, ...] | None = None
        if how == "balanced":
            self._drawn = self._balanced(seed)
        elif self._count:
            self._column = {name: at for at, name in enumerate(self._data.vocabulary)}
            self._names = [named(self._data, at) for at in range(len(self._data))]
            self._vectors = self._matrix(self._names)

    def __call__(self, names: Sequence[str]) -> tuple[Shot, ...]:
        """Return the examples for a sequence, the nearest last."""
        names = tuple(names)
        if self._drawn is not None:
            return tuple(shot for shot in self._drawn if shot.names != names)
        if not self._count:
            return ()
        near = np.asarray((self._vectors @ self._matrix([names]).T).todense()).ravel()
        others = [at for at in range(len(near)) if self._names[at] != names]
        order = sorted(others, key=lambda at: (-near[at], at))
        of_class = [[at for at in order if self._data.anomalous[at] == label] for label in (0, 1)]
        chosen = self._shares(of_class)
        return tuple(self._shot(at) for at in sorted(chosen, key=lambda at: (near[at], -at)))

    def _balanced(self, seed: int) -> tuple[Shot, ...]:
        source = random.Random(seed)  # noqa: S311  # no secret
        of_class: list[list[int]] = []
        for label in (False, True):
            kinds: dict[str, list[int]] = {}
            for at in np.flatnonzero(self._data.anomalous == label).tolist():
                kinds.setdefault(self._data.kinds[at], []).append(at)
            for members in kinds.values():
                source.shuffle(members)
            turn = [members[row] for row in range(len(self._data)) for members in kinds.values()
                    if row < len(members)]  # fmt: skip
            of_class.append(turn)
        chosen = self._shares(of_class)
        source.shuffle(chosen)
        return tuple(self._shot(at) for at in chosen)

    def _shares(self, of_class: Sequence[list[int]]) -> list[int]:
        """Take half of either class, more of one if the other has too few."""
        normal, anomalous = of_class
        few = min(len(anomalous), max(self._count // 2, self._count - len(normal)))
        return [*normal[: self._count - few], *anomalous[:few]]

    def _shot(self, at: int) -> Shot:
        return Shot(named(self._data, at), bool(self._data.anomalous[at]))

    def _matrix(self, sequences: Sequence[Sequence[str]]) -> csr_matrix:
        """Return float64 (n, vocabulary) of unit rows; events never seen lengthen a row only."""
        values: list[float] = []
        columns: list[int] = []
        ends = [0]
        for names in sequences:
            counts = Counter(names)
            weights = {name: float(np.log1p(count)) for name, count in counts.items()}
            length = float(np.sqrt(sum(weight**2 for weight in weights.values()))) or 1.0
            for name, weight in weights.items():
                if name in self._column:
                    columns.append(self._column[name])
                    values.append(weight / length)
            ends.append(len(values))
        return csr_matrix((values, columns, ends), shape=(len(sequences), len(self._column)))
