"""How good a detector is: AUROC by lines, average precision, calibration, thresholds.

The selection rule is leave-one-domain-out (`held_out`), in full or as its k-fold stand-in.
`Target`s (BGL and the like) are looked at and never chosen by. Higher scores are anomalous.
"""

from __future__ import annotations

import io
import multiprocessing
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from logagent import files

from logagent_build.corpora import Domain, Phrase
from logagent_build.features import featurise
from logagent_build.splits import folds, leave_out, without
from logagent_build.train import Config, Language, fit, groups_of

__all__ = [
    "HeldOut",
    "auroc",
    "average_precision",
    "calibrate",
    "calibration_error",
    "domain_auroc",
    "held_out",
    "pair_accuracy",
    "summary",
    "thresholds",
]

Floats = npt.NDArray[np.float64]

FALSE_ALARMS = {"low": 0.002, "normal": 0.01, "high": 0.05}
"""Share of distinct normal templates of held-out domains that may be flagged, per sensitivity."""


def auroc(positive: Floats, negative: Floats, scores: Floats) -> float:
    """Return the area under the ROC curve, ties counted half; nan if a class is empty.

    Args:
        positive: anomalous lines behind each score, float64 (n,).
        negative: normal lines behind each score, float64 (n,).
        scores: float64 (n,).
    """
    _, inverse = np.unique(scores, return_inverse=True)
    p = np.bincount(inverse, positive)
    n = np.bincount(inverse, negative)
    total = p.sum() * n.sum()
    if total == 0:
        return float("nan")
    return float((p * (np.cumsum(n) - n / 2)).sum() / total)


def average_precision(positive: Floats, negative: Floats, scores: Floats) -> float:
    """Return the average precision, lines of equal score together; nan if a class is empty."""
    _, inverse = np.unique(-scores, return_inverse=True)
    p = np.bincount(inverse, positive)
    n = np.bincount(inverse, negative)
    if p.sum() == 0 or n.sum() == 0:
        return float("nan")
    precision = np.cumsum(p) / np.maximum(np.cumsum(p) + np.cumsum(n), 1e-12)
    return float((p * precision).sum() / p.sum())


def domain_auroc(domain: Domain, scores: Floats) -> float:
    """Return the line-weighted AUROC, averaged over the domain's annotations."""
    count = domain.count.astype(np.float64)
    each = [
        auroc(share * count, (1 - share) * count, scores)
        for share in domain.positive.astype(np.float64)
    ]
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _any(domain: Domain) -> bool:  # noqa: ARG001  # the default of a callback
    return True


