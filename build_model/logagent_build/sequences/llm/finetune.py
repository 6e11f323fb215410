"""Data for fine-tuning a model on labelled sequences (FlexLog §2.3, §3.4): written, and checked.

The format is OpenAI's for chat models, one conversation a line: system, user (the same prompt that
is asked later), assistant (the label). `lora` trains a local model on the same file.

Guarantees: each sequence once; what has both labels is left out and counted, whether sequences are
equal or only look it in their prompts; a file is written whole or not at all. A file that `checked`
accepts has known roles only, the label as its last message, and the same prompt never with two
labels.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate.protocol import Message
from logagent_build.annotate.wire import tokens_about
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.prompt import WORDS, SequencePrompts
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.shots import named

__all__ = ["FEWEST", "Checked", "Conversation", "checked", "conversations", "write"]

FEWEST = 10  # examples; OpenAI's fine-tuning refuses fewer
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One example."""

    messages: tuple[tuple[str, str], ...]
    """Role and text of each but the last."""
    label: str
    """One of `prompt.WORDS`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file of examples holds."""

    examples: int
    anomalous: int
    tokens: int
    """About, of one pass over the file: texts have a token every three bytes."""
    longest_tokens: int
    """About, of the longest example."""


def write(
    path: Path,
    data: Sequences,
    make: SequencePrompts,
    most: int | None = None,
    seed: int = 0,
    *,
    least: int = 0,
) -> Counter[str]:
    """Write examples.

    Args:
        path: of the file.
        data: labelled sequences; equal ones are written once.
        make: makes the prompts; without examples in them, as the model is to learn from these.
        most: draw so many at random (the paper: 1,000 of ADFA-U, §4.2.2); None for all.
        seed: of what is drawn, and of the order.
        least: examples it is worth while for; 0 writes whatever there is.

    Returns:
        ``written``, ``anomalous``, ``equal``, ``torn`` (distinct sequences with both labels, left
        out), ``alike`` (drawn ones whose prompt another one has, too, with the other label, as
        what differs is not shown; left out).

    Raises:
        ConfigError: there are fewer than `least`, or all have one label; nothing is written.
        OSError: it cannot be written.
    """
    first: dict[bytes, int] = {}
    torn: set[bytes] = set()
    for at, key in enumerate(keys(data)):
        if data.anomalous[first.setdefault(key, at)] != data.anomalous[at]:
            torn.add(key)
    chosen = [at for key, at in first.items() if key not in torn]
    random.Random(seed).shuffle(chosen)  # noqa: S311  # no secret
    prompts = {at: make.prompt(named(data, at)).messages for at in chosen[:most]}
    said: dict[tuple[Message, ...], set[bool]] = {}
    for at, prompt in prompts.items():
        said.setdefault(prompt, set()).add(bool(data.anomalous[at]))
    chosen = [at for at, prompt in prompts.items() if len(said[prompt]) == 1]
    rows = []
    for at in chosen:
        messages = [{"role": each.role, "content": each.text} for each in prompts[at]]
        messages.append({"role": "assistant", "content": WORDS[bool(data.anomalous[at])]})
        rows.append(json.dumps({"messages": messages}) + "\n")
    if least:
        _refuse_few(path, [WORDS[bool(data.anomalous[at])] for at in chosen], least)
    files.replace(path, "".join(rows).encode(), mode=0o600)  # logs: for their owner alone
    return Counter(
        written=len(chosen),
        anomalous=sum(bool(data.anomalous[at]) for at in chosen),
        equal=len(data) - len(first),
        torn=len(torn),
        alike=len(prompts) - len(chosen),
    )


def conversations(path: Path) -> list[Conversation]:
    """Read examples.

    Raises:
        ConfigError: the file cannot be read, or a line is no example.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    made: list[Conversation] = []
    labels: dict[tuple[tuple[str, str], ...], str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = _conversation(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = error if type(error) is ValueError else "no conversation"
            raise ConfigError(f"{path}:{number}: {reason}") from None
        if labels.setdefault(one.messages, one.label) != one.label:
            raise ConfigError(
                f"{path}:{number}: an earlier line has this prompt with another label"
            )
        made.append(one)
    return made


def checked(path: Path) -> Checked:
    """Check a file of examples.

    Raises:
        ConfigError: it cannot be read, a line is no example, or there are too few, or all have
            one label.
    """
    made = conversations(path)
    _refuse_few(path, [one.label for one in made], FEWEST)
    anomalous = sum(one.label == WORDS[True] for one in made)
    tokens = [
        sum(tokens_about(text) for _, text in one.messages) + tokens_about(one.label)
        for one in made
    ]
    return Checked(len(made), anomalous, sum(tokens), max(tokens))


def _refuse_few(path: Path, labels: Sequence[str], least: int) -> None:
    if len(labels) < least:
        raise ConfigError(f"{path}: {len(labels)} examples; fine-tuning wants at least {least}")
    if len(set(labels)) < len(WORDS):
        raise ConfigError(f"{path}: all examples are {labels[0]}; there is nothing to learn")


def _conversation(raw: dict[str, Any]) -> Conversation:
    if raw.keys() != {"messages"}:
        raise ValueError("expected messages, and nothing else")
    messages = [(each["role"], each["content"]) for each in raw["messages"]]
    if not all(isinstance(text, str) and role in _ROLES for role, text in messages):
        raise ValueError(f"roles are {', '.join(_ROLES)}, contents texts")
    roles = [role for role, _ in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError("expected perhaps a system's, a user's and an assistant's message")
    if messages[-1][1] not in WORDS:
        raise ValueError(f"the last message is neither {' nor '.join(WORDS)}")
    return Conversation(tuple(messages[:-1]), messages[-1][1])
