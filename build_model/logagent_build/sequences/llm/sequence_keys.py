"""What names a sequence: a hash of its events in order.

Guarantees: equal sequences have equal keys on every machine and under every numbering of the
events; a difference in any event, in order or in number gives another key, but for collisions of
128-bit hashes. FlexLog §3.2 keys by template ids; here an event counts by the hash of its name, so
that a key outlives a new parse, in which templates are numbered anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from logagent_build.sequences.data import Events, Sequences

__all__ = ["KEY_BYTES", "Keys", "keys"]

KEY_BYTES = 16  # [bytes] no two of a billion sequences share one by chance (p < 1e-20)
_NAME_BYTES = 8  # [bytes] of the hash of an event's name


class Keys:
    """Makes keys of the sequences of one vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        hashes = [
            int.from_bytes(
                hashlib.blake2b(name.encode(errors="replace"), digest_size=_NAME_BYTES).digest(),
                "little",
            )
            for name in vocabulary
        ]
        self._hashes = np.array(hashes, dtype="<u8")

    def of(self, events: Events) -> bytes:
        """Return the key of a sequence: `KEY_BYTES` bytes."""
        return hashlib.blake2b(self._hashes[events].tobytes(), digest_size=KEY_BYTES).digest()


def keys(data: Sequences) -> list[bytes]:
    """Return the key of each sequence."""
    make = Keys(data.vocabulary)
    return [make.of(events) for events in data.events]
