"""Prompt, reply, failure, and the one protocol of everything that answers prompts.

Guarantees: a prompt's key is the same on every machine and in every run, and differs as soon as
anything differs that may change the reply. Leaves asking to `endpoint`, `batch`, `recorded` and
`simulated`, and what the texts mean to `labelling`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["Annotator", "Arrived", "Failure", "Message", "Outcome", "Prompt", "Reply", "bound"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of a model, and how."""

    messages: tuple[Message, ...]
    temperature: float
    """In [0, 2]; 0 is the most repeatable."""
    max_tokens: int
    """[tokens] Longest reply; what a hard budget reserves."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the reply where the endpoint can be held to one."""
    tag: str = ""
    """What it is for, in records; no part of the key."""
    sample: int = 0
    """Tells several independent replies to the same prompt apart."""

    def key(self, model: str) -> str:
        """Return the hash that names this prompt to `model`: 64 hexadecimal digits."""
        asked = {
            "messages": [[message.role, message.text] for message in self.messages],
            "temperature": round(float(self.temperature), 6),
            "max_tokens": self.max_tokens,
            "schema": self.schema,
            "sample": self.sample,
            "model": model,
        }
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered."""

    text: str
    model: str
    """As the endpoint names it; begins with ``simulated`` if no model was asked."""
    input_tokens: int
    output_tokens: int
    finish_reason: str
    """``stop``; ``length`` if it was cut at `Prompt.max_tokens`; or what the endpoint says."""
    seconds: float
    """From sending the request that was answered to its reply."""
    recorded: bool = False
    """Whether it was paid for earlier and came from the store."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply."""

    reason: str
    retryable: bool
    """Whether the same prompt may succeed later; if not, the prompt itself was refused."""


Outcome = Reply | Failure
Arrived = Callable[[int, Outcome], None]
"""Told each outcome as it arrives, with the index of its prompt; from any thread, one at a time."""


class Annotator(Protocol):
    """Whatever answers prompts."""

    @property
    def model(self) -> str:
        """Name that goes into the keys of prompts."""

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """Answer every prompt; outcomes in the order of the prompts.

        Raises:
            AnnotatorError: it makes no sense to go on asking.
            BudgetReached: the budget does not suffice; what arrived was told to `arrived`.
            WaitForResponses: requests were written to files.
        """


def bound(prompt: Prompt) -> int:
    """Return how many tokens a prompt has at most.

    A tokenizer over bytes makes no token of less than a byte; roles and separators are added.
    """
    overhead = 16  # [tokens] a message; chat templates known use 3 to 10
    return sum(len(message.text.encode()) + overhead for message in prompt.messages)
