"""Numbers for events: what a line says, its variables left out, as an index into a model's tables.

An event is a group of lines with the same *words*: the template of `logagent.normalise`, names
masked as for groups, without the places of its variables. Looser than a template, since the sign
of a number or a zero in its place makes no other event (``blk_-123``, ``blk_123``). A text that a
model was trained on has a number of its own; any other is one of a few *unknown* events, by its
hash: that it is unknown is the point, which one it is only tells two of them apart.

Guarantees: a number depends on the line alone, on every machine; memory is O(texts), known when a
vocabulary is made, whatever the lines. Left to others: caches (`events`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from logagent.judge import group_key
from logagent.normalise import NORMALISER_VERSION, templates

__all__ = ["MAX_EVENTS", "TEXT_BYTES", "Vocabulary", "event_key", "event_keys"]

MAX_EVENTS: Final = 30_000
"""Most numbers of a vocabulary, unknown ones included: two bytes hold any, a part of a bundle all
of the texts."""
TEXT_BYTES: Final = 200
"""[bytes] of a known event's text that are kept to be shown."""
BUCKETS: Final = 16
"""Unknown events told apart, unless a vocabulary is made with more: a session that goes wrong says
a handful of new things."""

# Words, and what the normaliser kept of numbers: codes, the classes of statuses. A stand-alone zero
# is the number of this line and not its kind.
_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z_\x80-\xff$]*|[1-5]xx|[1-9]\d*")

# The words of a path are names, as numbers are: /user/root/rand/part-0001. A single slash may be
# between two choices (read/write), or before a word that says something (/boot).
_PATH = re.compile(
    rb"(?<![^\s=:,;(\[\"'])((?:file:|hdfs:/)?/[^\s/:,;()\[\]\"'=]*)(?:/[^\s/:,;()\[\]\"'=]*)+"
)


def event_key(template: bytes) -> int:
    """Return the hash of a template's words: 64 bits, equal on every machine."""
    words = b" ".join(_WORD.findall(_PATH.sub(rb"/", group_key(template))))
    return int.from_bytes(blake2b(words, digest_size=8).digest(), "little")


def event_keys(lines: Sequence[bytes]) -> tuple[list[int], list[bytes], list[bool]]:
    """Return the keys of lines, their texts, and which have a number that fast keys lack."""
    masked = templates(lines)
    keys = [event_key(template) for template in masked.templates]
    return keys, [text[:TEXT_BYTES] for text in masked.templates], masked.coded.tolist()


class Vocabulary:
    """Which number an event has. Immutable."""

    def __init__(self, keys: Sequence[int], texts: Sequence[bytes], buckets: int = BUCKETS) -> None:
        """Take the known events, in the order of their numbers.

        Args:
            keys: `event_key` of each; distinct.
            texts: what is shown for each, cut to `TEXT_BYTES`.
            buckets: unknown events told apart, at least 1.

        Raises:
            ValueError: more than `MAX_EVENTS` in all, or the two do not fit together.
        """
        if buckets < 1 or len(keys) + buckets > MAX_EVENTS:
            raise ValueError(f"the vocabulary has not 1 to {MAX_EVENTS} events")
        if len(keys) != len(texts) or len(set(keys)) != len(keys):
            raise ValueError("the vocabulary's texts do not fit its events")
        hashes = np.array(keys, np.uint64)
        self._order: npt.NDArray[np.int64] = np.argsort(hashes, kind="stable")
        self._sorted: npt.NDArray[np.uint64] = hashes[self._order]
        self._texts = [text[:TEXT_BYTES] for text in texts]
        self.buckets = buckets
        """Unknown events; their numbers come after the known ones."""

    @classmethod
    def of(cls, keys_and_texts: Iterable[tuple[int, bytes]], buckets: int = BUCKETS) -> Vocabulary:
        """Make the vocabulary of some lines, the most frequent events first.

        Args:
            keys_and_texts: of every line; the first text of an event is kept.
            buckets: unknown events told apart.
        """
        counts: Counter[int] = Counter()
        texts: dict[int, bytes] = {}
        for key, text in keys_and_texts:
            counts[key] += 1
            texts.setdefault(key, text)
        kept = sorted(counts, key=lambda key: (-counts[key], texts[key]))[: MAX_EVENTS - buckets]
        return cls(kept, [texts[key] for key in kept], buckets)

    def __len__(self) -> int:
        """Return how many numbers there are, unknown events included."""
        return len(self._texts) + self.buckets

    @property
    def known(self) -> int:
        """How many events are known: the first number of an unknown one."""
        return len(self._texts)

    def number(self, key: int) -> int:
        """Return the number of an event by its key, in [0, len)."""
        at = int(np.searchsorted(self._sorted, np.uint64(key)))
        if at < len(self._sorted) and int(self._sorted[at]) == key:
            return int(self._order[at])
        return self.known + key % self.buckets

    def key(self, number: int) -> int:
        """Return the key of a known event: what `number` takes.

        Raises:
            IndexError: the event is not known.
        """
        return int(self._sorted[np.flatnonzero(self._order == number)[0]])

    def text(self, number: int) -> bytes:
        """Return the text of a known event, not sanitised; empty for an unknown one."""
        return self._texts[number] if number < self.known else b""

    def part(self) -> dict[str, Any]:
        """Return what `read` takes: msgpack types."""
        keys = np.empty(self.known, np.uint64)
        keys[self._order] = self._sorted
        return {
            "normaliser": NORMALISER_VERSION,
            "buckets": self.buckets,
            "keys": keys.astype("<u8").tobytes(),
            "texts": list(self._texts),
        }

    @classmethod
    def read(cls, part: Mapping[str, Any]) -> Vocabulary:
        """Read what `part` returned.

        Raises:
            ValueError: it is none, or of lines that were masked otherwise.
        """
        match part:
            case {
                "normaliser": int(normaliser),
                "buckets": int(buckets),
                "keys": bytes(keys),
                "texts": [*texts],
            } if len(keys) == 8 * len(texts) and all(isinstance(text, bytes) for text in texts):
                pass
            case _:
                raise ValueError("its vocabulary is corrupt")
        if normaliser != NORMALISER_VERSION:
            raise ValueError(
                f"it was made with version {normaliser} of the masks, this agent has "
                f"{NORMALISER_VERSION}"
            )
        return cls(np.frombuffer(keys, "<u8").tolist(), texts, buckets)
