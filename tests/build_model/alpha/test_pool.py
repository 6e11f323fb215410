"""Lines are grouped by the agent's template keys, and equal texts are asked once."""

from __future__ import annotations

import numpy as np
import pytest
from logagent.normalise import templates

pytest.importorskip("sklearn", reason="ALPHA needs the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent_build.alpha.pool import Pool

from .fakes import log


def test_lines_that_differ_in_numbers_only_are_one_entry() -> None:
    lines, _ = log(20)

    pool = Pool.of(lines)

    assert 7 == len(pool.templates)
    assert [20] * 7 == pool.count.tolist()
    assert pytest.approx(0.95) == pool.reduction


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), min_size=1))
def test_every_line_keeps_its_own_template(lines: list[bytes]) -> None:
    pool = Pool.of(lines)

    assert templates(lines).templates == [pool.templates[at] for at in pool.entry]
    assert len(lines) == pool.count.sum()
    assert list(range(len(pool.templates))) == pool.entry[pool.first].tolist()


def test_members_have_different_texts() -> None:
    pool = Pool.of([b"port 11", b"port 11", b"port 12", b"port 11", b"other"])

    assert [0, 2] == pool.members(0, 5)
    assert [4] == pool.members(1, 5)


def test_members_are_as_many_as_asked_for_where_there_are_enough() -> None:
    pool = Pool.of([b"port %d" % number for number in range(10, 60)])

    found = pool.members(0, 7)

    assert 7 == len(set(found)) == len({pool.lines[at] for at in found})


def test_no_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        Pool.of([])


def test_values_of_entries_are_spread_to_their_lines() -> None:
    pool = Pool.of([b"a 11", b"b 11", b"a 12"])

    assert [True, False, True] == pool.of_entries(np.array([True, False])).tolist()
