"""Splits by whole domain: what is held out shares neither system nor template with training.

`leave_out` is the rule everything else is built on; `folds` gives the k-fold stand-in for
leave-one-domain-out. Each of k folds leaves n/k domains out at once, so every model has seen fewer
systems than in true leave-one-domain-out: the stand-in is pessimistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from logagent_build.corpora import Domain

__all__ = ["folds", "leave_out"]


def folds(domains: int, count: int, seed: int) -> list[list[int]]:
    """Return `count` disjoint lists of domain indices that together hold every domain.

    Args:
        domains: number of domains; ``count = domains`` is true leave-one-domain-out.
        count: number of folds.
        seed: of the shuffle.
    """
    if not 2 <= count <= domains:
        raise ValueError(f"{count} folds of {domains} domains; give 2 to {domains}")
    order = np.random.default_rng(seed).permutation(domains)
    return [sorted(int(index) for index in order[start::count]) for start in range(count)]


def leave_out(
    domains: Sequence[Domain], held_out: Sequence[int], *, kin: bool = True
) -> tuple[list[Domain], list[Domain]]:
    """Return training and held-out domains.

    A template that occurs in a held-out domain is taken out of every training domain; a training
    domain that has none left is dropped.

    Args:
        domains: all.
        held_out: indices of the domains to leave out.
        kin: also drop training domains that hold lines of the same software as a held-out one.
    """
    left_out = set(held_out)
    names = {domains[index].name for index in held_out}
    relatives = frozenset[str]().union(*(domains[index].kin for index in held_out))
    test = [domains[index] for index in held_out]
    seen = {template for domain in test for template in domain.templates}
    train = []
    for index, domain in enumerate(domains):
        if index in left_out or (kin and (domain.name in relatives or domain.kin & names)):
            continue
        kept = without(domain, seen)
        if kept.templates:
            train.append(kept)
    return train, test


def without(domain: Domain, templates: set[bytes]) -> Domain:
    """Return a domain without some templates."""
    keep = [index for index, text in enumerate(domain.templates) if text not in templates]
    if len(keep) == len(domain.templates):
        return domain
    return replace(
        domain,
        templates=[domain.templates[index] for index in keep],
        soft=domain.soft[keep],
        count=domain.count[keep],
        positive=domain.positive[:, keep],
        category=domain.category[keep],
    )
