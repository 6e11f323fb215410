"""The paper's Tables II and III on the labelled data that are there.

Table II: a training set of 60 % anomalies, an imbalanced test set (I) with 21.8 % and a balanced
one (B) with 40 %. The paper draws them from the whole of Thunderbird; here sizes are scaled to
what the data have of both classes. Training and test share no line; templates they may share, as
in the paper, whose lines of one event are in both.

Table III: F1 of SVM and LR on both test sets, trained on true labels, on labels propagated from
true labels of representatives, and on labels propagated from a labeller's votes, with what each
costs in lines asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.detectors import scores, train
from logagent_build.alpha.embeddings import Encode, embed, with_words
from logagent_build.alpha.labeller import LabelLines
from logagent_build.alpha.loop import Settings, label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.samples import LabelledLines

__all__ = ["TABLE_II", "Row", "Sets", "compare", "markdown", "split"]

TABLE_II = {"train": (4000, 6000), "I": (3910, 1090), "B": (3000, 2000)}
"""Benign and anomalous lines of each set in the paper."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The three sets of Table II."""

    train: LabelledLines
    imbalanced: LabelledLines
    balanced: LabelledLines
    scale: float
    """Size in relation to the paper's, at most 1."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table III."""

    source: str
    """Where labels came from."""
    test: str
    """``I`` or ``B``."""
    model: str
    f1: float
    """In [0, 1]."""
    asked: int
    """Lines whose label was asked for."""


def split(data: LabelledLines, seed: int = 0, least: int = 20) -> Sets | None:
    """Draw the sets of Table II, or None if a class has too few lines.

    Test sets I and B may share lines with each other, as each is looked at alone.

    Args:
        data: labelled lines.
        seed: of the draw.
        least: anomalous lines the smallest set must have.
    """
    rng = np.random.default_rng(seed)
    benign = rng.permutation(np.flatnonzero(~data.truth))
    anomalous = rng.permutation(np.flatnonzero(data.truth))
    most = [
        max(each[side] for name, each in TABLE_II.items() if name != "train") for side in (0, 1)
    ]
    first = TABLE_II["train"]
    scale = min(1.0, len(benign) / (first[0] + most[0]), len(anomalous) / (first[1] + most[1]))
    if TABLE_II["I"][1] * scale < least:
        return None

    def take(name: str, begin: tuple[int, int]) -> LabelledLines:
        wanted = [int(number * scale) for number in TABLE_II[name]]
        kept = [
            side[at : at + n]
            for side, at, n in zip((benign, anomalous), begin, wanted, strict=True)
        ]
        return data.only(np.sort(np.concatenate(kept)))

    after = (int(first[0] * scale), int(first[1] * scale))
    return Sets(take("train", (0, 0)), take("I", after), take("B", after), scale)


def compare(
    sets: Sets,
    encode: Encode,
    right: LabelLines,
    labeller: LabelLines,
    settings: Settings,
    *,
    models: Sequence[str] = ("svm", "lr"),
    name: str = "ALPHA",
    progress: Callable[[float], None] = lambda _done: None,
) -> list[Row]:
    """Fill Table III.

    Args:
        sets: of Table II.
        encode: the sentence encoder.
        right: a labeller that is always right: "active learning with human labels".
        labeller: whose labels ALPHA propagates.
        settings: of the labelling.
        models: names of detectors.
        name: of the row of `labeller`; say there if it is a simulation.
        progress: told the share that is done.
    """
    pool = Pool.of(sets.train.lines)
    vectors = with_words(embed(pool.templates, encode), pool.templates)
    true = np.bincount(pool.entry, sets.train.truth, len(pool.templates)) / pool.count >= 0.5
    sources: list[tuple[str, npt.NDArray[np.bool_], int]] = [
        ("true labels", true, len(sets.train.lines))
    ]
    for title, who in (("propagated true labels", right), (name, labeller)):
        found = label_pool(pool, vectors, who, settings)
        sources.append((title, found.anomalous, found.calls))
        progress(len(sources) / 4)
    texts = [shown(pool.lines[at]) for at in pool.first]
    rows = []
    for source, labels, asked in sources:
        for model in models:
            detector = train(texts, labels, pool.count, model, seed=settings.seed)
            for test, lines in (("I", sets.imbalanced), ("B", sets.balanced)):
                flags = detector.predict([shown(line) for line in lines.lines])
                rows.append(Row(source, test, model, scores(flags, lines.truth).f1, asked))
    progress(1.0)
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Return Table III as Markdown, F1 in per cent."""
    head = "| labels | asked | test | model | F1 (%) |\n|---|---:|---|---|---:|\n"
    return head + "".join(
        f"| {row.source} | {row.asked:,} | {row.test} | {row.model} | {100 * row.f1:.2f} |\n"
        for row in rows
    )
