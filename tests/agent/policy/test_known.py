"""A group as it is saved, and the ids of its alerts."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.groups import Sighting
from logagent.policy.known import Context, Known, alert_id, restored, stored
from logagent.policy.rate import Rate
from logagent.traces import Trace

NOON = 1_800_000_000.0

TIMES = st.floats(0, 2e11)
COUNTS = st.integers(0, 2**62)
SIGHTINGS = st.builds(
    Sighting,
    st.text(max_size=20),
    COUNTS,
    COUNTS,
    st.binary(max_size=200),
)
GROUPS = st.builds(
    Known,
    key=st.binary(max_size=512),
    id=st.from_regex("[0-9a-f]{16}", fullmatch=True),
    template=st.binary(max_size=256),
    score=st.floats(0, 1),
    first=SIGHTINGS,
    last=SIGHTINGS,
    trace=st.builds(Trace, COUNTS, st.binary(max_size=100)),
    first_at=TIMES,
    last_at=TIMES,
    rate=st.builds(Rate, TIMES, TIMES, st.floats(0, 1e9), st.floats(0, 1e9)),
    forced=st.booleans(),
    shift=st.floats(-1.5, 0.7),
    shift_reason=st.text(max_size=50),
    count=COUNTS,
    variants=COUNTS,
    pending_at=st.none() | TIMES,
    held=st.booleans(),
    told=COUNTS,
    told_at=TIMES,
    told_count=COUNTS,
    level=COUNTS,
    digest_count=COUNTS,
    burst_at=st.just(-math.inf) | st.floats(1, 2e11),
    cleared=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(GROUPS)
def test_a_group_is_loaded_as_it_was_saved(group: Known) -> None:
    saved = stored(group)
    loaded = restored(msgpack.unpackb(msgpack.packb(saved)))

    assert saved == stored(loaded)
    for name in ("key", "id", "score", "forced", "rank", "pending_at", "burst_at", "rate", "told"):
        assert getattr(group, name) == getattr(loaded, name)
    assert Context() == loaded.context


def group() -> Known:
    line = Sighting("/var/log/a", 7, 700, b"x" * 5000)
    made = Known(
        b"k" * 5000, "0" * 16, b"t" * 5000, 0.95, line, line, Trace(3, b"c" * 5000), NOON, NOON,
        Rate(NOON, NOON),
    )  # fmt: skip
    made.context.before = [b"b" * 300] * 3
    return made


def test_long_lines_are_saved_short_and_context_is_not_saved() -> None:
    assert len(msgpack.packb(stored(group()))) < 2500


def test_the_first_alert_of_a_group_has_its_id_and_no_other_has() -> None:
    made = group()
    ids = [alert_id(made, "new")]
    for told in range(1, 5):
        made.told = told
        ids += [alert_id(made, "again"), alert_id(made, "over")]

    assert made.id == ids[0]
    assert 9 == len(set(ids))
    assert ids == [
        ids[0],
        *(alert_id(made, kind, told) for told in range(1, 5) for kind in ("again", "over")),
    ]


WRONG: list[tuple[int, Any]] = [
    (0, "text"), (0, None), (0, []),
    (1, b"0123456789abcdef"), (1, "x" * 100_000), (1, "../../../../etc/pa"), (1, ""), (1, 7),
    (2, "text"), (2, None),
    (3, 1), (3, math.nan), (3, math.inf), (3, -0.5), (3, 1.5), (3, "0.5"),
    (4, []), (4, ["a", 1, 2]), (4, ["a", 1, 2, "text"]), (4, [b"a", 1, 2, b""]), (4, "abcd"),
    (5, {}), (5, None), (5, [[], [], [], []]), (5, ["a", 1.5, 2, b""]),
    (6, [1]), (6, ["1", b""]), (6, [-1, b""]), (6, [1, "text"]),
    (7, [1.0]), (7, [math.nan, NOON, NOON, 0.0]), (7, [NOON, 1e300, NOON, 0.0]),
    (7, [-1.0, NOON, NOON, 0.0]), (7, [NOON, NOON, 3e11, 0.0]), (7, [NOON, NOON, NOON, math.inf]),
    (8, [NOON, NOON, -1.0, 0.0]), (8, [NOON, NOON, 0.0, math.nan]), (8, [NOON, math.inf, 0.0, 0.0]),
    (9, [1]), (9, [-1, 0, 0, 0, 0, 0]), (9, [0, 0, 0, 0, 0, 2**63]), (9, [0.0] * 6),
    (10, [0, 0, 0]), (10, [True]), (10, None),
    (11, "now"), (11, -2.0), (11, math.nan), (11, 1e300), (11, None),
    (12, b"text"), (12, None),
    (13, 5), (13, math.nan), (13, "now"), (13, None), (13, -5.0),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_saved_group_with_a_field_that_is_wrong_is_refused(field: int, value: Any) -> None:
    values = stored(group())
    assert len(values) == 14
    values[field] = value
    with pytest.raises(ValueError, match="a group"):
        restored(values)


@pytest.mark.parametrize("values", [None, {}, [], "text", 7, [None] * 14, [1] * 14])
def test_what_is_no_group_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="a group"):
        restored(values)
