r"""Regular expressions that people write, made safe to search in lines that attackers write.

Python cannot interrupt a search, and the agent has one thread; so an expression is looked at before
it is used, and refused if a line could keep it busy.

Guarantees: what `BoundedRegex.of` returns takes about `MAX_STEPS` steps of the matcher at most on
any line, a tenth of a second or two. An upper bound of its steps is worked out from its parts;
where that is too high for `MAX_BYTES` of a line, only a shorter beginning is searched. Refused are
nested repeats that can share a text in more than one way (exponential), back references, and
anything the bound says nothing about. Conservative: some harmless expressions are refused as well,
and the message says how to write them.

How: a part is *settled* if the next byte alone says whether it goes on (`\d+:`). Inside a repeat
everything must be settled. Outside, an unsettled repeat (`.*`) costs all that follows once a byte.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from re import _constants as ops  # type: ignore[attr-defined]  # the stubs lack it; 3.11 to 3.14 have it
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import Any, Final

__all__ = ["MAX_BYTES", "MAX_CHARS", "MAX_STEPS", "BoundedRegex"]

MAX_CHARS: Final = 500
"""[characters] of an expression."""
MAX_BYTES: Final = 1024
"""[bytes] of a line that are searched; fewer for an expression that costs more."""
MAX_STEPS: Final = 2**22
"""Bound of the steps of one search, each of about 50 ns on a fast machine; lines that come near
it take a third at most."""

_REACHES = (MAX_BYTES, 512, 256)  # [bytes]
_ALL = (1 << 256) - 1
_QUICK = 1 / 64  # steps that a byte takes in a repeat of one character or of any, …
_SLOW = 1 / 10  # … of a class, which is looked up
_WORD = re.compile(rb"\w")
_SPACE = re.compile(rb"\s")
_DIGIT = re.compile(rb"\d")
_FOLDING = re.compile(r"\(\?[A-Za-z]*i")  # also where it only looks so: then bytes count for more
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)

_NESTED = (
    "repeats something that can share one text in several ways, as (a+)+ or (\\w+\\s?)* do; let "
    "every round begin with a character that the round before cannot hold, as (\\w+ )* does, or "
    "take only one repeat"
)
_LOCALE = "(?L) depends on the machine; leave it out"
_COSTLY = (
    "could take too long on a hostile line; leave out .* at the beginning and the end (it is "
    "searched for anywhere in the line), put plain text before and after each .* that is left, and "
    "write [^ ]* for .* or \\d for \\d+ where that is enough"
)


@dataclass(frozen=True, slots=True)
class BoundedRegex:
    """An expression and how far into a line it is searched."""

    pattern: re.Pattern[bytes]
    reach: int
    """[bytes] of a line that are searched."""

    @classmethod
    def of(cls, text: str) -> BoundedRegex:
        """Return the expression, matched against bytes of UTF-8.

        Raises:
            ValueError: it is none, or it could take too long; says how to write it.
        """
        if not text:
            raise ValueError("empty: it would match every line")
        if len(text) > MAX_CHARS:
            raise ValueError(f"longer than {MAX_CHARS} characters")
        try:
            source = text.encode()
        except UnicodeEncodeError:
            raise ValueError("not UTF-8; write a byte as \\xff") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what a later Python may read otherwise
                tree = parser.parse(source, 0)
                pattern = re.compile(source)
            if pattern.flags & re.LOCALE:
                raise ValueError(_LOCALE)
            folds = bool(pattern.flags & re.IGNORECASE or _FOLDING.search(text))
            for reach in _REACHES:
                if _Bound(reach, fold=folds).steps(tree) <= MAX_STEPS:
                    break
            else:
                raise ValueError(_COSTLY)
            if pattern.match(b""):
                raise ValueError("matches an empty text, so it would match every line")
        except re.error as error:
            raise ValueError(f"no regular expression: {error.msg}") from None
        except (OverflowError, RecursionError):
            raise ValueError("too large or nested too deeply") from None
        return cls(pattern, reach)

    def found_in(self, line: bytes) -> bool:
        """Tell whether it is found in the first `reach` bytes of a line."""
        return self.pattern.search(line, 0, self.reach) is not None


class _Bound:
    """Upper bounds of the steps that a search takes in a line of so many bytes."""

    def __init__(self, reach: int, *, fold: bool) -> None:
        self._reach = reach
        self._fold = fold  # whether upper and lower case may be the same

    def steps(self, tree: Iterable[Any]) -> float:
        """Return the bound for a whole expression.

        Raises:
            ValueError: there is none.
        """
        items = list(tree)
        anchored = bool(items) and items[0] in (
            (ops.AT, ops.AT_BEGINNING),
            (ops.AT, ops.AT_BEGINNING_STRING),
        )
        rests = self._rests(items, 0, 0.0, looped=False)
        if anchored:
            return rests[0]
        length, period = self._run(items, 0)
        if length:  # only what begins like this is looked at
            return self._reach + (self._reach / period + 1) * rests[length]
        return self._reach * (1 + rests[0])

    def _sequence(self, items: Iterable[Any], follow: int, rest: float, *, looped: bool) -> float:
        """Return the steps from one place on.

        Args:
            items: what is matched.
            follow: bytes that what comes after the items can begin with, as a mask.
            rest: steps of what comes after.
            looped: whether the items stand inside a repeat.
        """
        return self._rests(list(items), follow, rest, looped=looped)[0]

    def _rests(
        self, items: Sequence[Any], follow: int, rest: float, *, looped: bool
    ) -> list[float]:
        """Return the steps from before each item on, and from after the last."""
        rests = [rest] * (len(items) + 1)
        for at in range(len(items) - 1, -1, -1):
            op, value = items[at]
            if op in _REPEATS:
                before = self._one(*items[at - 1]) if at else _ALL
                length, period = self._run(items, at + 1)
                next_ = length, period, rests[at + 1 + length]
                rests[at] = self._repeat(
                    op, value, follow, rests[at + 1], looped=looped, before=before, next_=next_
                )
            else:
                rests[at] = self._item(op, value, follow, rests[at + 1], looped=looped)
            mask, empty = self._first([items[at]])
            follow = mask | follow if empty else mask
        return rests

    def _run(self, items: Sequence[Any], start: int) -> tuple[int, int]:
        """Return how many plain characters stand from here on, and the period of that text.

        The text begins at most once per period, whatever the line.
        """
        masks = []
        for op, value in items[start:]:
            if op is not ops.LITERAL:
                break
            masks.append(self._folded(1 << value))
        length = len(masks)
        for period in range(1, length):
            if all(masks[at] == masks[at + period] for at in range(length - period)):
                return length, period
        return length, max(length, 1)

    def _item(self, op: Any, value: Any, follow: int, rest: float, *, looped: bool) -> float:
        if op is ops.SUBPATTERN:
            _, added, _, body = value
            if added & re.LOCALE:
                raise ValueError(_LOCALE)
            return self._sequence(body, follow, rest, looped=looped)
        if op is ops.ATOMIC_GROUP:
            return self._sequence(value, follow, rest, looped=looped)
        if op is ops.BRANCH:
            return self._branch(value[1], follow, rest, looped=looped)
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            if any(_is_variable(each) for each in value[1]):
                raise ValueError("has a repeat or alternatives inside (?=…), (?!…) or (?<…)")
            return rest + len(value[1])
        if op in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN, ops.AT, ops.FAILURE):
            return rest + 1
        raise ValueError("has a back reference such as \\1; leave it out")

    def _repeat(
        self,
        op: Any,
        value: Any,
        follow: int,
        rest: float,
        *,
        looped: bool,
        before: int,
        next_: tuple[int, int, float],
    ) -> float:
        """Return the steps from a repeat on.

        Args:
            op: which kind of repeat.
            value: how often, and of what.
            follow: as for `_sequence`.
            rest: likewise.
            looped: likewise.
            before: bytes that stand before the repeat can be.
            next_: length and period of the plain text that comes next, and the steps after that.
        """
        low, high, body = value
        mask, empty = self._first(body)
        rounds = min(int(high), self._reach)
        settled = low == high or not mask & follow
        if op is ops.POSSESSIVE_REPEAT and not looped:
            settled = True  # never comes back for a shorter one
        if rounds <= 1:
            if looped and not settled:
                raise ValueError(_NESTED)
            taken = self._sequence(body, follow, rest, looped=looped)
            return 1 + (max(taken, rest) if settled else taken + rest)
        if empty:
            raise ValueError("repeats something that can be empty, as (a*)* does")
        if looped and not settled:
            raise ValueError(_NESTED)
        once = self._sequence(body, mask | follow, 0.0, looped=True)
        length, period, later = next_
        single = len(body) == 1 and body[0][0] in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN)
        scan = _SLOW if single and body[0][0] is ops.IN else _QUICK if single else 2 + once
        if settled:
            # Where what stands before cannot be part of it, all its runs together have at most
            # `reach` bytes, wherever one begins. Otherwise every shorter one may be tried.
            if not before & mask:
                return 2 + once + rest
            return 1 + rounds * (scan if single and length else scan + 1) + rest
        tries = rounds - min(int(low), rounds) + 1
        if single and length:  # only where that text stands is more looked at
            looks = tries if length > 1 else 0
            return 1 + rounds * scan + looks + min(tries, tries / period + 1) * later
        return 1 + rounds * scan + tries * (1 + rest)

    def _branch(
        self, branches: Sequence[Iterable[Any]], follow: int, rest: float, *, looped: bool
    ) -> float:
        seen, settled = 0, True
        for each in branches:
            mask, empty = self._first(each)
            begins = mask | follow if empty else mask
            settled = settled and not seen & begins
            seen |= begins
        if looped and not settled:
            raise ValueError(_NESTED)
        costs = [self._sequence(each, follow, rest, looped=looped) for each in branches]
        return len(costs) + (max(costs) if settled else sum(costs))

    def _first(self, items: Iterable[Any]) -> tuple[int, bool]:
        """Return the bytes that the items can begin with, and whether they can be empty."""
        found = 0
        for op, value in items:
            mask, empty = self._first_of(op, value)
            found |= mask
            if not empty:
                return found, False
        return found, True

    def _first_of(self, op: Any, value: Any) -> tuple[int, bool]:
        if op in _REPEATS:
            mask, empty = self._first(value[2])
            return mask, empty or value[0] == 0
        if op is ops.SUBPATTERN:
            return self._first(value[3])
        if op is ops.ATOMIC_GROUP:
            return self._first(value)
        if op is ops.BRANCH:
            each = [self._first(branch) for branch in value[1]]
            mask = 0
            for one, _ in each:
                mask |= one
            return mask, any(empty for _, empty in each)
        if op in (ops.AT, ops.ASSERT, ops.ASSERT_NOT):  # only narrow down what comes
            return 0, True
        return self._one(op, value), False

    def _one(self, op: Any, value: Any) -> int:
        """Return the bytes that an item of one byte can be; all of them for anything else."""
        if op is ops.LITERAL:
            return self._folded(1 << value)
        if op is ops.NOT_LITERAL:
            return int(_ALL & ~(1 << value))
        if op is ops.IN:
            return self._set(value)
        return _ALL

    def _set(self, items: Iterable[Any]) -> int:
        """Return the bytes of a class."""
        found: int = 0
        negated = False
        for op, value in items:
            if op is ops.NEGATE:
                negated = True
            elif op is ops.LITERAL:
                found |= 1 << value
            elif op is ops.RANGE:
                low, high = value
                found |= (1 << high + 1) - (1 << low)
            else:
                found |= _category(value)
        return _ALL & ~found if negated else self._folded(found)

    def _folded(self, mask: int) -> int:
        return _both_cases(mask) if self._fold else mask


def _is_variable(item: Any) -> bool:
    op, value = item
    if op in (ops.BRANCH, *_REPEATS, ops.ATOMIC_GROUP, ops.ASSERT, ops.ASSERT_NOT):
        return True
    return op is ops.SUBPATTERN and any(map(_is_variable, value[3]))


def _category(name: Any) -> int:
    for positive, negative, wanted in (
        (ops.CATEGORY_DIGIT, ops.CATEGORY_NOT_DIGIT, _DIGIT),
        (ops.CATEGORY_SPACE, ops.CATEGORY_NOT_SPACE, _SPACE),
        (ops.CATEGORY_WORD, ops.CATEGORY_NOT_WORD, _WORD),
    ):
        if name in (positive, negative):
            found = sum(1 << byte for byte in range(256) if wanted.match(bytes([byte])))
            return found if name is positive else _ALL & ~found
    return _ALL


def _both_cases(mask: int) -> int:
    upper = mask >> ord("A") & (1 << 26) - 1
    lower = mask >> ord("a") & (1 << 26) - 1
    return mask | (upper | lower) << ord("A") | (upper | lower) << ord("a")
