"""After an error: how long to wait, and what to ask for instead.

Reads what endpoints say of themselves: `Retry-After`, and complaints about parameters they do not
know. Leaves asking to `endpoint`.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from logagent_build.annotate.protocol import Prompt
from logagent_build.annotate.wire import Dialect

__all__ = ["other_dialect", "pause", "retry_after"]

FIRST_WAIT = 1.0  # [s] before the second attempt; doubled for each further one
_MOST_ASKED = 3e9  # [s] believed of ``Retry-After``, a century; timers take no more than three
LONGEST_WAIT = 60.0  # [s] between attempts, unless the endpoint asks for more
_UNSUPPORTED = frozenset({400, 422, 500, 501})  # what servers say to a format they do not know
_OF_FORMATS = ("response_format", "json_schema", "json_object", "schema", "grammar", "structured")


def other_dialect(dialect: Dialect, prompt: Prompt, status: int, said: str) -> Dialect | None:
    """Return another dialect to try after an error, or None if that is not what is wrong.

    Args:
        dialect: that was used.
        prompt: that was asked.
        status: HTTP status of the error.
        said: what the endpoint says of it, the name of a parameter included.
    """
    if status not in _UNSUPPORTED:
        return None
    said = said.lower()
    if dialect.limit == "max_tokens" and "max_completion_tokens" in said:
        return dataclasses.replace(dialect, limit="max_completion_tokens")
    if dialect.temperature and "temperature" in said and status == 400:
        return dataclasses.replace(dialect, temperature=False)
    if prompt.schema is not None and any(word in said for word in _OF_FORMATS):
        weaker = {"json_schema": "json_object", "json_object": "none"}.get(dialect.structured)
        return dataclasses.replace(dialect, structured=weaker) if weaker else None
    return None


def pause(attempt: int, asked_seconds: float) -> float:
    """Return the seconds before the next attempt; random, so that threads do not march in step."""
    backed_off: float = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)
    return max(asked_seconds, backed_off * random.uniform(0.75, 1.25))  # noqa: S311  # no secret


def retry_after(headers: Mapping[str, str]) -> float:
    """Read ``Retry-After`` [s], a number or a date; 0 if there is none."""
    value = str(headers.get("retry-after") or "").strip()
    try:
        return min(max(0.0, float(value)), _MOST_ASKED) if value else 0.0
    except ValueError:
        pass
    try:
        asked = parsedate_to_datetime(value).timestamp() - time.time()
        return min(max(0.0, asked), _MOST_ASKED)
    except (OverflowError, TypeError, ValueError):
        return 0.0
