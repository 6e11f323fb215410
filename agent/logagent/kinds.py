"""What a flagged template is about: its category, and the known systems it resembles.

Two linear models on the embedding, asked for reported groups only. They explain; no score hangs
on them. A bundle without them explains nothing, and says so by returning nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from logagent.bundle import Bundle
from logagent.embedding import EmbeddingConfig
from logagent.errors import BundleError
from logagent.model import Floats, decode_arrays, dense

__all__ = ["Kind", "Kinds"]

SYSTEMS = 2  # named per template
_LEAST_CATEGORY = 0.35  # probability from which a category is named: chance is 0.11
_LEAST_SYSTEM = 0.05  # likewise for systems, of which there are hundreds


@dataclass(frozen=True, slots=True)
class Kind:
    """What the words of a template point to."""

    category: str = ""
    """One of the bundle's categories, such as ``storage``; empty if none stands out."""
    systems: tuple[str, ...] = ()
    """Training systems with lines of that kind, the nearest first; at most `SYSTEMS`."""


class Kinds:
    """The explaining models of a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        """Read them from a bundle.

        Raises:
            BundleError: they do not fit its names.
        """
        self._arrays = {
            name: array
            for name, array in decode_arrays(bundle.part("weights")).items()
            if name.startswith(("categories.", "systems."))
        }
        self._categories = bundle.manifest.categories
        self._systems = bundle.manifest.systems
        try:
            dim = EmbeddingConfig.from_dict(bundle.manifest.embedding).dim
            for part, names in (("categories", self._categories), ("systems", self._systems)):
                self._check(part, names, dim)
        except (KeyError, ValueError) as error:
            raise BundleError(f"bundle {bundle.path}: unusable explanation: {error}") from None

    def _check(self, part: str, names: list[str], dim: int) -> None:
        if not names:
            return
        weight, bias = dense(self._arrays, part)
        if weight.shape != (dim, len(names)) or bias.shape != (len(names),):
            raise ValueError(
                f"{part}: {len(names)} names, weight {weight.shape}, bias {bias.shape}, "
                f"embeddings of {dim}"
            )

    def of(self, embedding: Floats) -> Kind:
        """Return the kind of one template.

        Args:
            embedding: float32 (dim,).
        """
        category = self._likely("categories", self._categories, embedding, 1, _LEAST_CATEGORY)
        systems = self._likely("systems", self._systems, embedding, SYSTEMS, _LEAST_SYSTEM)
        return Kind(category[0] if category else "", tuple(systems))

    def _likely(
        self, part: str, names: list[str], embedding: Floats, most: int, least: float
    ) -> list[str]:
        """Return the likeliest names, of a probability of at least `least`."""
        if not names:
            return []
        weight, bias = dense(self._arrays, part)  # widened when asked for, not kept: few groups ask
        share = _softmax(embedding @ weight + bias)
        best = np.argsort(-share, kind="stable")[:most].tolist()
        return [names[index] for index in best if share[index] >= least]


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max())
    share: Floats = raised / raised.sum()
    return share
