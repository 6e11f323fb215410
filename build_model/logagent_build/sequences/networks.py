"""Baselines with a deep network, small: DeepLog's LSTM and a CNN (§4.2.3).

Training is kept short for one core, and what is cut is said here: the LSTM learns from at most
`LSTM_WINDOWS` distinct windows for `LSTM_EPOCHS` epochs and looks at no more than `LSTM_LOOKS`
windows of a sequence, spread evenly; the CNN sees the first `CNN_LENGTH` events of distinct
sequences for `CNN_EPOCHS` epochs. Full training might do better.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from logagent_build.sequences.choosing import distinct
from logagent_build.sequences.data import Events, Sequences
from logagent_build.sequences.voters import Scores, Votes

__all__ = ["CNN", "DeepLog"]

WINDOW = 10  # events that predict the next: DeepLog's h
CANDIDATES = 9  # an event among so many likeliest ones is normal: DeepLog's g
LSTM_WINDOWS = 20_000
LSTM_EPOCHS = 3
LSTM_LOOKS = 40
LSTM_WIDTH = 64
CNN_LENGTH = 200
CNN_EPOCHS = 6
CNN_WIDTH = 16  # of an event's vector
CNN_FILTERS = 32  # of each of three widths: Lu et al. have 128
BATCH = 256

Windows = npt.NDArray[np.int64]


class DeepLog:
    """Two LSTM layers predict the next event; normal sequences teach it (Du et al., 2017)."""

    name = "DeepLog"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, train: Sequences) -> Self:
        """Learn what follows what in normal sequences."""
        torch.manual_seed(self.seed)
        random = np.random.default_rng([self.seed, 7])
        events = len(train.vocabulary)
        normal = [train.events[at] for at in np.flatnonzero(~train.anomalous)]
        windows = np.concatenate([_windows(each, events, LSTM_LOOKS) for each in normal])
        windows = np.unique(windows, axis=0)
        windows = random.permutation(windows)[:LSTM_WINDOWS]
        self._net = _Next(events + 1)
        rate = torch.optim.Adam(self._net.parameters(), 1e-3)
        for _ in range(LSTM_EPOCHS):
            for part in np.array_split(random.permutation(windows), -(-len(windows) // BATCH)):
                both = torch.from_numpy(part)
                rate.zero_grad()
                loss = nn.functional.cross_entropy(self._net(both[:, :-1]), both[:, -1])
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
                rate.step()
        return self

    def score(self, test: Sequences) -> Scores:
        """Return the share of windows whose next event was not among the likeliest: (n,)."""
        events = len(test.vocabulary)
        looks = [_windows(each, events, LSTM_LOOKS) for each in test.events]
        every, back = np.unique(np.concatenate(looks), axis=0, return_inverse=True)
        wrong = np.zeros(len(every), dtype=np.bool_)
        with torch.no_grad():
            for start in range(0, len(every), 4096):
                both = torch.from_numpy(every[start : start + 4096])
                likely = self._net(both[:, :-1]).topk(min(CANDIDATES, events)).indices
                wrong[start : start + 4096] = ~(likely == both[:, -1:]).any(dim=1).numpy()
        lengths = [len(each) for each in looks]
        parts = np.split(wrong[back.ravel()], np.cumsum(lengths)[:-1])
        return np.array([part.mean() if len(part) else 0.0 for part in parts])

    def predict(self, test: Sequences) -> Votes:
        """Vote "anomalous" where a single window is wrong: (n,)."""
        return self.score(test) > 0


class _Next(nn.Module):
    def __init__(self, events: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(events, LSTM_WIDTH // 2)
        self.memory = nn.LSTM(LSTM_WIDTH // 2, LSTM_WIDTH, 2, batch_first=True)
        self.out = nn.Linear(LSTM_WIDTH, events)

    def forward(self, before: torch.Tensor) -> torch.Tensor:  # (B, WINDOW) → (B, events)
        held: torch.Tensor = self.out(self.memory(self.vectors(before))[0][:, -1])
        return held


def _windows(events: Events, padding: int, most: int) -> Windows:
    """Return windows and what follows them, spread evenly: int64 (at most `most`, WINDOW + 1)."""
    filled = np.concatenate([np.full(WINDOW, padding, np.int64), events])
    every = np.lib.stride_tricks.sliding_window_view(filled, WINDOW + 1)
    if len(every) > most:
        every = every[np.linspace(0, len(every) - 1, most).astype(np.int64)]
    return np.ascontiguousarray(every)


class CNN:
    """Convolutions of three widths over vectors of events, the largest of each (Lu, 2018)."""

    name = "CNN"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, train: Sequences) -> Self:
        """Learn from labelled sequences."""
        torch.manual_seed(self.seed)
        random = np.random.default_rng([self.seed, 8])
        once = train.only(distinct(train))
        table = _table(once)
        labels = once.anomalous.astype(np.float32)
        self._net = _Convolutions(len(train.vocabulary) + 1)
        rate = torch.optim.Adam(self._net.parameters(), 5e-3)
        for _ in range(CNN_EPOCHS):
            order = random.permutation(len(once))
            for part in np.array_split(order, -(-len(order) // 64)):
                rate.zero_grad()
                logits = self._net(torch.from_numpy(table[part]))
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits, torch.from_numpy(labels[part])
                )
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
                rate.step()
        self._net.eval()
        return self

    def score(self, test: Sequences) -> Scores:
        """Return the probability of "anomalous" of each: (n,)."""
        table = _table(test)
        with torch.no_grad():
            parts = [
                torch.sigmoid(self._net(torch.from_numpy(table[start : start + BATCH]))).numpy()
                for start in range(0, len(table), BATCH)
            ]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)

    def predict(self, test: Sequences) -> Votes:
        """Return the vote on each: (n,), true is anomalous."""
        return self.score(test) > 0.5


class _Convolutions(nn.Module):
    def __init__(self, events: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(events, CNN_WIDTH, padding_idx=events - 1)
        self.filters = nn.ModuleList(
            nn.Conv1d(CNN_WIDTH, CNN_FILTERS, width, padding=width // 2) for width in (3, 4, 5)
        )
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(3 * CNN_FILTERS, 1)

    def forward(self, events: torch.Tensor) -> torch.Tensor:  # (B, CNN_LENGTH) → (B,)
        held = self.vectors(events).transpose(1, 2)  # (B, CNN_WIDTH, CNN_LENGTH)
        most = [torch.relu(each(held)).amax(dim=2) for each in self.filters]
        logits: torch.Tensor = self.out(self.drop(torch.cat(most, dim=1)))[:, 0]
        return logits


def _table(data: Sequences) -> Windows:
    """Return the first events of each, filled up with one more event: int64 (n, CNN_LENGTH)."""
    length = min(CNN_LENGTH, max((len(each) for each in data.events), default=1))
    table = np.full((len(data), max(length, 6)), len(data.vocabulary), np.int64)
    for row, events in zip(table, data.events, strict=True):
        row[: len(events[:length])] = events[:length]
    return table
