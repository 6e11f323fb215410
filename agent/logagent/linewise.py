r"""An expression that finds in joined lines, in one pass, what another one finds in each of them.

A search per line costs more for the call than for the search. So the expression is made over: no
part of it can match a newline, its anchors are those of lines, and it takes the rest of the line
in. Then the matches in lines joined by newlines are the first match of each line that has one: a
line of its own has no newline to be matched either, and a place in it looks the same from within.

Guarantees: same lines, same groups as `pattern.search(line)`, for any bytes; no more steps than
these searches together, and one for each byte that is left. Left to others: that lines are short
enough for the expression (`BoundedRegex.reach`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from re import _compiler as compiler  # type: ignore[attr-defined]  # the stubs lack it; 3.11 to 3.14 have it
from re import _constants as ops  # type: ignore[attr-defined]  # likewise
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import Any, Final

__all__ = ["linewise"]

_NEWLINE: Final = 10
_REPEATS: Final = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_NOTHING: Final = (ops.IN, [(ops.NEGATE, None), (ops.RANGE, (0, 255))])  # no byte: as wide as one
_NO_NEWLINE: Final = (ops.NOT_LITERAL, _NEWLINE)
_ANCHORS: Final = {
    ops.AT_BEGINNING: ops.AT_BEGINNING_LINE,
    ops.AT_BEGINNING_STRING: ops.AT_BEGINNING_LINE,
    ops.AT_BEGINNING_LINE: ops.AT_BEGINNING_LINE,
    ops.AT_END: ops.AT_END_LINE,
    ops.AT_END_STRING: ops.AT_END_LINE,
    ops.AT_END_LINE: ops.AT_END_LINE,
    # To both, an end of the text is what a newline is: no part of a word.
    ops.AT_BOUNDARY: ops.AT_BOUNDARY,
    ops.AT_NON_BOUNDARY: ops.AT_NON_BOUNDARY,
}
_CATEGORIES: Final = {
    ops.CATEGORY_DIGIT: rb"\d",
    ops.CATEGORY_NOT_DIGIT: rb"\D",
    ops.CATEGORY_SPACE: rb"\s",
    ops.CATEGORY_NOT_SPACE: rb"\S",
    ops.CATEGORY_WORD: rb"\w",
    ops.CATEGORY_NOT_WORD: rb"\W",
}


class _OtherError(Exception):
    """The expression has a part that nothing here is said about."""


def linewise(pattern: re.Pattern[bytes]) -> re.Pattern[bytes] | None:
    """Return the expression for joined lines; None if there is none, as it may match nothing.

    Args:
        pattern: without flags but those written in it; its groups are kept.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was compiled before: whoever wrote it was told
            tree = parser.parse(pattern.pattern, 0)
            if not tree.getwidth()[0]:
                return None
            rest = (ops.MAX_REPEAT, (0, ops.MAXREPEAT, _of([_NO_NEWLINE], tree.state)))
            made: re.Pattern[bytes] = compiler.compile(_of([*_made_over(tree), rest], tree.state))
    except (_OtherError, RecursionError):
        return None
    return made


def _of(items: list[Any], state: Any) -> Any:
    return parser.SubPattern(state, items)


def _made_over(tree: Any) -> Any:
    """Return a part of an expression so that no newline is matched."""
    return _of([_item(op, value) for op, value in tree], tree.state)


def _item(op: Any, value: Any) -> tuple[Any, Any]:  # noqa: PLR0911 - one for each kind of part
    if op is ops.LITERAL:
        return _NOTHING if value == _NEWLINE else (op, value)
    if op is ops.NOT_LITERAL:
        return ops.IN, [(ops.NEGATE, None), (ops.LITERAL, value), (ops.LITERAL, _NEWLINE)]
    if op is ops.ANY:
        return _NO_NEWLINE
    if op is ops.IN:
        return _class(value)
    if op is ops.AT:
        if value not in _ANCHORS:
            raise _OtherError
        return op, _ANCHORS[value]
    if op in _REPEATS:
        low, high, body = value
        return op, (low, high, _made_over(body))
    if op is ops.SUBPATTERN:
        *before, body = value
        return op, (*before, _made_over(body))
    if op is ops.BRANCH:
        before, branches = value
        return op, (before, [_made_over(branch) for branch in branches])
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        direction, body = value
        return op, (direction, _made_over(body))
    if op is ops.ATOMIC_GROUP:
        return op, _made_over(value)
    if op is ops.FAILURE:
        return op, value
    raise _OtherError


def _class(items: Iterable[Any]) -> tuple[Any, Any]:
    """Return a class of bytes without the newline."""
    members = list(items)
    if members[0][0] is ops.NEGATE:
        return ops.IN, [*members, (ops.LITERAL, _NEWLINE)]
    kept: list[Any] = []
    for op, value in members:
        if op is ops.LITERAL:
            kept += [(op, value)] if value != _NEWLINE else []
        elif op is ops.RANGE and not value[0] <= _NEWLINE <= value[1]:
            kept.append((op, value))
        elif op is ops.RANGE:
            kept += [(ops.LITERAL, byte) for byte in range(value[0], value[1] + 1)]
        elif op is ops.CATEGORY and value in _CATEGORIES:
            held = re.compile(_CATEGORIES[value])
            kept += [(ops.LITERAL, byte) for byte in range(256) if held.match(bytes([byte]))]
        else:
            raise _OtherError
    kept = [each for each in kept if each != (ops.LITERAL, _NEWLINE)]
    return (ops.IN, kept) if kept else _NOTHING
