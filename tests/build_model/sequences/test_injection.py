from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the tree that guards labels needs the [build] extra")

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent_build.sequences import injection

from tests.build_model.sequences.made import VOCABULARY, sequences


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_change_never_touches_an_event_on_which_the_label_hangs(share: float, seed: int) -> None:
    data = sequences(20, 10)
    fixed = injection.important(data)
    after, done = injection.changed(data, share, fixed, seed)
    differ = [not np.array_equal(*pair) for pair in zip(data.events, after.events, strict=True)]

    assert sum(differ) == done <= round(share * len(data))
    assert after.kinds == data.kinds
    assert all(len(each) for each in after.events)
    for before, now in zip(data.events, after.events, strict=True):
        kept, held = (np.bincount(each, minlength=7)[fixed] for each in (before, now))
        assert kept.tolist() == held.tolist()


def test_important_events_are_those_that_tell() -> None:
    told = injection.important(sequences())

    assert told[[3, 4, 5]].any()
    assert not told[6]


def test_all_three_changes_occur() -> None:
    data = sequences(200, 20)
    after, _ = injection.changed(data, 1.0, np.zeros(7, dtype=np.bool_), 0)
    lengths = [len(now) - len(old) for old, now in zip(data.events, after.events, strict=True)]

    assert min(lengths) < 0 < max(lengths)
    assert 0 in lengths


def test_a_seed_repeats_the_changes() -> None:
    data = sequences(20, 5)
    fixed = np.zeros(7, dtype=np.bool_)
    one, other = (injection.changed(data, 0.5, fixed, 7)[0] for _ in range(2))

    assert all(np.array_equal(*pair) for pair in zip(one.events, other.events, strict=True))


def test_a_reworded_template_is_one_that_was_never_seen() -> None:
    data = sequences(20, 5)
    after = injection.reworded(data, 0.4, 1)
    new = [each.max() >= len(VOCABULARY) for each in after.events]

    assert sum(new) == 10
    assert after.vocabulary[: len(VOCABULARY)] == VOCABULARY
    assert len(set(after.vocabulary)) == len(after.vocabulary)


@pytest.mark.parametrize(
    ("text", "event"),
    [("Receiving block now <*>", 1), ("block <*>", 1), ("Entirely other words here", 0)],
)
def test_a_reworded_template_is_matched_by_its_words(text: str, event: int) -> None:
    known = ("", "Receiving block <*>", "Served <*> to <*>")
    data = sequences(1, 1).only([0])
    wide = type(data)(
        "made", [np.array([3, 2], np.int32)], data.anomalous, data.kinds, (*known, text)
    )
    back = injection.matched(wide, known)

    assert back.events[0].tolist() == [event, 2]
    assert back.vocabulary == known
