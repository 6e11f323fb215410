"""Sequences written as words, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from logagent_build.annotate.protocol import Arrived, Outcome, Prompt, Reply
from logagent_build.sequences.data import Sequences


def sequences(*rows: str, name: str = "test") -> Sequences:
    """Make sequences of rows such as ``open read close`` or ``attack! open execve``."""
    vocabulary: dict[str, int] = {}
    events, kinds = [], []
    for row in rows:
        kind, bang, words = row.rpartition("!")
        kinds.append(kind if bang else "normal")
        events.append(
            np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words.split()],
                     dtype=np.int32)
        )  # fmt: skip
    anomalous = np.array([kind != "normal" for kind in kinds])
    return Sequences(name, events, anomalous, tuple(kinds), tuple(vocabulary))


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text, "fake-1", 10, 1, finish, 0.0)


class Fake:
    """Answers with a function of the prompt; keeps prompts and the sizes of exchanges."""

    model = "fake"

    def __init__(self, answer: Callable[[Prompt], Outcome]) -> None:
        self._answer = answer
        self.prompts: list[Prompt] = []
        self.waves: list[int] = []

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        self.waves.append(len(prompts))
        self.prompts += prompts
        outcomes = [self._answer(prompt) for prompt in prompts]
        for index, outcome in enumerate(outcomes):
            if arrived is not None:
                arrived(index, outcome)
        return outcomes
