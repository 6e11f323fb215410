"""Mask what varies in a log line: the template, which the model sees and alerts are grouped by.

====================================== ==========================================
a stand-alone zero (also ``0x0``)       ``0``
any other stand-alone number            ``#``
HTTP status of an access log            its class: ``5xx``
number after code, status, errno, rc,   kept as it is (up to five digits)
exit, signal, error, err, ret, result
any other number (times, addresses, …)  absent: only its punctuation stays
hexadecimal and random identifiers      ``*``
digits inside words (``eth0``, ``sda1``) deleted: ``eth``, ``sda``
====================================== ==========================================

Vectorised over all the lines of a call: no regular expression and no Python work per line. Shared
with the pipeline: the model is trained on these templates.

Guarantees: one template per line, in order, for any bytes; the template of a line does not depend
on the lines beside it. Memory: O(bytes of the call).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent.kept import (
    ANY_LETTER,
    CLASS,
    DIGIT,
    HEX_LETTER,
    LEFT,
    LETTER,
    NEWLINE,
    RIGHT,
    ZERO,
    ZERO_DIGIT,
    Bytes,
    Index,
    follow_code,
    http_statuses,
    ranges,
)

__all__ = ["MAX_TEMPLATE_BYTES", "NORMALISER_VERSION", "Templates", "templates"]

MAX_TEMPLATE_BYTES = 2048  # [bytes] of a line that are read for its template: bounds a miss's cost
NORMALISER_VERSION = 1  # stored in bundles; a bundle made with other masks must not be used

_CARRIAGE_RETURN = ord("\r")
_ID_BYTES = 20  # [bytes] a run of letters and digits this long …
_ID_DIGITS = 4  # … with this many digits is an identifier, not a word (Http11NioProtocol is one)
_HEX_BYTES = 4  # [bytes] shortest run of hexadecimal digits taken for a number: fd0, ec2 stay words


@dataclass(frozen=True, slots=True)
class Templates:
    """What `templates` found; all lists and arrays have one entry per line."""

    templates: list[bytes]
    """The masked lines."""
    coded: npt.NDArray[np.bool_]
    """Whether the template keeps a number that the fast key has lost (``exit code 139``): the
    verdict of such a line must not be remembered under its fast key."""


def templates(lines: Sequence[bytes]) -> Templates:
    """Mask the variables of many lines at once.

    Args:
        lines: lines without newline; only the first `MAX_TEMPLATE_BYTES` of each are read.
    """
    if not lines:
        return Templates([], np.zeros(0, bool))
    if max(map(len, lines)) > MAX_TEMPLATE_BYTES:
        lines = [line[:MAX_TEMPLATE_BYTES] for line in lines]
    # A newline before and after: every token has a neighbour on both sides.
    data = b"\n" + b"\n".join(lines) + b"\n"
    raw = np.frombuffer(data, np.uint8)
    classes = np.frombuffer(data.translate(CLASS), np.uint8)

    edges = np.flatnonzero(np.diff(classes != 0)) + 1
    if not len(edges):
        return Templates([_strip(line) for line in lines], np.zeros(len(lines), bool))
    starts, ends = edges[0::2], edges[1::2]
    flags = np.bitwise_or.reduceat(classes, starts)  # separators add nothing

    out = raw.copy()
    drop = (classes & DIGIT) != 0
    drop |= raw == _CARRIAGE_RETURN

    numeric = np.flatnonzero(flags & DIGIT)
    opaque = _opaque(raw, classes, starts, ends, flags, numeric)
    drop[ranges(starts[opaque], ends[opaque])] = True
    out[starts[opaque]] = ord("*")
    drop[starts[opaque]] = False
    out[starts[opaque[_null(raw, starts, ends, flags, opaque)]]] = ZERO

    numbers = numeric[(flags[numeric] & ANY_LETTER) == 0]
    at, end = starts[numbers], ends[numbers]
    alone = LEFT[raw[at - 1]] & RIGHT[raw[end]]
    zero = alone & (flags[numbers] == ZERO_DIGIT) & (end - at == 1)
    drop[at[alone]] = False
    out[at[alone & ~zero]] = ord("#")

    status = http_statuses(raw)
    out[status] = raw[status]
    drop[status] = False
    for more in (1, 2):
        out[status + more] = ord("x")
        drop[status + more] = False

    codes = follow_code(raw, at, end)
    codes[np.searchsorted(at, status)] = False
    coded = np.zeros(len(lines), bool)
    if codes.any():
        digits = ranges(at[codes], end[codes])
        out[digits] = raw[digits]
        drop[digits] = False
        newlines = np.flatnonzero(raw == NEWLINE)
        coded[np.searchsorted(newlines, at[codes]) - 1] = True
    masked = out[~drop].tobytes().split(b"\n")[1:-1]
    return Templates(masked, coded)


def _strip(line: bytes) -> bytes:
    return line.replace(b"\r", b"")


def _opaque(
    raw: Bytes, classes: Bytes, starts: Index, ends: Index, flags: Bytes, numeric: Index
) -> Index:
    """Return the tokens that are hexadecimal numbers or random identifiers."""
    kinds = flags[numeric]
    size = ends[numeric] - starts[numeric]
    first = classes[starts[numeric]]
    hexadecimal = (
        ((kinds & HEX_LETTER) != 0)
        & ((kinds & LETTER) == 0)
        & ((size >= _HEX_BYTES) | ((first & DIGIT) != 0))
    )
    at = starts[numeric]
    prefixed = (raw[at] == ZERO) & ((raw[at + 1] | 0x20) == ord("x")) & (size > 2)
    long = np.flatnonzero((size >= _ID_BYTES) & ((kinds & ANY_LETTER) != 0) & ~hexadecimal)
    random = np.zeros(len(numeric), bool)
    if len(long):
        bounds = np.stack((at[long], ends[numeric][long]), axis=1).ravel()
        counts = np.add.reduceat(((classes & DIGIT) != 0).astype(np.int32), bounds)[0::2]
        random[long] = counts >= _ID_DIGITS
    opaque = np.zeros(len(starts), bool)
    opaque[numeric[hexadecimal | prefixed | random]] = True
    _extend_uuid_groups(raw, starts, ends, flags, opaque)
    return np.flatnonzero(opaque)


def _extend_uuid_groups(
    raw: Bytes,
    starts: Index,
    ends: Index,
    flags: Bytes,
    opaque: npt.NDArray[np.bool_],
) -> None:
    """Mark the groups of a UUID that happen to have no digit ("…-fade-…") or no letter.

    A group of 4, 8 or 12 hexadecimal characters joined by one hyphen to an opaque token. Two
    rounds: the neighbour may be such a group itself.
    """
    size = ends - starts
    group = ((size == 4) | (size == 8) | (size == 12)) & ((flags & LETTER) == 0)
    joined = np.zeros(len(starts) + 1, bool)  # joined[i]: token i-1 and i by exactly one hyphen
    joined[1:-1] = (starts[1:] - ends[:-1] == 1) & (raw[ends[:-1]] == ord("-"))
    for _ in range(2):
        beside = np.zeros(len(starts), bool)
        beside[1:] |= joined[1:-1] & opaque[:-1]
        beside[:-1] |= joined[1:-1] & opaque[1:]
        opaque |= group & beside


def _null(
    raw: Bytes, starts: Index, ends: Index, flags: Bytes, opaque: Index
) -> npt.NDArray[np.bool_]:
    """Tell which opaque tokens are 0x0 or 0x0000: throttled=0x0 is not throttled=0x50005."""
    at = starts[opaque]
    null: npt.NDArray[np.bool_] = (flags[opaque] == (ZERO_DIGIT | LETTER)) & (
        (raw[at + 1] | 0x20) == ord("x")
    )
    for index in np.flatnonzero(null):  # rare: zeros, x, and no letter but one that is not a-f
        token = raw[starts[opaque[index]] + 2 : ends[opaque[index]]]
        null[index] = (token == ZERO).all()
    return null
