"""The stages put together: data in, one bundle and its record out. Needs the `build` extra."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from logagent.bundle import Bundle, Manifest

from logagent_build.corpora import (
    CATEGORIES,
    Domain,
    Phrase,
    data_hash,
    read_corpora,
    read_loghub,
    read_pair_list,
    read_pairs,
    read_phrases,
)
from logagent_build.evaluate import (
    HeldOut,
    calibrate,
    held_out,
    summary,
    thresholds,
)
from logagent_build.examine import examine, figures
from logagent_build.export import Exported, parity, write
from logagent_build.features import featurise
from logagent_build.html_report import page
from logagent_build.kinds import Linear, fit_categories, fit_systems
from logagent_build.targets import find, known
from logagent_build.teacher import word_vectors
from logagent_build.tokenizer import train_tokenizer, vocabulary
from logagent_build.train import Config, Language, Model, fit, groups_of

__all__ = [
    "LICENCES",
    "Data",
    "Made",
    "Paths",
    "build",
    "commit",
    "leave_out_again",
    "look",
    "make",
    "read",
]

QUICK_EPOCHS, QUICK_FOLDS = 2, 3
CHECKED = 20  # templates of each system that the forms of the detector are compared on
LICENCES = (
    "Trained on this project's own corpora, minimal pairs and lexicon (written by a language "
    "model for it). Word vectors come from all-MiniLM-L6-v2 (Apache "
    "2.0). Loghub, fail2ban and the edge logs were only scored."
)
_LICENCES_LOGHUB = " Labels of loghub lines (research use, cite loghub) were trained on too."
_RULE = (
    "lowest score at which at most 0.2 % (low), 1 % (normal), 5 % (high) of the distinct normal "
    "templates of held-out domains are flagged, every domain with the same weight"
)
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where data are."""

    corpora: Path
    lexicon: Path
    labels: Path
    """``loghub_llm.tsv``."""
    loghub: Path | None
    """None does without loghub."""
    looked_at: Path
    """Folder with ``loghub`` and ``targets``: scored, never trained on."""
    cache: Path
    """Where the sentence encoder's vectors are kept between runs."""


@dataclass(frozen=True, slots=True)
class Data:
    """What there is to train on."""

    domains: list[Domain]
    pairs: Domain | None
    pair_list: list[tuple[bytes, bytes]]
    phrases: list[Phrase]
    language: Language
    with_loghub: bool
    """Whether loghub's domains are trained on; if not, they are only predicted."""

    def trainable(self, domain: Domain) -> bool:
        """Tell whether a domain may be trained on."""
        return self.with_loghub or domain.source != "loghub"


def read(paths: Paths, *, with_loghub: bool) -> Data:
    """Read data and make the tokenizer, from the project's own texts only.

    Sums over threads come in another order: one thread, so that a seed repeats a run.
    """
    torch.set_num_threads(1)
    domains = read_corpora(paths.corpora)
    phrases = read_phrases(paths.lexicon)
    texts = [text for domain in domains for text in domain.templates]
    tokenizer = train_tokenizer(texts, [phrase.text for phrase in phrases])
    words = vocabulary(tokenizer)
    language = Language(tokenizer, words, word_vectors(words, paths.cache))
    if paths.loghub is not None and paths.loghub.is_dir() and paths.labels.exists():
        domains += read_loghub(paths.loghub, paths.labels)
    return Data(
        domains,
        read_pairs(paths.corpora),
        read_pair_list(paths.corpora),
        phrases,
        language,
        with_loghub,
    )


