"""Chat completions as they travel: a prompt to a request body, a response body to a reply.

One place for both doors, HTTP (`endpoint`) and batch files (`batch`). Guarantees: a body that is
not a chat completion is a `MalformedError`, never a half-filled reply. The format is OpenAI's, as
llama.cpp, Ollama, vLLM and TGI speak it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from logagent_build.annotate.protocol import Prompt, Reply

__all__ = ["Dialect", "MalformedError", "body", "reply", "tokens_about"]


_MOST_TOKENS = 1_000_000_000  # of one reply; more is nonsense, and no database takes any number


class MalformedError(ValueError):
    """A body that is not a chat completion."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint takes of the parameters that differ between endpoints."""

    structured: str = "json_schema"
    """``json_schema``, ``json_object`` or ``none``: how a reply is held to a form."""
    limit: str = "max_tokens"
    """Name of the limit of the reply: ``max_tokens`` or ``max_completion_tokens``."""
    temperature: bool = True
    """Whether a temperature may be given."""


def body(prompt: Prompt, model: str, dialect: Dialect | None = None) -> dict[str, Any]:
    """Return the request body of a prompt."""
    dialect = dialect or Dialect()
    made: dict[str, Any] = {
        "model": model,
        "messages": [{"role": each.role, "content": each.text} for each in prompt.messages],
        dialect.limit: prompt.max_tokens,
    }
    if dialect.temperature:
        made["temperature"] = prompt.temperature
    if prompt.schema is not None and dialect.structured == "json_schema":
        schema = {"name": "reply", "strict": True, "schema": dict(prompt.schema)}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif prompt.schema is not None and dialect.structured == "json_object":
        made["response_format"] = {"type": "json_object"}
    return made


def reply(raw: object, prompt: Prompt, seconds: float) -> Reply:
    """Read a response body.

    Raises:
        MalformedError: it is no chat completion.
    """
    try:
        choice = raw["choices"][0]  # type: ignore[index]  # whatever it is, KeyError tells
        text = choice["message"].get("content")
        finish = choice.get("finish_reason")
        usage = raw.get("usage") or {}  # type: ignore[attr-defined]  # as above
        model = raw.get("model")  # type: ignore[attr-defined]  # as above
    except (AttributeError, IndexError, KeyError, TypeError):
        raise MalformedError("the response is no chat completion") from None
    if not (text is None or isinstance(text, str)):
        raise MalformedError("the response's content is no text")
    text = _storable(text or "")  # a refusal has none
    asked = sum(tokens_about(message.text) for message in prompt.messages)
    return Reply(
        text,
        _storable(model) if isinstance(model, str) else "",
        _count(usage, "prompt_tokens", asked),
        _count(usage, "completion_tokens", tokens_about(text)),
        _storable(finish) if isinstance(finish, str) else "",
        seconds,
    )


def _storable(text: str) -> str:
    """Replace half characters, which JSON can say and no file can hold."""
    return text.encode(errors="replace").decode()


def _count(usage: object, name: str, otherwise: int) -> int:
    """Return a number of tokens, or our own estimate where the endpoint tells none."""
    count = usage.get(name) if isinstance(usage, Mapping) else None
    fine = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_TOKENS
    return count if fine else otherwise  # type: ignore[return-value]  # a number, as just seen


def tokens_about(text: str) -> int:
    """Estimate the tokens of a text: about 3 bytes each in log lines, whose digits cost most."""
    return -(-len(text.encode(errors="replace")) // 3)
