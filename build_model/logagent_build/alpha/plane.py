"""Fig. 2: the templates in a plane, by t-SNE of their vectors, coloured by label.

The paper draws lines by their true labels, to show that anomalies lie together. Here there is a
point for each template, with the label it was given; larger ones have more lines. Near points are
alike; distances between far ones mean nothing.

Guarantees: seeded, one thread: the same vectors and labels give the same picture. It holds no log
text, and the word "simulated" where labels were. At most `MOST` templates are drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.curves import drawing, svg

__all__ = ["MOST", "plot", "positions"]

MOST = 2000
"""Templates drawn: 5 s of one core, and a picture of 0.3 MB."""
_FEWEST = 5  # templates; fewer are no picture
_PERPLEXITY = 30.0  # neighbours of a point, about; scikit-learn's choice
_DIMENSIONS = 50  # that t-SNE begins with, by principal components, as its authors do
_ROUNDS = 500  # clusters have formed by then; twice as many moved them little
_COLOURS = ("tab:blue", "tab:red")


def positions(vectors: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float32]:
    """Return where vectors lie in the plane: float32 (n, 2).

    Args:
        vectors: float32 (n, d), n at least `_FEWEST`.
        seed: of t-SNE.
    """
    from sklearn.manifold import TSNE  # noqa: PLC0415  # a second to import
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    with threadpool_limits(1):  # sums over threads come in another order
        centred = vectors.astype(np.float64) - vectors.mean(axis=0)
        left, spans, _ = np.linalg.svd(centred, full_matrices=False)  # principal components
        reduced = (left * spans)[:, :_DIMENSIONS]
        spread = float(reduced[:, 0].std()) or 1.0
        begin = (reduced[:, :2] / spread * 1e-4).astype(np.float32)
        model = TSNE(
            perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3),
            init=begin,
            max_iter=_ROUNDS,
            random_state=seed,
            n_jobs=1,
        )
        found: npt.NDArray[np.float32] = model.fit_transform(reduced.astype(np.float32))
    return found


def plot(
    vectors: npt.NDArray[np.float32],
    anomalous: npt.NDArray[np.bool_],
    doubtful: npt.NDArray[np.bool_],
    count: npt.NDArray[np.int64],
    seed: int = 0,
    note: str = "",
) -> str:
    """Return Fig. 2 as SVG; empty if there are too few templates.

    Args:
        vectors: of the templates, float32 (n, d).
        anomalous: their labels.
        doubtful: whether a label is in doubt: a ring around the point.
        count: lines of each.
        seed: of which templates are drawn where there are more than `MOST`, and of t-SNE.
        note: shown under the title, for example that labels are simulated.
    """
    if len(vectors) < _FEWEST:
        return ""
    kept = np.arange(len(vectors))
    if len(kept) > MOST:
        kept = np.sort(np.random.default_rng(seed).choice(len(kept), MOST, replace=False))
    at = positions(vectors[kept], seed)
    part = f"{len(kept):,} of {len(vectors):,} templates" if len(kept) < len(vectors) else ""
    title = "\n".join(filter(None, ("Templates by t-SNE", part, note)))
    figure, axes = drawing(title, "", "")
    # One size for many points: SVG then draws each by reference, a tenth as large.
    size = 6 + 3 * np.minimum(np.log10(count[kept]).round(), 4)
    for side, name in enumerate(("normal", "anomalous")):
        axes.scatter([], [], color=_COLOURS[side], label=name)
        for each in np.unique(size):
            here = (anomalous[kept] == bool(side)) & (size == each)
            axes.scatter(*at[here].T, s=each, color=_COLOURS[side], alpha=0.6, linewidths=0)
    ringed = doubtful[kept]
    if ringed.any():
        axes.scatter(
            *at[ringed].T,
            s=40,
            facecolors="none",
            edgecolors="black",
            linewidths=0.6,
            label="in doubt",
        )
    axes.set(xticks=[], yticks=[])
    axes.legend(fontsize="small")
    return svg(figure)
