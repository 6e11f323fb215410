"""Stage 3: labelled templates to a trained detector, beside the shipped corpora or alone.

Each system of the user is one domain, as each shipped corpus is: its soft labels, its lines, its
kin. With `base` ``shipped`` the shipped corpora, minimal pairs and lexicon are trained on as well,
and the tokenizer is that of the shipped model, learnt from the shipped texts alone: nothing of a
user's lines is in it. With ``none`` everything, the tokenizer too, comes from the user's systems.

Guarantees: the same labels, options and seed give the same bundle, on the same machine. Folds that
are done are kept in the run folder; a run that was killed trains the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from logagent.errors import ConfigError

from logagent_build import pipeline
from logagent_build.calibrate.entries import Entries
from logagent_build.corpora import Domain
from logagent_build.folder.strategies import Labels
from logagent_build.folder.systems import System
from logagent_build.teacher import word_vectors
from logagent_build.tokenizer import train_tokenizer, vocabulary
from logagent_build.train import Config, Language

__all__ = [
    "BASES",
    "FOLDS",
    "LEAST_SYSTEMS",
    "Settings",
    "configuration",
    "data_of",
    "domains_of",
    "train",
]

BASES = ("shipped", "none")
FOLDS = 4
"""By default; `train` has ten, which take twice as long and move thresholds little."""
LEAST_SYSTEMS = 4
"""With base ``none``: below, what is held out says nothing."""
SOURCE = "folder"
"""`Domain.source` of the user's systems."""
Progress = pipeline.Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How to train."""

    base: str = "shipped"
    folds: int = FOLDS
    jobs: int = 1
    quick: bool = False
    """Two epochs, three folds: to try the way."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.base not in BASES:
            raise ConfigError(f"base {self.base!r} is none of {', '.join(BASES)}")
        if self.folds < 0 or self.folds == 1:
            raise ConfigError(f"{self.folds} folds: give at least 2, or 0 for one per system")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: give 0 or more")


def domains_of(
    entries: Entries, labels: Labels, systems: Sequence[System], taken: Sequence[str] = ()
) -> list[Domain]:
    """Return the labelled systems as domains.

    Entries of which nothing is known (as likely wrong as right) are left out; so is a system that
    has no others.

    Args:
        entries: of all systems.
        labels: of the entries.
        systems: for their kin.
        taken: names of other domains; a system of that name gets `` (own)`` behind it, and is
            taken for the same software.
    """
    called = _names(entries.names, taken)
    kin = {
        system.name: system.kin | {called[name] for name in system.kin if name in called}
        for system in systems
    }
    found = []
    for number, name in enumerate(entries.names):
        at = np.flatnonzero((entries.domain == number) & (labels.wrong < 0.5))
        if not len(at):
            continue
        found.append(
            Domain(
                called[name],
                SOURCE,
                [entries.templates[each] for each in at],
                labels.soft[at].astype(np.float32),
                entries.count[at],
                labels.anomalous[at].astype(np.float32)[None, :],
                np.full(len(at), -1, np.int8),
                kin.get(name, frozenset()) | ({name} if name in taken else frozenset()),
            )
        )
    return found


def _names(own: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Return what each system is called beside the others: no two alike."""
    used = {*own, *taken}
    called = {}
    for name in own:
        free = name
        while free in taken or (free != name and free in used):
            free += " (own)"
        used.add(free)
        called[name] = free
    return called


def data_of(
    entries: Entries,
    labels: Labels,
    systems: Sequence[System],
    base: str,
    paths: pipeline.Paths,
) -> pipeline.Data:
    """Return all there is to train on.

    Raises:
        ConfigError: with base ``none``, the systems or their labels are too few.
        OSError, ValueError: the shipped data cannot be read.
    """
    if base == "shipped":
        shipped = pipeline.read(dataclasses.replace(paths, loghub=None), with_loghub=False)
        names = [domain.name for domain in shipped.domains]
        own = domains_of(entries, labels, systems, names)
        return dataclasses.replace(shipped, domains=[*shipped.domains, *own])
    torch.set_num_threads(1)  # as in `pipeline.read`
    own = domains_of(entries, labels, systems)
    both = sum(bool(d.positive[0].any() and not d.positive[0].all()) for d in own)
    if len(own) < LEAST_SYSTEMS or both < 2:
        raise ConfigError(
            f"--base none needs at least {LEAST_SYSTEMS} systems, two of them with both normal and "
            f"anomalous lines; here are {len(own)}, {both} with both: leave --base none out"
        )
    tokenizer = train_tokenizer((text for domain in own for text in domain.templates), [])
    words = vocabulary(tokenizer)
    language = Language(tokenizer, words, word_vectors(words, paths.cache))
    return pipeline.Data(own, None, [], [], language, with_loghub=False)


def configuration(settings: Settings, systems: int) -> Config:
    """Return the configuration of a training of so many systems."""
    config = Config(seed=settings.seed)
    if settings.quick:
        config = dataclasses.replace(config, epochs=pipeline.QUICK_EPOCHS)
    return dataclasses.replace(config, groups=min(config.groups, systems))


def train(
    data: pipeline.Data, settings: Settings, progress: Progress, keep: Path
) -> tuple[pipeline.Made, Config]:
    """Train on the data; return the detector, and the configuration it was made with.

    Args:
        data: see `data_of`.
        settings: how.
        progress: told of folds and of the final model.
        keep: folder for the results of folds: of these data and settings only.

    Systems of the same software are left out together if the user has said of any that it has kin,
    or has named one as a shipped one.
    """
    config = configuration(settings, len(data.domains))
    kin = any(domain.kin for domain in data.domains if domain.source == SOURCE)
    folds = pipeline.QUICK_FOLDS if settings.quick else settings.folds
    made = pipeline.make(
        config, data, progress, folds=folds, jobs=settings.jobs, strict=False, kin=kin, keep=keep
    )
    return made, config
