"""Annotators without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logagent_build.annotate.fence import read_block
from logagent_build.annotate.protocol import Arrived, Failure, Outcome, Prompt, Reply

from .server import Model


def reply(text: str, finish: str = "stop", tokens: int = 1) -> Reply:
    return Reply(text, "fake-1", tokens, tokens, finish, 0.0)


class Fake:
    """Answers with a function of prompt and number; a model by default."""

    model = "fake"

    def __init__(self, answer: Callable[[Prompt, int], Outcome] | Model | None = None) -> None:
        if answer is None or isinstance(answer, Model):
            self._model = answer or Model()
            answer = self._labels
        self._answer = answer
        self.prompts: list[Prompt] = []
        self.waves: list[int] = []

    def _labels(self, prompt: Prompt, _number: int) -> Outcome:
        return reply(self._model.text(read_block(prompt.messages[-1].text), {}))

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        self.waves.append(len(prompts))
        outcomes: list[Outcome] = []
        for index, prompt in enumerate(prompts):
            outcome = self._answer(prompt, len(self.prompts))
            self.prompts.append(prompt)
            outcomes.append(outcome)
            if arrived is not None:
                arrived(index, outcome)
        return outcomes


def refusal(retryable: bool = False) -> Failure:
    return Failure("no", retryable=retryable)
