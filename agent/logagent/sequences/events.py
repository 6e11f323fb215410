"""The event of every line of a block: fast key, loose key, and only then the template.

As `logagent.judge` does for verdicts, with caches of its own, since normal lines share a verdict
but not an event.

Guarantees: one number per line, in order; lines of one fast or loose key have the number of the
first of them that was seen. Memory: two caches of fixed capacity, and one text for each unknown
event of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logagent.blocks import Block
from logagent.cache import TwoGenerationCache
from logagent.keys import BlockHashes, loose_keys
from logagent.sequences.vocabulary import Vocabulary, event_keys

__all__ = ["EventReader"]

_CAPACITY: Final = 5_400  # entries per generation, as the judge's: a dict of 0.15 MB
_STREAK_BLOCKS: Final = 32  # after so many blocks in a row for which fast keys were of no use, …
_SKIP_BLOCKS: Final = 256  # … so many do without; as the judge


class EventReader:
    """Reads the events of lines."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.hashes = BlockHashes()
        """Of keys of the latest block; for the judge of its lines, too."""
        self.unknown_lines = 0
        """Lines whose event the vocabulary does not know."""
        self._by_fast_key: TwoGenerationCache[int] = TwoGenerationCache(_CAPACITY)
        # Twice the number, and one more if the line has a number that fast keys lack.
        self._by_loose_key: TwoGenerationCache[int] = TwoGenerationCache(_CAPACITY // 2)
        self._unknown: dict[int, bytes] = {}  # the latest text of each unknown event
        self._streak = self._skip = 0

    def text(self, number: int) -> bytes:
        """Return what an event says; of an unknown one the text that was read last, if any.

        Not sanitised.
        """
        return self.vocabulary.text(number) or self._unknown.get(number, b"")

    def read(self, block: Block) -> list[int]:
        """Return the number of every line's event."""
        if self._skip:
            self._skip -= 1
            coded, _ = self._loosely(self.hashes.loose(block.data), block.line)
            numbers = [each >> 1 for each in coded]
        else:
            keys = self.hashes.fast(block.data)
            found = list(map(self._by_fast_key.young, keys))
            if None in set(found):
                self._settle(block, keys, found)
            numbers = found  # type: ignore[assignment]  # settled: no None
        known = self.vocabulary.known
        if max(set(numbers)) >= known:
            self.unknown_lines += sum(number >= known for number in numbers)
        return numbers

    def _settle(self, block: Block, keys: list[int], found: list[int | None]) -> None:
        """Read the lines whose fast key is not in the young generation."""
        known = self._by_fast_key.get
        misses = []
        for index, number in enumerate(found):
            if number is None:
                found[index] = known(keys[index])
                if found[index] is None:
                    misses.append(index)
        if not misses:
            return
        lines = [block.line(index) for index in misses]
        loose = list(map(hash, loose_keys(b"\n".join(lines))))
        read, fresh = self._loosely(loose, lines.__getitem__)
        for index, coded in zip(misses, read, strict=True):
            found[index] = coded >> 1
            if not coded & 1:
                self._by_fast_key.add(keys[index], coded >> 1)
        useless = len(misses) > len(found) // 2 and fresh < len(misses) // 4
        self._streak = self._streak + 1 if useless else 0
        if self._streak >= _STREAK_BLOCKS:
            self._skip, self._streak = _SKIP_BLOCKS, 0

    def _loosely(self, keys: list[int], line: Callable[[int], bytes]) -> tuple[list[int], int]:
        """Return twice the number of each line's event, and how many no cache knew.

        One more where the line has a number that fast keys lack.

        Args:
            keys: hash of the loose key of every line.
            line: gives a line by its index.
        """
        found = list(map(self._by_loose_key.young, keys))
        misses = []
        if None in set(found):
            known = self._by_loose_key.get
            for index, number in enumerate(found):
                if number is None:
                    found[index] = known(keys[index])
                    if found[index] is None:
                        misses.append(index)
        if misses:
            events, texts, coded = event_keys([line(index) for index in misses])
            for index, event, text, with_code in zip(misses, events, texts, coded, strict=True):
                number = self.vocabulary.number(event)
                if number >= self.vocabulary.known:
                    self._unknown[number] = text
                found[index] = 2 * number + with_code
                self._by_loose_key.add(keys[index], 2 * number + with_code)
        return found, len(misses)  # type: ignore[return-value]  # no None
