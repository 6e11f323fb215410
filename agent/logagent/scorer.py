"""Templates to scores: tokenise, embed, run the detector, in small batches.

Guarantees: a template's score does not depend on the templates beside it (to 1e-6); at most
`BATCH` embeddings are held at once. Scores lie in [0, 1]; 1 is anomalous.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from logagent.bundle import Bundle
from logagent.embedding import Embedding
from logagent.errors import BundleError
from logagent.model import Floats, load_backend
from logagent.normalise import NORMALISER_VERSION

__all__ = ["BATCH", "Scorer"]

BATCH = 256  # templates per forward pass: beyond it speed no longer grows, memory does


class Scorer:
    """The whole model of a bundle, ready to score."""

    def __init__(self, bundle: Bundle, backend: str = "auto") -> None:
        """Build tokenizer, table and detector.

        Raises:
            BundleError: the bundle does not fit this agent.
            BackendError: the backend asked for cannot run here.
        """
        if bundle.manifest.normaliser != NORMALISER_VERSION:
            raise BundleError(
                f"bundle {bundle.path}: made with normaliser {bundle.manifest.normaliser}, "
                f"this agent has {NORMALISER_VERSION}; build the bundle again or install the "
                "logagent it was made with"
            )
        self.bundle = bundle
        self.backend = load_backend(bundle, backend)
        self.embedding = Embedding.from_bundle(bundle)
        self._probe()

    def _probe(self) -> None:
        """Score one line, so that parts that do not fit together are found before any log is."""
        expected = (1,), (1, len(self.bundle.manifest.domains))
        try:
            scores, domains = self.run([b"probe: error # of #"])
        except Exception as error:  # numpy and onnxruntime each have their own for a wrong shape
            raise BundleError(f"bundle {self.bundle.path}: unusable weights: {error}") from None
        if (scores.shape, domains.shape) != expected:
            raise BundleError(
                f"bundle {self.bundle.path}: gives scores {scores.shape} and domains "
                f"{domains.shape}, not {expected[0]} and {expected[1]}"
            )
        if not (np.isfinite(scores).all() and np.isfinite(domains).all()):
            raise BundleError(f"bundle {self.bundle.path}: gives scores that are no numbers")

    def scores(self, templates: Sequence[bytes]) -> Floats:
        """Score templates (`logagent.normalise.templates`).

        Returns:
            float32 (n,), in [0, 1], 1 is anomalous.
        """
        return self.run(templates)[0]

    def run(self, templates: Sequence[bytes]) -> tuple[Floats, Floats]:
        """Score templates and tell which source systems they resemble.

        Returns:
            Scores, float32 (n,), and domain weights, float32 (n, n_d), rows sum to 1.
        """
        scores, domains = [], []
        for at in range(0, len(templates), BATCH):
            part = self.backend.run(self.embedding.embed(templates[at : at + BATCH]))
            scores.append(part[0])
            domains.append(part[1])
        if not scores:
            return np.zeros(0, np.float32), np.zeros((0, len(self.bundle.manifest.domains)), "f4")
        return np.concatenate(scores), np.concatenate(domains)
