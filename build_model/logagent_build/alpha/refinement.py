"""Few-shot examples chosen from the labeller's own errors, in two steps: §IV-B3.

Step 1: the validation set is labelled with randomly selected examples; what is mislabelled replaces
some of them. Step 2: the clusters ("semantic categories or log types") that are misread most often
get a few representative lines of theirs added. The validation set is small, labelled by people, and
prepared once.

Not in the paper, and said so where it matters: the sets are compared on lines that are in none of
them, and the best is kept, so that refinement never makes the labels worse there; lines of the
validation set that serve as examples are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.labeller import Example, LabelLines

__all__ = ["SHOTS", "TIMES", "Refined", "refine"]

SHOTS = 8
"""Examples of the first, random prompt; the paper does not say how many."""
TIMES = 3
"""How often the whole set is asked, at most: a bound of the cost."""
ADDED = 4
"""Most examples that step 2 adds: "a small number"."""


@dataclass(frozen=True, slots=True)
class Refined:
    """The examples to use, and what each step gave."""

    examples: tuple[Example, ...]
    """The best of the three sets."""
    step: str
    """Which it is: ``random``, ``errors`` (step 1) or ``clusters`` (step 2)."""
    accuracy: dict[str, float]
    """Of each set on the lines that are in none of them."""
    worst: tuple[int, ...]
    """Clusters misread most often, most errors first; empty if there was no error."""


def refine(
    lines: Sequence[str],
    labels: Sequence[bool],
    clusters: npt.NDArray[np.int64],
    labeller: LabelLines,
    *,
    shots: int = SHOTS,
    added: int = ADDED,
    seed: int = 0,
) -> Refined:
    """Refine the few-shot examples on a validation set.

    Args:
        lines: the validation set, as a labeller sees them; at least twice `shots`.
        labels: theirs, by people.
        clusters: cluster of each line.
        labeller: whom to ask; it is asked the whole set `TIMES` times at most.
        shots: examples of the first prompt, about half of each class where there are enough.
        added: most examples that step 2 adds.
        seed: of the random choice.

    Raises:
        ValueError: the set is too small.
    """
    if len(lines) < 2 * shots:
        raise ValueError(f"validation set of {len(lines)} lines: at least {2 * shots} are needed")
    rng = np.random.default_rng(seed)
    first = _random(labels, shots, rng)
    wrong = _wrong(lines, labels, first, labeller)

    # Step 1: hard cases take the place of random examples, half of them at most.
    misread = [at for at in _spread(wrong, clusters) if at not in first]
    hard = misread[: max(1, shots // 2)]
    second = [*first[: shots - len(hard)], *hard]
    still = _wrong(lines, labels, second, labeller)

    # Step 2: a representative line each of the clusters that are misread most often.
    errors = Counter(int(clusters[at]) for at in [*wrong, *still])
    worst = [number for number, _ in errors.most_common(added)]
    third = list(second)
    for number in worst:
        inside = [at for at in np.flatnonzero(clusters == number).tolist() if at not in third]
        third += inside[:1]
    last = _wrong(lines, labels, third, labeller) if len(third) > len(second) else still

    used = {*first, *second, *third}
    judged = [at for at in range(len(lines)) if at not in used]
    sets = {"random": (first, wrong), "errors": (second, still), "clusters": (third, last)}
    accuracy = {
        name: 1 - len(set(mistakes) & set(judged)) / max(1, len(judged))
        for name, (_, mistakes) in sets.items()
    }
    best = max(accuracy, key=lambda name: accuracy[name])  # the first of equals: the shortest
    examples = tuple((lines[at], bool(labels[at])) for at in sets[best][0])
    return Refined(examples, best, accuracy, tuple(worst))


def _random(labels: Sequence[bool], shots: int, rng: np.random.Generator) -> list[int]:
    order = rng.permutation(len(labels)).tolist()
    sides = [[at for at in order if labels[at]], [at for at in order if not labels[at]]]
    paired = [at for pair in zip(*sides, strict=False) for at in pair]  # one of each, in turn
    chosen = paired[: shots - shots % 2]
    rest = [at for at in order if at not in chosen]
    return chosen + rest[: shots - len(chosen)]


def _wrong(
    lines: Sequence[str], labels: Sequence[bool], chosen: Sequence[int], labeller: LabelLines
) -> list[int]:
    examples = [(lines[at], bool(labels[at])) for at in chosen]
    answers = labeller(lines, examples)
    return [
        at
        for at, (answer, label) in enumerate(zip(answers, labels, strict=True))
        if answer.anomalous is not None and answer.anomalous is not bool(label)
    ]


def _spread(wrong: Sequence[int], clusters: npt.NDArray[np.int64]) -> list[int]:
    """Order mistakes so that each cluster's first comes before any cluster's second."""
    seen: Counter[int] = Counter()
    turn: dict[int, int] = {}
    for at in wrong:
        turn[at] = seen[int(clusters[at])]
        seen[int(clusters[at])] += 1
    return sorted(wrong, key=lambda at: (turn[at], at))
