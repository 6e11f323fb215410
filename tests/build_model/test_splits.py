"""Held-out domains share neither name nor template with training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent_build.corpora import Domain
from logagent_build.splits import folds, leave_out


def _domain(name: str, texts: list[bytes], kin: frozenset[str] = frozenset()) -> Domain:
    count = len(texts)
    return Domain(
        name,
        "corpora",
        texts,
        np.zeros(count, np.float32),
        np.ones(count, np.int64),
        np.zeros((1, count), np.float32),
        np.full(count, -1, np.int8),
        kin,
    )


@given(st.integers(2, 40), st.data())
def test_folds_hold_every_domain_once(domains: int, data: st.DataObject) -> None:
    """Whatever the number of folds."""
    count = data.draw(st.integers(2, domains))
    parts = folds(domains, count, seed=1)

    assert count == len(parts)
    assert list(range(domains)) == sorted(index for part in parts for index in part)


def test_as_many_folds_as_domains_is_leave_one_out() -> None:
    """The true LODO."""
    assert [[0], [1], [2]] == sorted(folds(3, 3, seed=0))


def test_too_many_folds_are_refused() -> None:
    """With the numbers that would do."""
    with pytest.raises(ValueError, match="2 to 3"):
        folds(3, 4, seed=0)


@given(st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), unique=True), min_size=2))
def test_no_template_is_on_both_sides(texts: list[list[bytes]]) -> None:
    """Nor a domain."""
    domains = [_domain(str(index), each) for index, each in enumerate(texts)]
    train, test = leave_out(domains, [0])
    trained = {text for domain in train for text in domain.templates}

    assert not trained & set(texts[0])
    assert not {domain.name for domain in train} & {domain.name for domain in test}
    assert all(len(d.soft) == len(d.count) == len(d.templates) for d in train)
    assert set().union(*texts[1:]) - set(texts[0]) == trained


def test_kin_of_a_held_out_domain_is_not_trained_on() -> None:
    """Whichever of the two names the other."""
    domains = [
        _domain("openwrt", [b"a"]),
        _domain("router_boot", [b"b"], frozenset({"openwrt"})),
        _domain("mail", [b"c"]),
    ]

    assert ["mail"] == [domain.name for domain in leave_out(domains, [0])[0]]
    assert ["mail"] == [domain.name for domain in leave_out(domains, [1])[0]]
    assert ["openwrt", "router_boot"] == [domain.name for domain in leave_out(domains, [2])[0]]
