"""The optional part ``sequences`` of a bundle: vocabulary, ensemble, and how it was trained.

A msgpack map (docs/bundle.md). An agent that knows nothing of it skips it.

Guarantees: sizes are checked before memory is taken, all values before they are used. Left to
others: SHA-256 and the size of the part (`logagent.bundle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from logagent.bundle import Bundle
from logagent.errors import BundleError
from logagent.sequences.arrays import entry
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.rules import Rule, rule_of
from logagent.sequences.silences import Silences
from logagent.sequences.vocabulary import MAX_EVENTS, TEXT_BYTES, Vocabulary

__all__ = ["PART", "SequenceModel", "pack"]

PART: Final = "sequences"
_FORMAT: Final = 1
_MOST_TEXT_BYTES: Final = 4096  # [bytes] of a string: an expression, or a line of the record


@dataclass(frozen=True, slots=True)
class SequenceModel:
    """What judges sequences."""

    vocabulary: Vocabulary
    ensemble: Ensemble
    rule: Rule
    """How the lines that it was trained on were made sequences."""
    record: Mapping[str, Any]
    """How it was made, for people: data, sizes, scores."""
    silences: Silences | None = None
    """Of normal sessions; None: the part is of a time when they were not stored."""

    @classmethod
    def of(cls, bundle: Bundle) -> SequenceModel:
        """Read it from a bundle.

        Raises:
            BundleError: the bundle has none, or one that this agent cannot use.
        """
        if PART not in bundle.sizes():
            raise BundleError(
                f"bundle {bundle.path}: has no part {PART!r}, so it cannot judge sequences; add "
                "one with `logagent-build sequences LOGS --session-key RE --labels FILE --base "
                "BUNDLE -o OUT`, and use the result"
            )
        try:
            return cls.read(bundle.part(PART))
        except BundleError as error:
            raise BundleError(f"bundle {bundle.path}: part {PART!r}: {error}") from None
        except ValueError as error:
            raise BundleError(f"bundle {bundle.path}: part {PART!r}: {error}") from None

    @classmethod
    def read(cls, data: bytes | memoryview) -> SequenceModel:
        """Read what `pack` returned.

        Raises:
            ValueError: it is none, or of another format.
            BundleError: its ensemble cannot be used.
        """
        try:
            part = msgpack.unpackb(
                data,
                max_array_len=max(MAX_EVENTS, TEXT_BYTES),
                max_map_len=1024,
                max_str_len=_MOST_TEXT_BYTES,
                max_ext_len=0,
            )
        except Exception as error:  # msgpack raises several unrelated types on hostile bytes
            raise ValueError(f"is corrupt ({error})") from None
        match part:
            case {"format": int(number)} if number != _FORMAT:
                raise ValueError(
                    f"has format {number}, this agent reads {_FORMAT}; install a matching logagent"
                )
            case {
                "format": int(),
                "vocabulary": dict(vocabulary),
                "ensemble": dict(ensemble),
                "rule": dict(rule),
                "record": dict(record),
            }:
                pass
            case _:
                raise ValueError("is corrupt (its keys)")
        words = Vocabulary.read(vocabulary)
        silences = None
        if "silences" in part:
            silences = Silences.read(entry(part, "silences"), words.known)
        model = cls(words, Ensemble.read(ensemble), rule_of(rule), record, silences)
        if model.ensemble.events != len(model.vocabulary):
            raise ValueError(
                f"its ensemble is of {model.ensemble.events} events, its vocabulary of "
                f"{len(model.vocabulary)}"
            )
        return model


def pack(
    vocabulary: Vocabulary,
    ensemble: Mapping[str, Any],
    rule: Rule,
    record: Mapping[str, Any],
    silences: Silences | None = None,
) -> bytes:
    """Return the bytes of the part; the same input gives the same bytes.

    Raises:
        ValueError: an agent could not read it.
        BundleError: likewise.
    """
    part = {
        "format": _FORMAT,
        "vocabulary": vocabulary.part(),
        "ensemble": dict(ensemble),
        "rule": rule.part(),
        "record": dict(record),
    }
    if silences is not None:
        part["silences"] = silences.part()
    data: bytes = msgpack.packb(part)
    SequenceModel.read(data)
    return data
