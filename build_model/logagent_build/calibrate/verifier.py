"""The neural verifier: which labels a network that has just begun to learn does not believe.

MaidLog §III-B1: common features are learnt before single examples are memorised, so that early in
training a wrong label shows as a class the network does not agree with, or as a large loss. The
verifier is the detector of §III-C (encoder, discriminator behind a gradient reversal, one head a
domain; Eq. 7, 8, 10) with the paper's settings for it (§IV-C): AdamW, batches of 200, no SWA.
What is read of an entry is read on the head of its own domain.

Guarantees: the same entries, labels, settings and seed give the same numbers bit for bit (one
thread of torch is used, whatever was set); `Verifier.state` carries a training to another process.
Leaves what to make of the numbers to `candidates` and `stopping`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from logagent_build.calibrate.label_cache import rounded
from logagent_build.maidlog_detector import Cells
from logagent_build.network import Detector
from logagent_build.objectives import (
    adversarial_loss,
    class_weight,
    focal_loss,
    reversal_strength,
    total_loss,
)

__all__ = ["Checked", "Verifier", "Verifying", "check"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verifying:
    """How the verifier learns: the paper's values (§IV-C) unless "open" or "we differ" is said."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the encoder; those of `maidlog_detector.Settings`."""
    discriminator: int = 8
    """Width of the discriminator's hidden layer; likewise."""
    startup_epochs: int = 3
    """Before the first check. Open: the paper says "several"; after ten the adversary, or wrong
    labels that are memorised, tell."""
    epochs: int = 1
    """Before each later check, if the verifier goes on from round to round. Open."""
    batch: int = 200
    """Entries, or lines, of a batch."""
    learning_rate: float = 4e-4
    """Of AdamW, constant."""
    weight_decay: float = 0.01
    """Open; PyTorch's default."""
    gamma: float = 2.0
    """γ of Eq. 7 and 8."""
    beta: float = 1.0
    """β of Eq. 10."""
    whole: int = 600
    """Epochs of which a training's progress k in λ of Eq. 9 is a share: the detector's (§IV-C)."""
    class_weights: bool = False
    """True weighs classes by Eq. 12, as the detector does; we differ: as printed it weighs the
    normal class more, so that the verifier's class is "normal" wherever labels are in doubt."""
    by_lines: bool = False
    """True deals every line of an entry, as the paper does; we differ: a template with a thousand
    lines is memorised in the first epoch, right or wrong, so each entry counts once."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.startup_epochs, self.batch, self.whole) < 1 or self.epochs < 0:
            raise ValueError("startup epochs, batch and whole: at least 1; epochs: at least 0")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the verifier makes of entries and their labels."""

    probability: Floats
    """That an entry is anomalous, on its domain's head: float64 (n,), in [0, 1]."""
    loss: Floats
    """Cross entropy [nats] of its rounded label: float64 (n,), at least 0. Within a class it sorts
    as Eq. 7 does, whose weights are the same there."""

    @property
    def anomalous(self) -> npt.NDArray[np.bool_]:
        """The verifier's class of each entry: bool (n,)."""
        return self.probability >= 0.5


