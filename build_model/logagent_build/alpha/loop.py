"""ALPHA from lines to labels, within a number of calls, and the feedback loop around it (Fig. 3).

    lines → pool → vectors → k → clusters → representatives → votes → labels → detector
                                                 ↑___ doubts ____|       F1 < target: more lines

`label_pool` is Algorithm 1 followed, unless `propagation` is ``paper``, by turns of asking where
`belief` expects most lines to be wrong. `feedback` is §IV-C1: label, train, measure on a validation
set, and add log data until the target F1 is met or the data end.

Guarantees: seeded, and a labeller that answers the same is asked the same lines in the same order:
a run that was stopped goes on from a store of answers. No line text is asked twice with the same
examples. A call is one line asked; never more than `Settings.calls`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logagent_build.alpha.belief import MOST_VOTES, Belief, Reading, believe, doubtful_first
from logagent_build.alpha.clusters import Choice, Clustering, candidates, choose_k, cluster
from logagent_build.alpha.detectors import Detector, Estimator, Scores, scores, train
from logagent_build.alpha.embeddings import Encode, embed, with_words
from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.voting import TAU, Vote, Voted, majority, propagate, vote

__all__ = ["Labelled", "Once", "Round", "Settings", "feedback", "label_pool"]

PROPAGATIONS = ("belief", "paper")
_TURN = 25  # lines; fewer turns ask more of one kind, more turns cost more exchanges
Progress = Callable[[str, float], None]
"""Told the name of a stage, and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to label."""

    calls: int
    """Most lines that may be asked; at least 4, and with ``belief`` at most half of
    `belief.MOST_VOTES`: the other half is for people's labels."""
    m: int = 5
    """Representatives of a cluster; fewer where `calls` does not suffice."""
    k: int | None = None
    """Clusters; None: by elbow and silhouette."""
    propagation: str = "belief"
    """``paper``: the majority of a cluster is the label of all its entries, nothing else is
    asked. ``belief``: see there."""
    sure: float = 0.0005
    """Share of lines expected to be wrong at which asking ends; only with ``belief``."""
    batch: int | None = None
    """Lines asked together in a turn of doubts, which is one exchange of batch files; None: a
    twentieth of `calls`, at least 25."""
    tau: float = TAU
    """See `voting`."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.propagation not in PROPAGATIONS:
            raise ValueError(f"propagation {self.propagation!r} is none of belief, paper")
        if self.calls < 4 or self.m < 1 or (self.batch is not None and self.batch < 1):
            raise ValueError("calls: at least 4; m and batch: at least 1")

    @property
    def most(self) -> int:
        """Lines that are asked at most."""
        return self.calls if self.propagation == "paper" else min(self.calls, MOST_VOTES // 2)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels of a pool, and all they rest on."""

    pool: Pool
    clustering: Clustering
    choice: Choice | None
    """How k was chosen; None if it was given."""
    voted: tuple[Voted, ...]
    """Votes of each cluster, later ones included, and their majority."""
    anomalous: npt.NDArray[np.bool_]
    """Label of each entry."""
    wrong: npt.NDArray[np.float64]
    """Probability that it is wrong, in [0, 0.5]; by votes alone with ``paper``."""
    calls: int
    """Lines asked."""
    reviewed: frozenset[int] = frozenset()
    """Entries whose label is a person's."""

    @property
    def of_lines(self) -> npt.NDArray[np.bool_]:
        """Label of each line: D_labeled of Eq. 4."""
        spread: npt.NDArray[np.bool_] = self.anomalous[self.pool.entry]
        return spread

    @property
    def expected_wrong(self) -> float:
        """Lines that are expected to be labelled wrong."""
        return float((self.wrong * self.pool.count).sum())