def _held_out(
    config: Config,
    data: Data,
    folds: int,
    jobs: int,
    progress: Progress,
    *,
    kin: bool,
    keep: Path | None = None,
) -> HeldOut:
    folds = min(folds, len(data.domains)) or len(data.domains)
    name = f"{folds} folds" + " without kin" * kin
    return held_out(
        config,
        data.language,
        data.domains,
        pairs=data.pairs,
        pair_list=data.pair_list,
        phrases=data.phrases,
        count=folds,
        seed=config.seed,
        kin=kin,
        train_on=data.trainable,
        jobs=jobs,
        keep=keep,
        progress=lambda done: progress(name, done),
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A trained detector in all its forms, and what is to be said of it."""

    exported: Exported
    thresholds: dict[str, float]
    heads: list[str]
    """Systems of each head."""
    categories: list[str]
    systems: list[str]
    """Trained on."""
    figures: dict[str, Any]
    """Of the record: held-out scores, thresholds, parity."""

    def manifest(self, name: str, record: dict[str, Any]) -> Manifest:
        """Return the manifest of a bundle with this record."""
        return self.exported.manifest(
            name,
            self.thresholds,
            self.heads,
            record,
            categories=self.categories,
            systems=self.systems,
        )


def make(
    config: Config,
    data: Data,
    progress: Progress,
    *,
    folds: int,
    jobs: int,
    strict: bool = True,
    kin: bool = False,
    keep: Path | None = None,
) -> Made:
    """Train, calibrate, quantise and compare.

    Args:
        config: of the training.
        data: all of it.
        progress: told of the work done.
        folds: over domains; 0 is one per domain.
        jobs: folds at a time.
        strict: score once more with kin left out together, for the record.
        kin: leave kin out together in what calibration, thresholds and figures rest on.
        keep: folder for the results of folds, see `evaluate.held_out`.
    """
    result = _held_out(config, data, folds, jobs, progress, kin=kin, keep=keep)
    without_kin = (
        _held_out(config, data, folds, jobs, progress, kin=True, keep=keep) if strict else None
    )
    sources = [domain for domain in data.domains if data.trainable(domain)]
    groups = groups_of(len(sources), config.groups, config.seed)
    model = fit(
        config,
        data.language,
        sources,
        groups,
        pairs=data.pairs,
        phrases=data.phrases,
        progress=lambda done: progress("final model", done),
    )
    calibration = calibrate(result)
    chosen, curve = thresholds(result, calibration)
    explaining = _explaining(model, data, sources)
    exported = Exported(model, data.language, calibration, explaining)
    checked = [text for domain in sources for text in domain.templates[:CHECKED]]
    truth = np.concatenate([domain.soft[:CHECKED] >= 0.5 for domain in sources])
    figures: dict[str, Any] = {"held_out": summary(result, calibration)}
    if without_kin is not None:
        figures["held_out_without_kin"] = summary(without_kin, calibrate(without_kin))
    figures["thresholds"] = {"rule": _RULE, "held_out": curve}
    figures["parity"] = parity(model, data.language, exported, checked, truth)
    heads = [
        "+".join(d.name for d, group in zip(sources, groups, strict=True) if group == head)
        for head in range(config.groups)
    ]
    return Made(
        exported,
        chosen,
        heads,
        list(CATEGORIES.values()) if "categories" in explaining else [],
        [domain.name for domain in sources],
        figures,
    )


def build(
    output: Path,
    paths: Paths,
    progress: Progress,
    *,
    seed: int,
    folds: int,
    jobs: int,
    with_loghub: bool,
    quick: bool,
) -> dict[str, Any]:
    """Train, calibrate, quantise, compare and write one bundle.

    Returns:
        The record, which the bundle's manifest holds too.
    """
    config = Config(seed=seed)
    if quick:
        config = dataclasses.replace(config, epochs=QUICK_EPOCHS)
        folds = QUICK_FOLDS
    data = read(paths, with_loghub=with_loghub)
    made = make(config, data, progress, folds=folds, jobs=jobs)
    sources = [domain for domain in data.domains if data.trainable(domain)]
    record: dict[str, Any] = {
        "commit": commit(),
        "command": f"logagent-build train --seed {seed} --folds {folds}"
        + " --train-on-loghub" * with_loghub
        + " --no-loghub" * (paths.loghub is None)
        + " --quick" * quick,
        "config": dataclasses.asdict(config),
        "data": {
            "corpora": data_hash((*paths.corpora.glob("*.tsv"), *paths.corpora.glob("*.txt"))),
            "lexicon": data_hash(paths.lexicon.glob("*.tsv")),
            "trained_on_loghub": with_loghub,
            "domains": [domain.name for domain in sources],
            "templates": sum(len(domain.templates) for domain in sources),
        },
        "licences": LICENCES + _LICENCES_LOGHUB * with_loghub,
    } | made.figures
    output.parent.mkdir(parents=True, exist_ok=True)
    write(output, made.manifest(output.stem, record), made.exported)
    record["targets_looked_at_only"] = look(output, paths.looked_at)
    write(output, made.manifest(output.stem, record), made.exported)
    return record


def _explaining(model: Model, data: Data, sources: Sequence[Domain]) -> dict[str, Linear]:
    """Fit what explains verdicts: categories, where the data have them, and systems."""
    lines = [*sources, *([data.pairs] if data.pairs is not None else [])]
    shape = data.language.embedding(model.config)
    texts = [text for domain in lines for text in domain.templates]
    embeddings = model.embed(featurise(data.language.tokenizer, texts, shape)).numpy()
    category = np.concatenate([domain.category for domain in lines])
    system = np.repeat(np.arange(len(sources)), [len(domain.templates) for domain in sources])
    fitted = {"systems": fit_systems(embeddings[: len(system)], system)}
    if len(np.unique(category[category >= 0])) == len(CATEGORIES):
        fitted["categories"] = fit_categories(embeddings, category, len(CATEGORIES))
    return fitted


def look(
    bundle: Path, data: Path, wanted: Sequence[str] | None = None, report: Path | None = None
) -> dict[str, Any]:
    """Score targets with a bundle, from raw lines, through the agent's own code.

    Args:
        bundle: to look at.
        data: folder of the known targets.
        wanted: names or files; None is every known target that is there.
        report: HTML page to write, or None.

    Raises:
        OSError: a target is not there, or the report cannot be written.
        ValueError: a target's labels cannot be read.
        LogagentError: the bundle cannot be used.
    """
    loaded = Bundle.load(bundle)
    targets = known(data) if wanted is None else [find(name, data) for name in wanted]
    seen = [examine(loaded, target) for target in targets]
    if report is not None:
        report.write_text(page(loaded, seen), encoding="utf-8")
    return {each.target.name: figures(each) for each in seen}


def leave_out_again(
    bundle: Path, paths: Paths, progress: Progress, *, folds: int, jobs: int, kin: bool
) -> dict[str, Any]:
    """Train a bundle's configuration again with domains left out.

    Args:
        bundle: whose configuration.
        paths: of the data.
        progress: told of the work done.
        folds: number of folds; 0 is one per domain.
        jobs: folds at a time.
        kin: leave out systems with the same software together.

    Raises:
        ValueError: the bundle was not made by `train`.
    """
    record = Bundle.load(bundle).manifest.record
    if "data" not in record:
        raise ValueError(f"{bundle}: not made by `train`; what it was trained on is not known here")
    raw = dict(record["config"])
    config = Config(**(raw | {"hidden": tuple(raw["hidden"])}))
    data = read(paths, with_loghub=bool(record["data"]["trained_on_loghub"]))
    result = _held_out(config, data, folds, jobs, progress, kin=kin)
    return summary(result, calibrate(result))


def commit() -> str:
    """Return the commit that is checked out, with ``-dirty`` if code or data differ from it."""
    root = Path(__file__).parents[2]

    def git(*words: str) -> str:
        command = ["git", *words]
        done = subprocess.run(  # constant commands
            command, cwd=root, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    try:
        commit = git("describe", "--always")
        # Not the bundle that is shipped: training neither reads it nor depends on it.
        changed = git("status", "--porcelain", "-uno", "--", ".", ":!agent/logagent/data")
    except FileNotFoundError:  # no git on this machine
        return "unknown"
    return (commit or "unknown") + "-dirty" * bool(changed)
