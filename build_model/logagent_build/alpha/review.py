"""What was labelled and why: a table of lines, a file for the page, corrections applied.

Guarantees: what is read from a file is bounded and checked; log text in the table is printable, on
one line, without tabs. The table has the columns of ``logagent-build label``. Leaves
reading corrections to `corrections`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from logagent.sanitise import printable

from logagent_build.alpha.corrections import KEY, json_object, template_key
from logagent_build.alpha.loop import Labelled
from logagent_build.alpha.pool import LONGEST, Pool, shown

__all__ = [
    "HEADER",
    "Entry",
    "Place",
    "Reviewable",
    "apply",
    "rows",
]

_KEPT = "logagent-alpha 1"
HEADER = "label\thow\tvotes_anomalous\tvotes\tfile\tline_number\treason\tline\n"
UNSURE = 0.2
"""Probability of being wrong from which on a label is called doubtful."""
_LONGEST_TEXT = 2000  # [characters] of a line in the table


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stood."""

    file: str
    number: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One template, as the review page shows it."""

    key: str
    text: str
    """Its first line, printable."""
    lines: int
    cluster: int
    anomalous: bool
    wrong: float
    """Probability that the label is wrong."""
    votes: str
    """``0``, ``1`` and ``?`` (no answer), one for each of its lines that was asked."""
    reason: str
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Reviewable:
    """All that the review page shows; kept beside the labels as JSON."""

    annotator: str
    calls: int
    entries: tuple[Entry, ...]
    plots: tuple[str, ...] = ()
    """SVG of our own making; not kept in the file."""
    elsewhere: tuple[tuple[str, bool], ...] = ()
    """Corrections that were given for templates this log does not have; exported again."""

    @classmethod
    def of(
        cls,
        labelled: Labelled,
        annotator: str,
        plots: Sequence[str] = (),
        elsewhere: Mapping[str, bool] | None = None,
    ) -> Reviewable:
        """Take it from a labelling; `annotator` says so if it is a simulation."""
        pool = labelled.pool
        votes: dict[int, str] = {}
        reasons: dict[int, str] = {}
        for vote in (vote for voted in labelled.voted for vote in voted.votes):
            at = int(pool.entry[vote.line])
            said = "?" if vote.anomalous is None else "01"[vote.anomalous]
            votes[at] = votes.get(at, "") + said
            if vote.reason:
                reasons.setdefault(at, printable(vote.reason))
        entries = tuple(
            Entry(
                template_key(template),
                shown(pool.lines[int(pool.first[at])]),
                int(pool.count[at]),
                int(labelled.clustering.of[at]),
                bool(labelled.anomalous[at]),
                round(float(labelled.wrong[at]), 4),
                votes.get(at, ""),
                reasons.get(at, ""),
                at in labelled.reviewed,
            )
            for at, template in enumerate(pool.templates)
        )
        kept = tuple(sorted((elsewhere or {}).items()))
        return cls(annotator, labelled.calls, entries, tuple(plots), kept)

    def as_json(self) -> str:
        """Return it as a file's content."""
        rows = [dataclasses.astuple(each) for each in self.entries]
        head = {"format": _KEPT, "annotator": self.annotator, "calls": self.calls}
        kept = {"entries": rows, "elsewhere": dict(self.elsewhere)}
        return json.dumps(head | kept, separators=(",", ":")) + "\n"

    @classmethod
    def read(cls, path: Path) -> Reviewable:
        """Read what `as_json` wrote.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is another file.
        """
        content = json_object(path, "clusters of a run of `logagent-build alpha`")
        try:
            if content["format"] != _KEPT:
                raise ValueError
            entries = tuple(
                Entry(
                    _key(key),
                    printable(str(text), LONGEST),
                    int(lines),
                    int(cluster),
                    bool(label),
                    float(wrong),
                    re.sub("[^01?]", "", str(votes)),
                    printable(str(reason)),
                    bool(reviewed),
                )
                for key, text, lines, cluster, label, wrong, votes, reason, reviewed in content[
                    "entries"
                ]
            )
            kept = tuple(
                (_key(key), bool(label)) for key, label in content.get("elsewhere", {}).items()
            )
            annotator, calls = printable(str(content["annotator"])), int(content["calls"])
            return cls(annotator, calls, entries, (), kept)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise ValueError(f"{path}: not of the format {_KEPT!r}; run alpha again") from None


def _key(value: object) -> str:
    if not isinstance(value, str) or KEY.fullmatch(value) is None:
        raise ValueError("no template key")
    return value


def apply(pool: Pool, corrections: Mapping[str, bool]) -> dict[int, bool]:
    """Return the corrected label of each entry that one is there for."""
    found = {}
    for entry, template in enumerate(pool.templates):
        label = corrections.get(template_key(template))
        if label is not None:
            found[entry] = label
    return found


def rows(labelled: Labelled, places: Sequence[Place]) -> Iterator[str]:
    """Yield the table of labels, a row for each line, header first.

    `how` is ``reviewed`` (a person), ``voted`` (a line of its template was asked), ``propagated``,
    or ``doubtful`` (propagated, and wrong with a probability of 0.2 or more). Votes are those on
    the lines of its template if there are any, else of its cluster.
    """
    pool = labelled.pool
    yield HEADER
    per_entry: dict[int, list[bool]] = {}
    reasons: dict[int, str] = {}
    for voted in labelled.voted:
        for vote in voted.votes:
            if vote.anomalous is not None:
                entry = int(pool.entry[vote.line])
                per_entry.setdefault(entry, []).append(vote.anomalous)
                reasons.setdefault(entry, vote.reason)
    middle = []
    for entry in range(len(pool.templates)):
        cluster = labelled.voted[int(labelled.clustering.of[entry])]
        own = per_entry.get(entry)
        votes = own or [each.anomalous for each in cluster.votes if each.anomalous is not None]
        if entry in labelled.reviewed:
            how = "reviewed"
        elif own:
            how = "voted"
        else:
            how = "doubtful" if labelled.wrong[entry] >= UNSURE else "propagated"
        middle.append(f"{int(labelled.anomalous[entry])}\t{how}\t{sum(votes)}\t{len(votes)}")
    for place, entry, line in zip(places, pool.entry.tolist(), pool.lines, strict=True):
        reason = printable(reasons.get(entry, ""))
        text = printable(line, _LONGEST_TEXT)
        yield f"{middle[entry]}\t{printable(place.file)}\t{place.number}\t{reason}\t{text}\n"