class Once:
    """A labeller that is asked no text twice with the same examples.

    Memory: O(texts asked).
    """

    def __init__(self, labeller: LabelLines) -> None:
        self._labeller = labeller
        self._known: dict[tuple[str, tuple[Example, ...]], Answer] = {}
        self.calls = 0
        """Lines asked of the labeller behind."""

    def __call__(self, lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
        """Answer from memory what was asked before, and ask the rest."""
        with_ = tuple(examples)
        new = [line for line in dict.fromkeys(lines) if (line, with_) not in self._known]
        if new:
            answers = self._labeller(new, examples)
            if len(answers) != len(new):
                raise ValueError(f"{len(new)} lines were asked, {len(answers)} answers came")
            self.calls += len(new)
            self._known |= {(line, with_): said for line, said in zip(new, answers, strict=True)}
        return [self._known[line, with_] for line in lines]


def label_pool(
    pool: Pool,
    vectors: npt.NDArray[np.float32],
    labeller: LabelLines,
    settings: Settings,
    *,
    examples: Sequence[Example] = (),
    reviewed: Mapping[int, bool] | None = None,
    progress: Progress = lambda _stage, _done: None,
) -> Labelled:
    """Label a pool by asking about a few of its lines.

    Args:
        pool: of the lines.
        vectors: of its entries, of unit length (`embeddings.embed`).
        labeller: whom to ask.
        settings: see there.
        examples: few-shot examples for the prompt (`refinement.refine`).
        reviewed: labels of entries by a person: they win, and belief spreads them.
        progress: told of ``clusters`` and ``labels``.
    """
    ask = Once(labeller)
    people = dict(reviewed or {})
    paper = settings.propagation == "paper"
    calls = settings.most
    first = calls if paper else max(2, calls // 2)
    choice, k = _k(vectors, pool, settings, first, progress)
    found = cluster(vectors, pool.count, k, seed=settings.seed)
    m = max(1, min(settings.m, first // found.k))
    m -= 1 - m % 2  # odd: a vote has a majority
    progress("labels", 0.0)
    voted = vote(pool, found, ask, m, examples=examples, tau=settings.tau)
    progress("labels", ask.calls / calls)
    if paper:
        labels = propagate(found, voted)
        share = np.array([each.share for each in voted])
        wrong = np.where(share > 0, 1 - share, 0.5)[found.of]
        progress("labels", 1.0)
    else:
        voted, belief = _settle(pool, vectors, found, voted, ask, calls, settings, examples, people, progress)  # fmt: skip  # noqa: E501
        labels, wrong = belief.anomalous.copy(), belief.wrong.copy()
    for entry, label in people.items():
        labels[entry], wrong[entry] = label, 0.0
    return Labelled(pool, found, choice, tuple(voted), labels, wrong, ask.calls, frozenset(people))


def _k(
    vectors: npt.NDArray[np.float32], pool: Pool, settings: Settings, first: int, progress: Progress
) -> tuple[Choice | None, int]:
    if settings.k is not None:
        return None, min(settings.k, first)
    # With belief few clusters suffice to begin with: most calls go where the doubts are.
    most = first // settings.m if settings.propagation == "paper" else settings.calls // 5
    tried = candidates(len(vectors), max(2, most))
    if not tried:  # one or two entries
        return None, len(vectors)
    choice = choose_k(
        vectors, pool.count, tried, seed=settings.seed, progress=lambda x: progress("clusters", x)
    )
    return choice, choice.k


def _settle(
    pool: Pool,
    vectors: npt.NDArray[np.float32],
    found: Clustering,
    voted: Sequence[Voted],
    ask: Once,
    calls: int,
    settings: Settings,
    examples: Sequence[Example],
    people: Mapping[int, bool],
    progress: Progress,
) -> tuple[list[Voted], Belief]:
    """Ask where most lines are expected to be wrong until few are, or the calls are spent."""
    votes = [list(each.votes) for each in voted]
    asked: dict[int, set[int]] = {}
    for line in (each.line for cluster_votes in votes for each in cluster_votes):
        asked.setdefault(int(pool.entry[line]), set()).add(line)
    askable = np.ones(len(vectors), np.bool_)
    askable[list(people)] = False
    batch = settings.batch or max(_TURN, settings.calls // 20)
    heaviest = sorted(people, key=lambda entry: (-int(pool.count[entry]), entry))
    human = [Reading(entry, people[entry]) for entry in heaviest[: MOST_VOTES // 2]]
    while True:
        readings = human + [
            Reading(int(pool.entry[each.line]), each.anomalous)
            for cluster_votes in votes
            for each in cluster_votes
            if each.anomalous is not None
        ]
        if not readings:  # nobody answers: all normal, all doubtful
            nothing = np.zeros(len(vectors), np.bool_)
            belief = Belief(nothing, np.full(len(vectors), 0.5), 0.0, 0.0)
            break
        belief = believe(vectors, readings)
        progress("labels", ask.calls / calls)
        expected = float((belief.wrong * pool.count).sum())
        room = min(batch, calls - ask.calls)
        if room <= 0 or expected <= settings.sure * len(pool.lines):
            break
        lines: list[int] = []
        while len(lines) < room:
            chosen = doubtful_first(vectors, belief, pool.count, askable, room - len(lines))
            if not chosen:
                break
            lines += _unasked(pool, chosen, asked, askable)
        if not lines:
            break
        answers = ask([shown(pool.lines[line]) for line in lines], examples)
        for line, answer in zip(lines, answers, strict=True):
            number = int(found.of[pool.entry[line]])
            votes[number].append(Vote(line, answer.anomalous, answer.reason))
    progress("labels", 1.0)
    return [majority(each, settings.tau) for each in votes], belief


def _unasked(
    pool: Pool,
    entries: Sequence[int],
    asked: dict[int, set[int]],
    askable: npt.NDArray[np.bool_],
) -> list[int]:
    """Return a line of each entry with a text nobody was asked about; mark those without."""
    lines = []
    for entry in entries:
        before = asked.setdefault(entry, set())
        texts = {pool.lines[line] for line in before}
        fresh = [line for line in pool.members(entry, len(before) + 1) if line not in before]
        fresh = [line for line in fresh if pool.lines[line] not in texts]
        if fresh:
            before.add(fresh[0])
            lines.append(fresh[0])
        else:
            askable[entry] = False
    return lines


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the feedback loop."""

    lines: int
    """Lines of the log used."""
    calls: int
    """Lines asked, in all turns so far."""
    scores: Scores
    """Of the detector on the validation set."""
    detector: Detector
    labelled: Labelled


def feedback(
    lines: Sequence[bytes],
    encode: Encode,
    labeller: LabelLines,
    validation: tuple[Sequence[bytes], npt.NDArray[np.bool_]],
    settings: Settings,
    *,
    detector: str | Callable[[], Estimator] = "svm",
    target_f1: float = 0.95,
    step: int = 1000,
    examples: Sequence[Example] = (),
    progress: Progress = lambda _stage, _done: None,
) -> list[Round]:
    """Label and train on ever more of a log until a target is met or the log ends: §IV-C1.

    Args:
        lines: the log; its first `step` lines are used at first, then twice as many, and so on by
            equal steps, as in Fig. 8.
        encode: the sentence encoder.
        labeller: whom to ask; no text twice over all turns.
        validation: lines and labels that the F1 is measured on; never trained on.
        settings: `Settings.calls` is what one turn may ask anew.
        detector: name of a classifier (`detectors.NAMES`), or a function that makes one.
        target_f1: [0, 1] of the detector on the validation set.
        step: lines added in a turn.
        examples: for the prompts.
        progress: told of the stages.

    Returns:
        The turns; the last one met the target, or used all lines.
    """
    if step < 1 or not lines:
        raise ValueError("step: at least 1 line, and there must be lines")
    ask = Once(labeller)
    texts = [shown(line) for line in validation[0]]
    rounds: list[Round] = []
    for used in [*range(step, len(lines), step), len(lines)]:
        pool = Pool.of(lines[:used])
        vectors = with_words(embed(pool.templates, encode), pool.templates)
        labelled = label_pool(pool, vectors, ask, settings, examples=examples, progress=progress)
        labelled = dataclasses.replace(labelled, calls=ask.calls)
        model = train(
            [shown(pool.lines[at]) for at in pool.first],
            labelled.anomalous,
            pool.count,
            detector if isinstance(detector, str) else detector(),
            seed=settings.seed,
        )
        found = scores(model.predict(texts), np.asarray(validation[1], np.bool_))
        rounds.append(Round(used, ask.calls, found, model, labelled))
        progress("feedback", used / len(lines))
        if found.f1 >= target_f1:
            break
    return rounds
