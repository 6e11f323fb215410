"""Learned facts: they survive a file, a hostile log and time."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.errors import StateError
from logagent.override_entries import group_text
from logagent.policy import facts as module
from logagent.policy.facts import (
    EXPIRE_SECONDS,
    MAX_ROUTINE,
    Facts,
    Routine,
    load,
    read_bytes,
    save,
    source_text,
    told,
)

EVIL = '\x1b]0;x\x07"\\\n]]\r\u202e\ud800\x7f\u2028\x00 = 1 # [[routine]]\U0001f600'
NOW = 1_773_472_561.0  # 2026-03-14T07:16:01Z


def facts(**changes: object) -> Facts:
    made = Facts(
        host="router-7",
        learned_at=NOW,
        expires=NOW + EXPIRE_SECONDS,
        watched_seconds=86_400.0,
        lines=123_456,
        threshold=0.91,
        old_threshold=0.895,
        routine=(Routine("dnsmasq * query", "/var/log/syslog", 240.5, 20, 0.9, "a line"),),
        note="",
        model="ab" * 32,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # names of fields


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SHARES = st.floats(0, 1)
ROUTINES = st.builds(Routine, TEXTS, TEXTS, st.floats(0, 1e9), st.integers(0, 9999), SHARES, TEXTS)


@given(
    TEXTS,
    st.integers(0, 2**36),
    st.one_of(st.none(), SHARES),
    st.lists(ROUTINES, max_size=4),
    TEXTS,
)
def test_what_is_written_is_ascii_and_loads_to_the_same(
    host: str, at: int, threshold: float | None, routine: list[Routine], note: str
) -> None:
    made = facts(
        host=host,
        learned_at=float(at),
        expires=float(at + 100),
        threshold=threshold,
        routine=tuple(routine),
        note=note,
    )
    data = made.to_toml().encode("ascii")

    assert made == Facts.from_toml(data)


def test_hostile_text_adds_no_key_and_no_table() -> None:
    made = facts(host=EVIL, routine=(Routine(EVIL, EVIL, 1.0, 3, 0.9, EVIL),))
    loaded = Facts.from_toml(made.to_toml().encode("ascii"))

    assert EVIL.replace("\ud800", "\ufffd") == loaded.host == loaded.routine[0].sample
    assert 1 == len(loaded.routine)
    assert all(line.isprintable() for line in made.to_toml().splitlines())


def test_hostile_text_reaches_no_terminal() -> None:
    made = facts(host=EVIL, note=EVIL, routine=(Routine(EVIL, EVIL, 1.0, 3, 0.9, EVIL),))

    assert all(line.isprintable() for line in told(made))


def test_everything_learnt_is_told() -> None:
    assert [
        "learnt on router-7 at 2026-03-14 07:16, used until 2026-06-12 07:16: 123,456 lines in "
        "24.0 hours",
        "threshold: 0.910 (was 0.895)",
        "routine groups, which are ranked lower: 1",
        "  0.90  240 lines a day, in 20 hours  /var/log/syslog: a line",
    ] == list(told(facts()))
    assert "threshold: 0.895, as before" in list(told(facts(threshold=None)))


@given(st.binary(max_size=40), st.text(max_size=20))
def test_a_routine_group_is_found_by_its_bytes(group: bytes, source: str) -> None:
    made = facts(routine=(Routine(group_text(group), source_text(source), 1.0, 3, 0.9),))
    loaded = Facts.from_toml(made.to_toml().encode("ascii"))

    assert loaded.routine_of(source, group) == made.routine[0]
    assert loaded.routine_of(source + "x", group) is None
    assert loaded.routine_of(source, group + b"x") != made.routine[0]


def test_what_is_no_text_keeps_its_bytes() -> None:
    assert ["a\\xff", "\xe9\n", "/\\xff"] == [
        group_text(b"a\xff"), source_text("\xe9\n"), source_text(os.fsdecode(b"/\xff"))
    ]  # fmt: skip


def test_a_file_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "learned.toml"
    save(path, facts())

    assert facts() == load(path, NOW)
    assert [path] == list(tmp_path.iterdir())


def test_expired_facts_are_not_in_force(tmp_path: Path) -> None:
    path = tmp_path / "learned.toml"
    save(path, facts())

    assert load(path, NOW + EXPIRE_SECONDS - 1) is not None
    assert load(path, NOW + EXPIRE_SECONDS) is None


def test_without_a_file_nothing_was_learnt(tmp_path: Path) -> None:
    assert load(tmp_path / "learned.toml", NOW) is None


def test_another_model_keeps_the_routine_but_not_the_threshold() -> None:
    made = facts()

    assert made == made.for_model("ab" * 32)
    assert made.for_model("cd" * 32).threshold is None
    assert made.routine == made.for_model("cd" * 32).routine
    assert 0.91 == facts(model="").for_model("cd" * 32).threshold


GOOD = facts().to_toml()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "version = 2", "version 2, this logagent reads version 1; upgrade"),
        ("version = 1", "", "has no version"),
        ("version = 1", "version = true", "has no version"),
        ("version = 1", "version = 0x" + "f" * 9000, "limit"),
        ('host = "router-7"', "host = 7", "host must be a text"),
        ('host = "router-7"', f'host = "{"x" * 5000}"', "host must be a text"),
        ('host = "router-7"', "host = [", "Invalid"),
        ("T07:16:01Z", "T07:16:01", "learned_at must be a time with its zone"),
        ("learned_at = 2026", "learned_at = 1926", "learned_at is before 1970"),
        ("expires = 2026", "expires = 2036", "expires is over 90 days after"),
        ("lines = 123456", "lines = 1.5", "lines must be a whole number"),
        ("lines = 123456", "lines = -1", "lines must be a number"),
        ("threshold = 0.91", "threshold = 1.5", "threshold must be a number"),
        ("threshold = 0.91", "threshold = nan", "threshold must be a number"),
        ("old_threshold = 0.895", "", "old_threshold must be a number"),
        ("per_day = 240.5", "per_day = inf", "per_day must be a number"),
        ("hours = 20", 'hours = "20"', "hours must be a number"),
        ("[[routine]]", "[routine]", "routine must be a list"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_clear_error(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    path = tmp_path / "learned.toml"
    path.write_text(GOOD.replace(old, new, 1))

    with pytest.raises(StateError, match="learned.toml: .*" + said.replace("(", r"\(")) as caught:
        load(path, NOW)
    assert "`logagent learned reset` removes it" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("data", [b"\xff", b"[" * 5000, b"a." * 50_000, b"a=" + b"[" * 20_000, b""])
def test_garbage_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "learned.toml"
    path.write_bytes(data)

    with pytest.raises(StateError):
        load(path, NOW)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        Facts.from_toml(data)
    except ValueError:
        pass
    else:
        raise AssertionError("these bytes are facts?")


def test_too_many_routine_groups_are_refused() -> None:
    one = facts().routine[0]
    most = tuple(replace(one, group=str(number)) for number in range(MAX_ROUTINE))
    Facts.from_toml(facts(routine=most).to_toml().encode())

    with pytest.raises(ValueError, match="at most 200"):
        Facts.from_toml(facts(routine=(*most, one)).to_toml().encode())


def test_the_largest_facts_fit_the_limit_of_a_file() -> None:
    wide = "\U0001f600"
    one = Routine("\\x01" * 512, wide * 256, 1234567.89, 2160, 0.9012, wide * 160)
    most = facts(routine=(one,) * MAX_ROUTINE)

    assert len(most.to_toml()) <= module.MAX_FILE_BYTES


def test_only_so_much_is_read_and_only_of_regular_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert b"0123456789" == read_bytes(path)

    path.write_bytes(b"0123456789a")
    with pytest.raises(ValueError, match="larger"):
        read_bytes(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular"):
        read_bytes(tmp_path / "pipe")
