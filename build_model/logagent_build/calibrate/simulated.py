r"""Whoever answers queries, simulated: no model is asked, and how it errs is stated here in full.

Each line i has a truth tᵢ = ±1 (+1 anomalous) and a *margin* mᵢ, positive if the line is read right
when nothing else is shown:

    mᵢ = zᵢ - √(1 + σ²) Φ⁻¹(rate of its class),   zᵢ ~ N(0, 1)

so that a plain answer, given with the noise below, is wrong with the stated rate. zᵢ is the
*kind's* for a share `by_kind` of the lines (kinds: groups of lines with like vectors): whoever
misreads one of them misreads them all, and their like are no help. The others have a zᵢ of their
own. The answer to a query is "anomalous" if

    tᵢ mᵢ + E + B + σ ε > 0,   ε ~ N(0, 1) anew for each different query,  σ = `noise`

with evidence E and bias B, 0 in plain queries but for few-shot examples, which count as induce:

* induce: E = w Σⱼ sⱼ yⱼ / (s₀ + Σⱼ sⱼ), with yⱼ = ±1 the label *shown* of example j,
  sⱼ = exp((cos(i, j) - 1) / h), h = 0.1, s₀ = 0.1: near examples pull to their labels, wrong
  labels mislead, and examples that are like nothing say nothing.
* filter: E = w (¼ - Σⱼ sⱼ / (s₀ + Σⱼ sⱼ)): a line that is like the "likely normal" ones is pulled
  to normal by up to ¾ w, one that is like none of them to anomalous by up to ¼ w.
* refine: E = tᵢ cᵢ, cᵢ ~ N(c, c²/4) drawn once for each line: what stands around it tells more of
  the truth, for a few lines less.
* B = b in induce, filter and refine, for lines of *ambiguous* kinds: a share a of the kinds, drawn
  once. With b > 0 the more is asked, the more normal lines of these kinds become anomalous.

Four modes: `HELPFUL` (w = 3, c = 1.5, b = 0), `USELESS` (w = c = b = 0: evidence changes nothing
but the noise), `OVER` (as helpful, with a = 0.35 and b = 6): it corrects and corrupts, and
`CORRUPTING` (`by_kind` = 0.5, a = 0.5, b = 4): it corrupts from the beginning.

Guarantees: seeded, the same query has the same answer; a line without a truth has no answer.
Everything made with it says that it is a simulation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.queries import Answer, Query

__all__ = ["CORRUPTING", "HELPFUL", "MODES", "OVER", "USELESS", "Errors", "Simulated", "kinds"]

_WIDTH, _NOTHING = 0.1, 0.1  # h and s₀
_NORMAL = NormalDist()
_KIND = 8  # entries of a kind, about


@dataclass(frozen=True, slots=True)
class Errors:
    """How the simulation errs; the symbols are the module's."""

    wrong_normal: float = 0.2
    """Rate of the normal class, in (0, 1)."""
    wrong_anomalous: float = 0.2
    by_kind: float = 0.2
    """Share of the lines whose error is their kind's, in [0, 1]."""
    noise: float = 0.5
    """σ."""
    examples: float = 3.0
    """w."""
    context: float = 1.5
    """c."""
    ambiguous: float = 0.0
    """a, in [0, 1]."""
    bias: float = 0.0
    """b."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (0 < self.wrong_normal < 1 and 0 < self.wrong_anomalous < 1):
            raise ValueError("rates of a simulation are between 0 and 1")
        if not (0 <= self.by_kind <= 1 and 0 <= self.ambiguous <= 1) or self.noise < 0:
            raise ValueError("shares of a simulation are in [0, 1], its noise is not negative")


HELPFUL = Errors()
USELESS = Errors(examples=0.0, context=0.0)
OVER = Errors(ambiguous=0.35, bias=6.0)
CORRUPTING = Errors(by_kind=0.5, ambiguous=0.5, bias=4.0)
MODES = {"helpful": HELPFUL, "useless": USELESS, "over": OVER, "corrupting": CORRUPTING}


class Simulated:
    """An `AskQueries` without a model."""

    def __init__(
        self,
        truth: Mapping[str, bool],
        kind: Mapping[str, int],
        vectors: Mapping[str, npt.NDArray[np.float32]],
        errors: Errors = HELPFUL,
        seed: int = 0,
    ) -> None:
        """Prepare it.

        Args:
            truth: label of each line, as queries show it.
            kind: of each line.
            vectors: of each line, of unit length.
            errors: see there.
            seed: of everything drawn.
        """
        self._truth, self._kind, self._vectors = truth, kind, vectors
        self._errors = errors
        self._seed = seed
        self._normal = lru_cache(maxsize=1 << 16)(self._drawn)

    @classmethod
    def of(
        cls,
        entries: Entries,
        truth: npt.NDArray[np.bool_],
        shown: Sequence[str],
        errors: Errors = HELPFUL,
        seed: int = 0,
    ) -> Simulated:
        """Make one that knows the first line of each entry.

        Args:
            entries: with their vectors, from which `kinds` makes the kinds.
            truth: bool (n,).
            shown: text of each entry's line in queries.
            errors: see there.
            seed: of everything drawn.
        """
        kind = kinds(entries.vectors)
        return cls(
            dict(zip(shown, truth.tolist(), strict=True)),
            dict(zip(shown, kind.tolist(), strict=True)),
            dict(zip(shown, entries.vectors, strict=True)),
            errors,
            seed,
        )

    @property
    def name(self) -> str:
        """Says that it is a simulation, and of what."""
        errors = self._errors
        return (
            f"simulated: {errors.wrong_normal:g} of normal and {errors.wrong_anomalous:g} of "
            f"anomalous lines wrong, {errors.by_kind:g} by kind, noise {errors.noise:g}, examples "
            f"{errors.examples:g}, context {errors.context:g}, {errors.ambiguous:g} ambiguous with "
            f"bias {errors.bias:g}, seed {self._seed}"
        )

    def __call__(self, queries: Sequence[Query], /) -> list[Answer]:
        """Answer by the stated model."""
        return [self._answer(query) for query in queries]

    def _answer(self, query: Query) -> Answer:
        truth = self._truth.get(query.line)
        if truth is None:
            return Answer(None)
        sign = 1.0 if truth else -1.0
        shown = (query.line, query.kind, query.examples, query.sequence, query.sample)
        anew = self._drawn("ask", shown)
        logit = sign * self.margin(query.line) + self._evidence(query, sign)
        return Answer(logit + self._errors.noise * anew > 0, "simulated")

    def margin(self, line: str) -> float:
        """Return mᵢ of a line of known truth."""
        errors = self._errors
        rate = errors.wrong_anomalous if self._truth[line] else errors.wrong_normal
        of_kind = _NORMAL.cdf(self._normal("whose", line)) < errors.by_kind
        drawn = self._normal("kind", self._kind[line]) if of_kind else self._normal("line", line)
        return drawn - float(np.sqrt(1 + errors.noise**2)) * _NORMAL.inv_cdf(rate)

    def _evidence(self, query: Query, sign: float) -> float:
        errors = self._errors
        if query.kind == "plain" and not query.examples:
            return 0.0
        bias = 0.0
        if _NORMAL.cdf(self._normal("ambiguous", self._kind[query.line])) < errors.ambiguous:
            bias = errors.bias
        if query.kind == "refine":
            told = errors.context * (1.0 + 0.5 * self._normal("context", query.line))
            return sign * told + bias
        known = [(line, label) for line, label in query.examples if line in self._vectors]
        if not known:
            return bias
        table = np.array([self._vectors[line] for line, _ in known])
        near = np.exp((table @ self._vectors[query.line] - 1.0) / _WIDTH)
        if query.kind == "filter":
            return errors.examples * (0.25 - float(near.sum() / (_NOTHING + near.sum()))) + bias
        labels = np.array([1.0 if label else -1.0 for _, label in known])
        return errors.examples * float((near * labels).sum() / (_NOTHING + near.sum())) + bias

    def _drawn(self, what: str, of: object) -> float:
        """Return a standard normal number that is the same for the same arguments and seed."""
        data = repr((self._seed, what, of)).encode(errors="replace")
        number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
        return _NORMAL.inv_cdf((number + 0.5) / 2**64)


def kinds(vectors: npt.NDArray[np.float32], size: int = _KIND) -> npt.NDArray[np.int64]:
    """Group entries of like vectors, about `size` to a kind: int64 (n,). Always the same."""
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415  # a second to import
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    with threadpool_limits(1):
        found = MiniBatchKMeans(
            max(1, len(vectors) // size), random_state=0, n_init=1, batch_size=1024
        ).fit_predict(vectors)
    return np.asarray(found, np.int64)
