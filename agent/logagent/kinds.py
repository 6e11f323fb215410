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
        arrays = decode_arrays(bundle.part("weights"))
        try:
            dim = EmbeddingConfig.from_dict(bundle.manifest.embedding).dim
        except ValueError as error:
            raise BundleError(f"bundle {bundle.path}: {error}") from None
        self._models: list[tuple[list[str], Floats, Floats]] = []
        names = {"categories": bundle.manifest.categories, "systems": bundle.manifest.systems}
        for part, known in names.items():
            if not known:
                continue
            try:
                weight, bias = dense(arrays, part)
            except (KeyError, ValueError) as error:
                raise BundleError(f"bundle {bundle.path}: unusable {part}: {error}") from None
            if weight.shape != (dim, len(known)) or bias.shape != (len(known),):
                raise BundleError(
                    f"bundle {bundle.path}: unusable {part}: {len(known)} names, "
                    f"weight {weight.shape}, bias {bias.shape}, embeddings of {dim}"
                )
            self._models.append((known, weight, bias))
        self._named = [part for part, known in names.items() if known]

    def of(self, embedding: Floats) -> Kind:
        """Return the kind of one template.

        Args:
            embedding: float32 (dim,).
        """
        found: dict[str, list[tuple[str, float]]] = {"categories": [], "systems": []}
        for part, (known, weight, bias) in zip(self._named, self._models, strict=True):
            share = _softmax(embedding @ weight + bias)
            best = np.argsort(-share, kind="stable")[:SYSTEMS].tolist()
            found[part] = [(known[index], float(share[index])) for index in best]
        category = [name for name, share in found["categories"][:1] if share >= _LEAST_CATEGORY]
        systems = [name for name, share in found["systems"] if share >= _LEAST_SYSTEM]
        return Kind(category[0] if category else "", tuple(systems))


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max())
    share: Floats = raised / raised.sum()
    return share