def _silent(done: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for domains by models that have never seen them."""

    domains: list[Domain]
    logits: list[Floats]
    """Uncalibrated logits per domain, one per template."""
    folds: int
    pairs: Floats
    """Uncalibrated logits of minimal pairs that were not trained on, float64 (p, 2): normal,
    anomalous."""
    kin: bool = True
    """Whether systems with the same software were left out together."""


@dataclass(frozen=True, slots=True)
class _Fold:
    """One model to train and what it predicts."""

    config: Config
    language: Language
    train: list[Domain]
    groups: list[int]
    pairs: Domain | None
    phrases: Sequence[Phrase]
    test: list[Domain]
    test_pairs: list[tuple[bytes, bytes]]


def _run(
    fold: _Fold, progress: Callable[[float], None] = _silent
) -> tuple[dict[str, Floats], Floats]:
    """Train a fold's model; return its logits per test domain and of its test pairs."""
    torch.set_num_threads(1)  # sums over threads come in another order: a seed would not repeat
    model = fit(
        fold.config,
        fold.language,
        fold.train,
        fold.groups,
        pairs=fold.pairs,
        phrases=fold.phrases,
        progress=progress,
    )
    shape = fold.language.embedding(fold.config)

    def logits(texts: Sequence[bytes]) -> Floats:
        return model.logits(featurise(fold.language.tokenizer, texts, shape))

    by_domain = {domain.name: logits(domain.templates) for domain in fold.test}
    flat = [text for pair in fold.test_pairs for text in pair]
    return by_domain, logits(flat).reshape(-1, 2) if flat else np.zeros((0, 2))


def held_out(
    config: Config,
    language: Language,
    domains: Sequence[Domain],
    *,
    pairs: Domain | None,
    pair_list: Sequence[tuple[bytes, bytes]] = (),
    phrases: Sequence[Phrase],
    count: int,
    seed: int,
    kin: bool = True,
    train_on: Callable[[Domain], bool] = _any,
    jobs: int = 1,
    keep: Path | None = None,
    progress: Callable[[float], None] = _silent,
) -> HeldOut:
    """Train one model per fold and predict the domains it has not seen.

    Args:
        config: of the training.
        language: tokenizer and word vectors; they see no label.
        domains: all labelled domains.
        pairs: minimal pairs; those that share a held-out template are left out.
        pair_list: the same, pair by pair: each fold also leaves out its share of them.
        phrases: the lexicon.
        count: number of folds; ``len(domains)`` is true leave-one-domain-out.
        seed: of the folds.
        kin: leave out systems with the same software together.
        train_on: which domains may be trained on at all (the others are only predicted).
        jobs: folds at a time, each in a process of its own; the result does not depend on it.
        keep: folder in which the result of each fold is kept, so that a run that was stopped goes
            on; of one configuration and data only, which is the caller's to see to.
        progress: told the share of the work done.
    """
    groups = groups_of(len(domains), config.groups, config.seed)
    group_of = {domain.name: group for domain, group in zip(domains, groups, strict=True)}
    work = []
    for number, fold in enumerate(folds(len(domains), count, seed)):
        train, test = leave_out(domains, fold, kin=kin)
        train = [domain for domain in train if train_on(domain)]
        if not train:
            left = ", ".join(domain.name for domain in test)
            raise ValueError(f"nothing is left to train on without {left} and their kin")
        test_pairs = list(pair_list[number::count])
        seen = {template for domain in test for template in domain.templates}
        seen |= {template for pair in test_pairs for template in pair}
        heads = [group_of[domain.name] for domain in train]
        rest = without(pairs, seen) if pairs else None
        work.append(_Fold(config, language, train, heads, rest, phrases, test, test_pairs))
    logits: dict[str, Floats] = {}
    of_pairs: list[Floats] = []
    name = f"fold-{'kin' if kin else 'plain'}-"
    kept = [None if keep is None else keep / f"{name}{number}.npz" for number in range(len(work))]
    for by_domain, scored in _each(work, kept, jobs, progress):
        logits |= by_domain
        of_pairs.append(scored)
    return HeldOut(
        list(domains),
        [logits[domain.name] for domain in domains],
        count,
        np.concatenate(of_pairs),
        kin,
    )


def _each(
    work: Sequence[_Fold],
    kept: Sequence[Path | None],
    jobs: int,
    progress: Callable[[float], None],
) -> Iterator[tuple[dict[str, Floats], Floats]]:
    """Yield the results of all folds, in order; those that are kept are not computed again."""
    known = [None if path is None else _stored(path) for path in kept]
    todo = [fold for fold, result in zip(work, known, strict=True) if result is None]
    with ExitStack() as stack:
        computed: Iterator[tuple[dict[str, Floats], Floats]]
        if jobs == 1 or len(todo) < 2:
            computed = (
                _run(fold, lambda done, number=number: progress((number + done) / len(work)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                for number, fold in enumerate(todo, len(work) - len(todo))
            )
        else:
            spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
            pool = stack.enter_context(ProcessPoolExecutor(jobs, mp_context=spawn))
            computed = pool.map(_run, todo)
        for number, (path, result) in enumerate(zip(kept, known, strict=True), 1):
            if result is None:
                result = next(computed)  # noqa: PLW2901
                if path is not None:
                    _store(path, result)
            progress(number / len(work))
            yield result


def _store(path: Path, result: tuple[dict[str, Floats], Floats]) -> None:
    """Keep the result of a fold, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    by_domain, pairs = result
    arrays = {f"of {name}": logits for name, logits in by_domain.items()}
    content = io.BytesIO()
    np.savez(content, pairs=pairs, **arrays)  # type: ignore[arg-type]  # numpy's stub forbids any name
    files.replace(path, content.getvalue())


def _stored(path: Path) -> tuple[dict[str, Floats], Floats] | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            names = [name for name in stored.files if name.startswith("of ")]
            return {name[3:]: stored[name] for name in names}, stored["pairs"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # none, or damaged: computed again


def pair_accuracy(pairs: Floats) -> float:
    """Return the share of minimal pairs whose anomalous member scores higher, ties half.

    Args:
        pairs: scores of the normal and the anomalous member, float64 (p, 2).
    """
    if not len(pairs):
        return float("nan")
    return float((np.sign(pairs[:, 1] - pairs[:, 0]) / 2 + 0.5).mean())


def calibrate(result: HeldOut) -> tuple[float, float]:
    """Return Platt's slope and offset: ``P(anomalous) = sigmoid(slope · logit + offset)``.

    Fitted on held-out predictions, every domain with the same weight; Newton's method.
    """
    x = np.concatenate(result.logits)
    y = np.concatenate([domain.soft for domain in result.domains]).astype(np.float64)
    w = np.concatenate(
        [np.full(len(domain.soft), 1 / len(domain.soft)) for domain in result.domains]
    )
    design = np.stack((x, np.ones_like(x)), axis=1)
    parameters = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ parameters))
        gradient = design.T @ (w * (p - y)) + 1e-6 * parameters
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        parameters -= step
        if np.abs(step).max() < 1e-9:
            break
    slope, offset = (float(value) for value in parameters)
    if slope <= 0:
        raise ValueError("held-out predictions are no better than chance; nothing to calibrate")
    return slope, offset


def _calibrated(result: HeldOut, calibration: tuple[float, float]) -> list[Floats]:
    slope, offset = calibration
    return [1 / (1 + np.exp(-(slope * logits + offset))) for logits in result.logits]


def thresholds(
    result: HeldOut, calibration: tuple[float, float]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Choose the thresholds: at most so many false alarms on systems never seen.

    The rule: the lowest score at which at most `FALSE_ALARMS` of the distinct normal templates of
    held-out domains, each domain with the same weight, are flagged.

    Returns:
        Thresholds by sensitivity, and for each what it gives on held-out domains.
    """
    scores = _calibrated(result, calibration)
    flat = np.concatenate(scores)
    weight = np.concatenate([np.full(len(s), 1 / len(s)) for s in scores])
    anomalous = np.concatenate([domain.soft >= 0.5 for domain in result.domains])
    severe = np.concatenate([domain.soft >= 0.98 for domain in result.domains])
    normal = ~anomalous
    order = np.argsort(-flat[normal])
    share = np.cumsum(weight[normal][order]) / weight[normal].sum()
    chosen, curve = {}, {}
    for name, budget in FALSE_ALARMS.items():
        at = int(np.searchsorted(share, budget, side="right"))  # the first that is too many
        value = float(np.nextafter(np.float32(flat[normal][order][at]), np.float32(1)))
        flagged = flat >= value
        chosen[name] = value
        true = (weight * (flagged & anomalous)).sum()
        curve[name] = {
            "threshold": value,
            "false_alarm_share": float((weight * (flagged & normal)).sum() / weight[normal].sum()),
            "recall": float(true / weight[anomalous].sum()),
            "recall_severity_3": float(
                (weight * (flagged & severe)).sum() / max(weight[severe].sum(), 1e-12)
            ),
            "precision": float(true / max((weight * flagged).sum(), 1e-12)),
        }
    return chosen, curve


def summary(result: HeldOut, calibration: tuple[float, float]) -> dict[str, Any]:
    """Return the figures of held-out predictions, for the record."""
    scores = _calibrated(result, calibration)
    per_domain = {
        domain.name: round(domain_auroc(domain, logits), 4)
        for domain, logits in zip(result.domains, result.logits, strict=True)
    }
    known = {name: value for name, value in per_domain.items() if not np.isnan(value)}
    precision = [
        average_precision(
            domain.positive[0] * domain.count, (1 - domain.positive[0]) * domain.count, logits
        )
        for domain, logits in zip(result.domains, result.logits, strict=True)
    ]
    flat, soft = np.concatenate(scores), np.concatenate([d.soft for d in result.domains])
    worst = min(known, key=known.__getitem__)
    rule = (
        "leave-one-domain-out"
        if result.folds == len(result.domains)
        else f"{result.folds}-fold over domains (pessimistic stand-in for leave-one-out)"
    )
    return {
        "rule": rule + ", systems with the same software left out together" * result.kin,
        "auroc_mean": round(float(np.mean(list(known.values()))), 4),
        "auroc_worst": [worst, known[worst]],
        "average_precision_mean": round(float(np.nanmean(precision)), 4),
        "brier": round(float(((flat - soft) ** 2).mean()), 4),
        "expected_calibration_error": round(calibration_error(flat, soft >= 0.5), 4),
        "minimal_pairs": len(result.pairs),
        "minimal_pairs_in_order": round(pair_accuracy(result.pairs), 4),
        "auroc": known,
    }


def calibration_error(scores: Floats, labels: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Return the mean gap between score and share of anomalies over equal-width bins."""
    at = np.minimum((scores * bins).astype(int), bins - 1)
    count = np.bincount(at, minlength=bins)
    gap = np.abs(np.bincount(at, scores, bins) - np.bincount(at, labels.astype(float), bins))
    return float(gap.sum() / count.sum())
