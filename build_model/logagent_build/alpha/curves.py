"""The curves of Fig. 7 and the plots of Fig. 6 and 7, as SVG.

Fig. 7a: lines misclassified over sample sizes, for labels of the entry nearest to each centroid
and for majority votes. Fig. 7b: accuracy and coverage when the labels of lines further than ε from
their centroid are reversed. Our vectors have unit length, so ε runs from 0 to about 1.4, not to
100. Guarantees: plots hold no log text, and the word "simulated" where labels were.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.clusters import Choice, Clustering
from logagent_build.alpha.embeddings import Encode, embed, with_words
from logagent_build.alpha.labeller import LabelLines
from logagent_build.alpha.loop import Settings, label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.voting import propagate, vote

__all__ = [
    "Epsilon",
    "Misclassified",
    "drawing",
    "elbow_plot",
    "epsilon",
    "epsilon_plot",
    "known_labels",
    "misclassified",
    "misclassified_plot",
    "silhouette_plot",
    "svg",
]


@dataclass(frozen=True, slots=True)
class Epsilon:
    """Fig. 7b at one threshold."""

    epsilon: float
    """Distance to the centroid from which on labels are reversed."""
    coverage: float
    """Share of lines within it, in [0, 1]."""
    accuracy: float
    """Of the labels so reversed, in [0, 1]."""


def epsilon(
    clustering: Clustering,
    labels: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    count: npt.NDArray[np.int64],
    steps: int = 50,
) -> list[Epsilon]:
    """Sweep ε from 0 to the largest distance: §V-B2, Fig. 7b.

    Args:
        clustering: with the distances.
        labels: of entries, propagated.
        truth: of entries, from a validation set.
        count: lines of each entry, in the validation set; entries without lines do not count.
        steps: points of the curve, at least 2.
    """
    total = int(count.sum())
    curve = []
    for bar in np.linspace(0.0, float(clustering.distance.max()), num=steps):
        far = clustering.distance > bar
        right = (labels ^ far) == truth
        curve.append(
            Epsilon(float(bar), int(count[~far].sum()) / total, int(count[right].sum()) / total)
        )
    return curve


@dataclass(frozen=True, slots=True)
class Misclassified:
    """Fig. 7a at one sample size."""

    lines: int
    entries: int
    k: int
    nearest: int
    """Lines wrong, given the true label of the entry nearest to each centroid."""
    voted: int
    """Lines wrong, given the majority vote of the labeller on m representatives."""
    belief: int
    """Lines wrong after the calls that `belief` added; not in the paper."""
    calls: int
    """Lines asked for `belief`."""


def misclassified(
    lines: Sequence[bytes],
    truth: npt.NDArray[np.bool_],
    sizes: Sequence[int],
    encode: Encode,
    labeller: LabelLines,
    right: LabelLines,
    settings: Settings,
    *,
    progress: Callable[[float], None] = lambda _done: None,
) -> list[Misclassified]:
    """Count misclassified lines over sample sizes: §V-B2, Fig. 7a.

    Args:
        lines: the labelled lines; sample n is drawn from them without replacement.
        truth: bool (lines,).
        sizes: of the samples, each at most the lines there are.
        encode: the sentence encoder.
        labeller: whose votes are counted.
        right: a labeller that is always right.
        settings: `k`, `m`, `calls` and seed.
        progress: told the share that is done.
    """
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(lines))
    curve = []
    for done, size in enumerate(sizes, 1):
        kept = np.sort(order[:size])
        pool, real = Pool.of([lines[at] for at in kept]), truth[kept]
        vectors = with_words(embed(pool.templates, encode), pool.templates)
        labelled = label_pool(pool, vectors, labeller, settings)
        found = labelled.clustering
        nearest = propagate(found, vote(pool, found, right, 1))
        majority = propagate(found, vote(pool, found, labeller, settings.m))
        wrong = [
            int((labels[pool.entry] != real).sum())
            for labels in (nearest, majority, labelled.anomalous)
        ]
        shape = len(kept), len(pool.templates), found.k
        curve.append(Misclassified(*shape, wrong[0], wrong[1], wrong[2], labelled.calls))
        progress(done / len(sizes))
    return curve


def known_labels(lines: Sequence[bytes], truth: npt.NDArray[np.bool_]) -> dict[str, bool]:
    """Return the label of every line as a labeller sees it; the last of equal texts counts."""
    return {shown(line): bool(label) for line, label in zip(lines, truth, strict=True)}


def elbow_plot(choice: Choice) -> str:
    """Return Fig. 6a: inertia over k."""
    figure, axes = drawing("Elbow", "clusters k", "inertia (WCSS)")
    axes.plot(choice.tried, choice.inertia, marker="o", markersize=3)
    _marked(axes, choice)
    return svg(figure)


def silhouette_plot(choice: Choice) -> str:
    """Return Fig. 6b: mean silhouette over k."""
    figure, axes = drawing("Silhouette", "clusters k", "mean silhouette")
    axes.plot(choice.tried, choice.silhouette, marker="o", markersize=3)
    _marked(axes, choice)
    return svg(figure)


def epsilon_plot(curve: Sequence[Epsilon], note: str = "") -> str:
    """Return Fig. 7b. `note` is shown under the title, for example that labels are simulated."""
    figure, axes = drawing(f"Flipping distance{note and chr(10)}{note}", "ε", "share of lines")
    at = [each.epsilon for each in curve]
    axes.plot(at, [each.accuracy for each in curve], label="accuracy", color="tab:blue")
    axes.plot(at, [each.coverage for each in curve], label="coverage", color="tab:green")
    axes.set_ylim(0, 1.02)
    axes.legend()
    return svg(figure)


def misclassified_plot(curve: Sequence[Misclassified], note: str = "") -> str:
    """Return Fig. 7a. `note` is shown under the title."""
    figure, axes = drawing(
        f"Misclassified lines{note and chr(10)}{note}", "lines in the sample", "lines"
    )
    at = [each.lines for each in curve]
    axes.plot(at, [each.nearest for each in curve], marker="o", label="nearest, true label")
    axes.plot(at, [each.voted for each in curve], marker="s", label="majority vote")
    axes.plot(at, [each.belief for each in curve], marker="^", label="with belief")
    axes.legend()
    return svg(figure)


def _marked(axes: Any, choice: Choice) -> None:
    axes.axvline(choice.k, color="tab:red", linewidth=1, label=f"k = {choice.k}")
    axes.legend()


def drawing(title: str, x: str, y: str) -> tuple[Any, Any]:
    """Return an empty figure of matplotlib, and its axes."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # half a second to import

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def svg(figure: Any) -> str:
    """Return a figure as SVG, the same each time."""
    import matplotlib as mpl  # noqa: PLC0415

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "logagent"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
