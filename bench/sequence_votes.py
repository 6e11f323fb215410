"""What a language model's votes on sequences cost, and what they are worth, in a simulation.

    python bench/sequence_votes.py [--data FOLDER] [--seeds N]

No model is asked. Prompts: tokens (estimated, three bytes each) and dollars of the votes on one
test of ADFA-U, for several ways to show its traces. Distillation: a decision tree on event counts,
with the settings of §4.3.2, trained on a few labelled traces; on these and on votes of a
*simulated* model on unlabelled ones; and on their true labels. The simulated model's errors are
stated, half of them common to traces made of the same calls; F1 on the test, which has attacks of
a kind that no training has and no trace of the training set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent_build.annotate.budget import estimate, price_of
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm.distil import distilled
from logagent_build.sequences.llm.retrieval import system_calls
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.shown import Showing
from logagent_build.sequences.llm.simulated import SequenceErrors, SimulatedSequences
from logagent_build.sequences.llm.voter import LLMVoter, Options
from measure import main, print_table, write_result
from sequence_cache import ATTACKS, DATA, adfa, split
from sklearn.metrics import f1_score
from sklearn.tree import DecisionTreeClassifier

MODEL = "gpt-4o-mini"  # whose price is shown
LABELLED, UNLABELLED = 100, 900  # the paper trains on 1,000 (Table 2)
ERRORS = ((0.0, 0.0), (0.05, 0.2), (0.1, 0.3), (0.2, 0.4))  # of normal, of anomalous ones
SHOWINGS = (
    ("whole, every event", Options(Showing(100_000, fold=False), shots=0)),
    ("whole, runs folded", Options(Showing(100_000), shots=0)),
    ("500 entries", Options(Showing(500), shots=0)),
    ("200 entries", Options(Showing(200), shots=0)),
    ("500 entries, no meanings", Options(Showing(500), shots=0, meanings=0)),
    ("500 entries, 8 examples of 100", Options(Showing(500))),
)


def unseen(test: Sequences, train: Sequences) -> Sequences:
    """Leave out of the test what the training set has (Eq. 1)."""
    known = set(keys(train))
    return test.only([at for at, key in enumerate(keys(test)) if key not in known])


def prompts(train: Sequences, test: Sequences) -> list[dict[str, object]]:
    """Return what the votes on a test would cost."""
    rows: list[dict[str, object]] = []
    for name, options in SHOWINGS:
        nobody = SimulatedSequences((), (), SequenceErrors())
        voter = LLMVoter(nobody, options, system_calls()).fit(train.only(range(1000)))
        made = voter.prompts(test)
        expected = estimate(made, price_of(MODEL))
        longest = max(estimate([prompt], None).input_tokens for prompt in made)
        cut = sum("events left out" in text for text in voter.texts(test))
        rows.append(
            {"shown": name, "requests": len(made), "tokens": expected.input_tokens / len(made),
             "longest": longest, "cut": cut / len(test), "dollars": expected.dollars}
        )  # fmt: skip
    return rows


def counts(data: Sequences) -> npt.NDArray[np.float64]:
    """Return how often each event occurs: float64 (n, vocabulary)."""
    return np.array(
        [np.bincount(events, minlength=len(data.vocabulary)) for events in data.events], float
    )


def f1(
    train: Sequences, test: Sequences, seed: int, weights: npt.NDArray[np.float64] | None = None
) -> float:
    """Return the F1 score of a decision tree."""
    tree = DecisionTreeClassifier(random_state=seed)
    tree.fit(counts(train), train.anomalous, sample_weight=weights)
    return float(f1_score(test.anomalous, tree.predict(counts(test)), zero_division=0))


def distillation(train: Sequences, test: Sequences, seed: int) -> list[float]:
    """Return F1 scores: few labels; with votes at each error rate; with true labels."""
    drawn = np.random.default_rng(seed).permutation(len(train))
    few = train.only(drawn[:LABELLED])
    pool = train.only(drawn[LABELLED : LABELLED + UNLABELLED])
    scores = [f1(few, test, seed)]
    for wrong_normal, wrong_anomalous in ERRORS:
        options = Options(shots=0, meanings=0)
        texts = LLMVoter(SimulatedSequences((), (), SequenceErrors()), options).texts(pool)
        errors = SequenceErrors(wrong_normal, wrong_anomalous, seed=seed)
        simulated = SimulatedSequences(texts, pool.anomalous.tolist(), errors)
        votes = {vote.sequence: vote for vote in LLMVoter(simulated, options).votes(pool)}
        made = distilled(pool, votes, few)
        scores.append(f1(made.data, test, seed, made.weights))
    return [*scores, f1(train.only(drawn[: LABELLED + UNLABELLED]), test, seed)]


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with ADFA-LD.zip")
    parser.add_argument("--seeds", type=int, default=5, help="draws of each configuration")
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    options = parser.parse_args()
    data = adfa(options.data)
    train, test = split(data, "java", 0)
    shown = prompts(train, unseen(test, train))
    print_table(
        ("java, unseen traces shown", "requests", "tokens each", "longest", "cut", MODEL),
        [
            (str(row["shown"]), str(row["requests"]), f"{row['tokens']:,.0f}",
             f"{row['longest']:,}", f"{row['cut']:.1%}", f"${row['dollars']:.2f}")
            for row in shown
        ],
    )  # fmt: skip
    found: dict[str, list[float]] = {}
    for kind in ATTACKS.values():
        scores = []
        for seed in range(options.seeds):
            train, test = split(data, kind, seed)
            scores.append(distillation(train, unseen(test, train), seed))
        found[kind] = np.mean(scores, axis=0).tolist()
    found["average"] = np.mean(list(found.values()), axis=0).tolist()
    names = [f"{LABELLED} labels"]
    names += [f"+ votes, {normal:g}/{anomalous:g} wrong" for normal, anomalous in ERRORS]
    names += [f"{LABELLED + UNLABELLED} labels"]
    print("\nF1 of a decision tree; votes are simulated (wrong: of normal / of anomalous)")
    print_table(
        ("ADFA-U", *names),
        [(kind, *(f"{score:.3f}" for score in scores)) for kind, scores in found.items()],
    )
    write_result(
        "sequence_votes",
        {
            "simulation": True,
            "model_of_prices": MODEL,
            "seeds": options.seeds,
            "prompts": shown,
            "columns": names,
            "f1": found,
        },
        options.results,
    )


if __name__ == "__main__":
    main(run)
