"""Train the ensemble of a bundle: the paper's three voters and the forest, and where it cuts.

The forest decides; the others vote beside it. Whether a sequence is anomalous is a question of
where the forest's score is cut, and the labelled attacks cannot answer it: a new kind scores lower
than known ones do. So the cut is set by the normal sequences alone: at most a share of them,
`Settings.false_alarms`, may lie above it, each scored by a forest that was trained without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from logagent.sequences import features
from sklearn.ensemble import ExtraTreesClassifier

from logagent_build.sequences.choosing import distinct
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.voters import Forest, Neighbours, Network, Tree, Voter, majority

__all__ = ["Settings", "Trained", "train"]

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be chosen; the defaults were, on splits that are not reported."""

    neighbours: int = 2
    """Of KNN: the paper's 2 for ADFA, 1 for HDFS."""
    trees: int = 100
    """Of the forest: 200 gained nothing."""
    false_alarms: float = 0.05
    """Share of distinct normal sequences that the forest may flag."""
    least_cut: float = 0.3
    """Lowest cut: where nearly all normal sequences score 0, the share alone would set it at 0."""
    clearly: float = 1.0
    """Sequences that score above it are taken for anomalous where the forest is cut, whatever their
    label; below 1 if labels are votes, or if anomalies are among what has none."""
    with_paper: bool = True
    """Train the paper's three voters too."""
    least_leaf: int = 1
    """Sequences in a leaf of the forest, at least."""
    most_parameters: int | None = None
    """Of all voters together; None: no limit. Leaves of the forest are made larger until it takes
    half of that; a voter of the paper that finds no room is left out, and neighbours are drawn."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Voters, and what the agent needs to say what carried a verdict."""

    forest: Forest
    others: tuple[Voter, ...]
    """The paper's three: knn, tree, network; none without them."""
    vocabulary: tuple[str, ...]
    normal: npt.NDArray[np.float32]
    """Counts of normal training sequences, float32 (at most `PATTERNS`, vocabulary)."""

    def predict(self, test: Sequences) -> npt.NDArray[np.bool_]:
        """Return verdicts of the forest: (n,), true is anomalous."""
        return self.forest.predict(test)

    def score(self, test: Sequences) -> npt.NDArray[np.float64]:
        """Return scores of the forest: (n,), in [0, 1]."""
        return self.forest.score(test)

    def vote(self, test: Sequences) -> npt.NDArray[np.bool_]:
        """Return the majority of all voters, a tie being normal (Eq. 6): (n,)."""
        return majority([each.predict(test) for each in (*self.others, self.forest)])


PATTERNS = 200  # normal sequences the agent compares with: 200 x 175 counts are 70 kB


PATTERN_COUNTS = 1_000_000  # in all of them: 2 MB of a part that may have 8


def train(
    data: Sequences,
    settings: Settings = Settings(),  # frozen
    seed: int = 0,
    unlabelled: Sequences | None = None,
    *,
    blocks: npt.NDArray[np.int64] | None = None,
    hidden: int = 0,
) -> Trained:
    """Train the voters.

    Args:
        data: labelled sequences.
        settings: see there.
        seed: of everything random.
        unlabelled: sequences of the same system that were not asked about, if the labelled ones
            were chosen (`choosing.asked`): they count as normal where the forest is cut, and only
            there. Chosen ones are the doubtful ones, and would put the cut too high.
        blocks: int64 (n,): sequences of one block have something in common, and are never on both
            sides where the cut is set; then `data` must be distinct. None: each is its own.
        hidden: how many of the distinct unlabelled ones are anomalous, by estimate
            (`choosing.hidden`): as many, the highest scores first, are not counted as normal.

    Raises:
        ValueError: all sequences are normal, or all are anomalous.
    """
    once = data.only(distinct(data))
    settings, forest = _forest(once, settings, seed)
    others: tuple[Voter, ...] = ()
    if settings.with_paper:
        others = _others(data, forest, settings, seed)
    forest.cut = _cut(once, forest, settings, seed, unlabelled, blocks, hidden)
    normal = np.flatnonzero(~once.anomalous)
    most = min(PATTERNS, PATTERN_COUNTS // len(data.vocabulary))
    kept = np.random.default_rng([seed, 3]).permutation(normal)[:most]
    patterns = features.counts_of(once.only(np.sort(kept)).events, len(data.vocabulary))
    return Trained(forest, others, data.vocabulary, patterns)


def _forest(once: Sequences, settings: Settings, seed: int) -> tuple[Settings, Forest]:
    """Train the forest; return it with the settings that made it fit."""
    while True:
        forest = Forest(seed, settings.trees, settings.least_leaf).fit(once)
        if settings.most_parameters is None or forest.parameters <= settings.most_parameters // 2:
            return settings, forest
        settings = replace(settings, least_leaf=2 * settings.least_leaf)


def _others(data: Sequences, forest: Forest, settings: Settings, seed: int) -> tuple[Voter, ...]:
    """Train the paper's voters, as far as there is room for them."""
    tree, network = Tree(seed), Network(seed)
    size, width = len(data), len(data.vocabulary)
    rows = size
    voters: list[Voter] = [tree.fit(data), network]
    if settings.most_parameters is not None:
        room = settings.most_parameters - forest.parameters
        voters = []
        if tree.parameters <= room // 2:
            voters.append(tree)
            room -= tree.parameters
        if network.width * (width + 2) + 1 <= room // 2:
            voters.append(network)
            room -= network.width * (width + 2) + 1
        rows = min(size, room // (width + 1))
    if network in voters:
        network.fit(data)
    known = data
    if rows < size:
        drawn = np.random.default_rng([seed, 6]).permutation(size)[:rows]
        known = data.only(np.sort(drawn))
    if known.anomalous.any() and not known.anomalous.all():
        voters.insert(0, Neighbours(min(settings.neighbours, rows)).fit(known))
    return tuple(voters)


def _cut(
    once: Sequences,
    forest: Forest,
    settings: Settings,
    seed: int,
    unlabelled: Sequences | None,
    blocks: npt.NDArray[np.int64] | None,
    hidden: int,
) -> float:
    table = forest.table(once)
    numbers = np.arange(len(once)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    fold = (np.random.default_rng([seed, 4]).permutation(int(numbers.max()) + 1) % FOLDS)[numbers]
    scores = np.zeros(len(once))
    for part in range(FOLDS):
        inside, outside = fold != part, fold == part
        labels = once.anomalous[inside]
        if not outside.any() or labels.all() or not labels.any():
            continue  # too few to leave some out: what is left stands at 0
        model = ExtraTreesClassifier(
            settings.trees, random_state=seed, min_samples_leaf=settings.least_leaf
        )
        scores[outside] = model.fit(table[inside], labels).predict_proba(table[outside])[:, 1]
    normal = scores[~once.anomalous]
    if unlabelled is not None and len(unlabelled):
        others = forest.score(unlabelled.only(distinct(unlabelled)))
        likely = np.sort(others)[: max(0, len(others) - hidden)]
        normal = np.concatenate([normal, likely])
    normal = normal[normal <= settings.clearly]
    bar = float(np.quantile(normal, 1 - settings.false_alarms)) if len(normal) else 0.0
    bar = max(bar, settings.least_cut)
    # Between two numbers of trees, so that rounding never decides.
    return (math.floor(bar * settings.trees + 1e-6) + 0.5) / settings.trees
