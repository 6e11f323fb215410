"""What tells anomalous lines of a corpus from normal ones without being the reason.

A language model that writes both classes writes them in two voices: anomalies with ERROR before
them, at night, in longer lines. A detector trained on that learns the voice. Measured are

* ``header``: time, host, process number, form of the header, level, and nothing of the message;
* ``level``: the header's level alone;
* ``length``: Kolmogorov-Smirnov distance between the lengths of both classes;
* ``number``: what numbers the message has, and no words;
* ``trivial``: words for levels anywhere, length, and the first word. Some of that is meaning (a
  line that begins with ``panic`` is no routine), so it is compared with other corpora, not with
  chance.

All but the length are areas under the ROC of a logistic regression, the mean of five
cross-validated folds: 0.5 is chance, 1 tells the classes apart. Guarantees: the same lines and
seed give the same figures; None where a class has fewer than five lines.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler

from logagent_build.synthesize.anatomy import Parts, level_words, split

__all__ = [
    "Leaks",
    "auroc",
    "distance",
    "gap",
    "header_features",
    "level_features",
    "measure",
    "near_chance",
    "near_lengths",
]

_FOLDS = 5
_SLACK_AUROC = 0.05  # above chance that harms nobody, however many lines there are
_SLACK_DISTANCE = 0.15  # likewise, of the distance of lengths
_CRITICAL = 1.358  # Kolmogorov-Smirnov, two samples, 5 %: times sqrt((m + n) / (m n))
_STANDARD_ERRORS = 2.0
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_HEX = re.compile(r"\b0x[0-9a-fA-F]+\b")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_FIRST = re.compile(r"[^\W\d_][\w-]*")
Features = dict[str, float]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Figures of a corpus; see the module."""

    header: float | None
    level: float | None
    length: float | None
    number: float | None
    trivial: float | None


def measure(lines: Sequence[str], labels: Sequence[int], seed: int = 0) -> Leaks:
    """Measure a corpus.

    Args:
        lines: whole lines.
        labels: 0 or 1 of each.
        seed: of the folds.
    """
    parts = [split(line) for line in lines]
    return Leaks(
        auroc([header_features(each) for each in parts], labels, seed),
        auroc([level_features(each) for each in parts], labels, seed),
        distance([len(line) for line in lines], labels),
        auroc([_numbers(each.said) for each in parts], labels, seed),
        auroc(
            [_trivial(line, each) for line, each in zip(lines, parts, strict=True)], labels, seed
        ),
    )


def near_chance(value: float | None, labels: Sequence[int]) -> bool:
    """Return whether an area is within two standard errors of 0.5, or 0.05.

    The standard error is that of a classifier which knows nothing (Hanley and McNeil 1982).
    """
    ones = sum(labels)
    zeros = len(labels) - ones
    if value is None or not ones or not zeros:
        return True
    error = math.sqrt((ones + zeros + 1) / (12 * ones * zeros))
    return value <= 0.5 + max(_SLACK_AUROC, _STANDARD_ERRORS * error)


def near_lengths(value: float | None, labels: Sequence[int]) -> bool:
    """Return whether a distance of lengths is no more than chance makes in one of 20, or 0.15."""
    ones = sum(labels)
    zeros = len(labels) - ones
    if value is None or not ones or not zeros:
        return True
    return value <= max(_SLACK_DISTANCE, _CRITICAL * math.sqrt((ones + zeros) / (ones * zeros)))


def auroc(rows: Sequence[Features], labels: Sequence[int], seed: int = 0) -> float | None:
    """Return the cross-validated area under the ROC; None if a class has too few rows."""
    truth = np.asarray(labels)
    if min(truth.sum(), len(truth) - truth.sum()) < _FOLDS:
        return None
    table = MaxAbsScaler().fit_transform(DictVectorizer().fit_transform(rows))
    fold = _dealt(truth, seed)
    areas = []
    for number in range(_FOLDS):
        known, unknown = fold != number, fold == number
        # liblinear is made for few rows with many columns: lbfgs takes ten times as long.
        model = LogisticRegression(class_weight="balanced", solver="liblinear")
        model.fit(table[known], truth[known])
        scores = model.decision_function(table[unknown])
        areas.append(_area(scores[truth[unknown] == 1], scores[truth[unknown] == 0]))
    return float(np.mean(areas))


def _dealt(truth: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row; every fold has its share of both classes."""
    source = np.random.default_rng(seed)
    fold = np.empty(len(truth), np.int64)
    for label in (0, 1):
        rows = source.permutation(np.flatnonzero(truth == label))
        fold[rows] = np.arange(len(rows)) % _FOLDS
    return fold


def _area(ones: npt.NDArray[np.float64], zeros: npt.NDArray[np.float64]) -> float:
    """Return the share of pairs in which the anomalous row has the higher score, ties half."""
    difference = ones[:, None] - zeros
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def distance(lengths: Sequence[int], labels: Sequence[int]) -> float | None:
    """Return the Kolmogorov-Smirnov distance between both classes; None if one is empty."""
    if len(set(labels)) < 2:
        return None
    every, truth = np.asarray(lengths), np.asarray(labels)
    one, zero = np.sort(every[truth == 1]), np.sort(every[truth == 0])
    up_to_one = np.searchsorted(one, every, "right") / len(one)
    up_to_zero = np.searchsorted(zero, every, "right") / len(zero)
    return float(np.abs(up_to_one - up_to_zero).max())


def gap(lengths: Sequence[int], labels: Sequence[int]) -> tuple[int, int]:
    """Return the length up to which the shares of the classes differ most, and whose is larger.

    Args:
        lengths: of lines of both classes.
        labels: 0 or 1 of each.
    """
    total = Counter(labels)
    up_to: Counter[int] = Counter()
    best, found = -1.0, (0, 0)
    rows = sorted(zip(lengths, labels, strict=True))
    for number, (length, label) in enumerate(rows):
        up_to[label] += 1
        if number + 1 < len(rows) and rows[number + 1][0] == length:
            continue
        difference = up_to[0] / total[0] - up_to[1] / total[1]
        if abs(difference) > best:
            best, found = abs(difference), (length, int(difference < 0))
    return found


def header_features(parts: Parts) -> Features:
    """Return what a header says, but for the program."""
    made: Features = {f"shape={parts.prefix_shape}|{parts.tail_shape}": 1.0}
    made["length"] = float(len(parts.prefix) + len(parts.tail))
    for place, word in enumerate(_WORD.findall(parts.prefix + parts.tail)):
        made[f"{place}={word}"] = 1.0
        if word.isdigit():
            made[f"{place} number"] = math.log10(1 + min(int(word[:15]), 10**15))
    return made | level_features(parts)


def level_features(parts: Parts) -> Features:
    """Return the level of a header alone."""
    return {f"level={parts.level}": 1.0}


def _numbers(message: str) -> Features:
    found = _NUMBER.findall(message)
    made: Features = {f"number={each[:20]}": 1.0 for each in found}
    made["numbers"] = math.log1p(len(found))
    made["digits"] = sum(map(len, found)) / max(len(message), 1)
    made["addresses"] = float(len(_ADDRESS.findall(message)))
    made["hexadecimal"] = float(len(_HEX.findall(message)))
    made["largest"] = max((len(each) for each in found), default=0)
    return made


def _trivial(line: str, parts: Parts) -> Features:
    made: Features = {f"word={level}": 1.0 for level in level_words(line)}
    made |= level_features(parts)
    made["length"] = math.log(1 + len(line))
    first = _FIRST.search(parts.said)
    if first:
        made[f"first={first[0].lower()}"] = 1.0
    return made