class Verifier:
    """A verifier in training.

    It may be trained on, from round to round (§IV-G, "without reinitializing the verifier"), with
    labels that have changed meanwhile. Memory: O(n·d).
    """

    def __init__(
        self,
        vectors: npt.NDArray[np.float32],
        domain: Integers,
        count: Integers,
        settings: Verifying,
        seed: int,
    ) -> None:
        """Make one that has learnt nothing.

        Args:
            vectors: of the entries, float32 (n, d), of unit length.
            domain: system of each, an index from 0: int64 (n,).
            count: lines of each, int64 (n,).
            settings: see there.
            seed: of weights and batches.
        """
        # Numbers of unit size, not vectors of unit length: or the first epochs learn biases only.
        scaled = np.asarray(vectors, np.float32) * np.float32(np.sqrt(vectors.shape[1]))
        self._vectors = torch.from_numpy(scaled)
        self._domain = np.asarray(domain, np.int64)
        self._count = np.asarray(count, np.int64)
        self._settings = settings
        self._seed = seed
        self.epochs = 0
        """Epochs trained so far."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._detector = Detector(
                vectors.shape[1],
                settings.hidden,
                settings.discriminator,
                int(self._domain.max()) + 1,
                0.0,
            )
        self._optimiser = torch.optim.AdamW(
            self._detector.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def train(self, labels: Floats, epochs: int) -> None:
        """Learn from labels for some epochs.

        Args:
            labels: soft, float64 (n,), in [0, 1]; rounded by Eq. 3.
            epochs: at least 0.
        """
        with _one_thread():
            cells = self._cells(rounded(labels))
            for _ in range(epochs):
                self._epoch(cells)

    def check(self, labels: Floats) -> Checked:
        """Return what it makes of all entries.

        Args:
            labels: soft, float64 (n,), in [0, 1]; rounded by Eq. 3.
        """
        with _one_thread(), torch.no_grad():
            votes, _ = self._detector(self._vectors)  # (n, n_d)
            own = votes.gather(1, torch.from_numpy(self._domain)[:, None])[:, 0].double()  # (n,)
            wanted = torch.from_numpy(rounded(labels).astype(np.float64))
            loss = functional.binary_cross_entropy_with_logits(own, wanted, reduction="none")
            return Checked(torch.sigmoid(own).numpy(), loss.numpy())

    def state(self) -> bytes:
        """Return weights, optimiser and epochs, for `restore`."""
        held = io.BytesIO()
        torch.save(
            {
                "detector": self._detector.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "epochs": self.epochs,
            },
            held,
        )
        return held.getvalue()

    def restore(self, state: bytes) -> None:
        """Go on where another verifier of the same entries and settings was.

        Raises:
            ValueError: the state is of another kind of verifier, or no state at all.
        """
        try:
            held = torch.load(io.BytesIO(state), weights_only=True)
            self._detector.load_state_dict(held["detector"])
            self._optimiser.load_state_dict(held["optimiser"])
            self.epochs = int(held["epochs"])
        except Exception as error:  # torch raises what its parts raise
            raise ValueError(f"not the state of this verifier: {type(error).__name__}") from None

    def _cells(self, anomalous: npt.NDArray[np.bool_]) -> Cells:
        soft = anomalous.astype(np.float32)
        alpha = np.full(int(self._domain.max()) + 1, 0.5)
        times = self._count if self._settings.by_lines else np.ones_like(self._count)
        for each in np.unique(self._domain) if self._settings.class_weights else ():
            of_domain = self._domain == each
            alpha[each] = class_weight(np.repeat(soft[of_domain], times[of_domain]))
        return Cells(
            self._vectors,
            torch.from_numpy(self._domain),
            torch.from_numpy(soft),
            torch.from_numpy(alpha[self._domain].astype(np.float32)),
            np.repeat(np.arange(len(soft)), times),
        )

    def _epoch(self, cells: Cells) -> None:
        settings = self._settings
        random = np.random.default_rng([self._seed, self.epochs])  # no state to carry
        steps = -(-len(cells.lines) // settings.batch)
        for step, (chosen, share) in enumerate(cells.batches(random, settings.batch)):
            progress = (self.epochs + step / steps) / settings.whole
            loss = self._loss(cells, chosen, share, reversal_strength(min(1.0, progress)))
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            self._optimiser.step()
        self.epochs += 1

    def _loss(self, cells: Cells, chosen: Tensor, share: Tensor, strength: float) -> Tensor:
        """Return Eq. 10 of one batch: Eq. 7 on each entry's own head, Eq. 8 behind Eq. 9."""
        settings = self._settings
        domain = cells.domain[chosen]  # (b,)
        votes, discriminated = self._detector(cells.embedding[chosen], strength)  # (b, n_d) each
        own = votes.gather(1, domain[:, None])[:, 0]  # (b,)
        entry = focal_loss(own, cells.soft[chosen], settings.gamma, cells.normal_weight[chosen])
        adversarial = adversarial_loss(discriminated, domain, settings.gamma)
        return total_loss((share * entry).sum(), (share * adversarial).sum(), settings.beta)


def check(
    vectors: npt.NDArray[np.float32],
    domain: Integers,
    labels: Floats,
    count: Integers,
    settings: Verifying,
    seed: int,
) -> Checked:
    """Train a new verifier for its startup epochs and check the labels it was trained on.

    Args:
        vectors: of the entries, float32 (n, d), of unit length.
        domain: system of each, an index from 0: int64 (n,).
        labels: soft, float64 (n,), in [0, 1]; rounded by Eq. 3.
        count: lines of each, int64 (n,).
        settings: see there.
        seed: of weights and batches.
    """
    verifier = Verifier(vectors, domain, count, settings, seed)
    verifier.train(labels, settings.startup_epochs)
    return verifier.check(labels)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads come in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
