"""Mining the order of events, and whether it may vote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training needs the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent import cli as agent_cli
from logagent.bundle import Bundle
from logagent.sequences.ensemble import Ensemble
from logagent.sequences.part import SequenceModel
from logagent_build import cli
from logagent_build.sequences import export, order, order_part
from logagent_build.sequences.data import Events
from logagent_build.sequences.order import COPIES, MARGIN, learn, mine, swapped
from logagent_build.sequences.training import Settings, train
from typer.testing import CliRunner

from .made import sequences
from .test_lines import KEY, write

WIDTH = 8
STRICT = np.ones(WIDTH, np.int64)  # margins


def of(*numbers: int) -> Events:
    return np.array(numbers, np.int32)


def pairs(made: order.Order) -> set[tuple[int, int, int]]:
    return set(zip(made.a.tolist(), made.b.tolist(), made.kind.tolist(), strict=True))


def jobs(many: int, seed: int, *, loose: bool = False) -> list[Events]:
    """Return 0, then 1 to 4 in any order if `loose` or rising, some often, then 5 and 6."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(many):
        middle = random.integers(1, 5, size=int(random.integers(4, 10)))
        made.append(of(0, *(middle if loose else np.sort(middle)), 5, 6))
    return made


def test_what_always_comes_first_is_mined_by_kind() -> None:
    made = mine([of(0, 1, 0, 1, 2), of(0, 1, 1, 2, 2)], np.array([50, 50]), WIDTH, STRICT)
    assert {(0, 1, 0), (0, 1, 1), (0, 2, 2), (1, 2, 2)} == pairs(made)
    assert {100} == set(made.of.tolist()) == set(made.held.tolist())


def test_what_comes_in_either_order_is_no_invariant() -> None:
    assert not len(mine([of(0, 1), of(1, 0)], np.array([50, 50]), WIDTH, STRICT))


def test_one_wrong_label_in_a_thousand_leaves_an_invariant_and_is_counted() -> None:
    times = np.array([999, 1])
    made = mine([of(0, 1), of(1, 0)], times, WIDTH, STRICT)
    assert (999, 1000) == (made.held[0], made.of[0])
    assert not len(mine([of(0, 1), of(1, 0)], np.array([990, 10]), WIDTH, STRICT))


def test_too_few_sequences_show_no_invariant() -> None:
    assert not len(mine([of(0, 1)], np.array([order.SUPPORT - 1]), WIDTH, STRICT))


def test_unknown_events_have_no_order() -> None:
    made = learn([of(0, 1, 7)] * 200, WIDTH, false_alarms=0.01, known=7).order
    assert made is not None
    assert {(0, 1, 2)} == pairs(made)


def test_equal_sequences_count_only_so_often() -> None:
    made = learn([of(0, 1)] * 5000 + jobs(200, 1), WIDTH, false_alarms=0.01).order
    assert made is not None
    assert made.normal <= 200 + COPIES


@pytest.mark.parametrize("loose", [False, True])
def test_broken_jobs_are_found_and_normal_ones_are_not(loose: bool) -> None:
    learnt = learn(jobs(300, 1, loose=loose), WIDTH, false_alarms=0.01)
    assert learnt.order is not None, learnt.why
    made = learnt.order
    margins = dict(zip(zip(made.a, made.b, strict=True), made.margin, strict=True))
    assert (MARGIN if loose else 1, 1) == (margins[0, 1], margins[5, 6])
    voter = learnt.order.voter(WIDTH)
    random = np.random.default_rng(3)

    def flagged(which: list[Events]) -> float:
        return float(np.mean([voter.score(voter.violated(each)) > voter.cut for each in which]))

    fresh = jobs(300, 2, loose=loose)
    assert flagged(fresh) <= 0.01
    assert flagged([each[::-1] for each in fresh]) == 1
    if not loose:
        assert flagged([swapped(each, random) for each in fresh]) > 0.8


def test_neighbours_of_interleaved_logs_may_change_places() -> None:
    learnt = learn(jobs(300, 1, loose=True), WIDTH, false_alarms=0.01)
    assert learnt.order is not None
    voter = learnt.order.voter(WIDTH)
    random = np.random.default_rng(4)
    for each in jobs(200, 2, loose=True):
        start = int(random.integers(0, len(each) - 5))  # 5 and 6 are not interleaved
        shuffled = each.copy()
        shuffled[start : start + 4] = random.permutation(each[start : start + 4])
        assert voter.score(voter.violated(shuffled)) <= voter.cut


def test_a_voter_that_finds_nothing_is_left_out() -> None:
    random = np.random.default_rng(1)
    mixed = [random.permutation(7).astype(np.int32) for _ in range(300)]
    assert learn(mixed, WIDTH, false_alarms=0.01).order is None
    few = learn(jobs(50, 1), WIDTH, false_alarms=0.01)
    assert (None, True) == (few.order, "fewer than" in few.why)


def test_a_voter_whose_held_out_sequences_break_its_rules_is_cut_above_them() -> None:
    """Each job has a pair of its own in the other order: rules that hold until they do not."""
    random = np.random.default_rng(1)
    odd = jobs(400, 1)
    for at in range(0, 400, 130):
        odd[at] = of(6, *random.permutation(odd[at][:-1]))
    learnt = learn(odd, WIDTH, false_alarms=0.01, forced=True)
    assert learnt.false_alarms <= order.SHARE * 0.01
    assert learnt.order is not None
    assert learnt.order.cut > 0


@given(st.lists(st.integers(0, 7), max_size=12), st.integers(0, 9))
def test_exchanged_blocks_are_the_same_events(events: list[int], seed: int) -> None:
    after = swapped(of(*events), np.random.default_rng(seed))
    assert sorted(events) == sorted(after.tolist())


def test_the_same_seed_gives_the_same_voter() -> None:
    one, other = (learn(jobs(200, 1), WIDTH, false_alarms=0.01, seed=5) for _ in range(2))
    assert one.order is not None
    assert other.order is not None
    assert one.order.part() == other.order.part()


def test_a_part_has_no_more_parameters_than_an_agent_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = sequences()
    part = export.part(train(data, Settings(trees=5, with_paper=False), 1))
    learnt = learn(jobs(200, 1), len(data.vocabulary), false_alarms=0.01)
    assert learnt.order is not None
    size = Ensemble.read(part).parameters
    monkeypatch.setattr(order_part, "MOST_PARAMETERS", size + 13)
    smaller = order_part.with_order(part, learnt.order)
    assert smaller is not None
    assert size + 12 == Ensemble.read(smaller).parameters
    monkeypatch.setattr(order_part, "MOST_PARAMETERS", size + 5)
    assert order_part.with_order(part, learnt.order) is None


def test_windows_have_no_order() -> None:
    data = sequences()
    given_part: dict[str, object] = {}
    made = order_part.choose(given_part, data, "auto", known=7, false_alarms=0.01, sessions=False)
    assert (given_part, "off") == (made[0], made[1]["order"])
    with pytest.raises(ValueError, match="only sessions"):
        order_part.choose(given_part, data, "on", known=7, false_alarms=0.01, sessions=False)


# From log lines to a finding.

GOOD = ("login", "open", "write", "commit", "close")
LATE = ("login", "open", "commit", "write", "close")  # the commit before what it commits
INTRUDER = ("open", "login", "write", "commit", "close")  # the access before the login


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log of 200 jobs; those whose number 4 divides lack their end."""
    folder = tmp_path_factory.mktemp("order")
    made = {
        number: (
            *GOOD[:2],
            *(("read",) * (number % 5)),
            *("write",) * (1 + number % 3),
            *(GOOD[3:] if number % 4 else ()),
        )
        for number in range(200)
    }
    write(folder / "train.log", made)
    (folder / "labels.tsv").write_text(
        "".join(f"j{number}\t{int(number % 4 == 0)}\n" for number in made)
    )
    return folder


def build(log: Path, out: Path, *more: str):  # type: ignore[no-untyped-def]
    given = [str(log / "train.log"), "--session-key", KEY, "--labels", str(log / "labels.tsv")]
    return CliRunner().invoke(cli.app, ["sequences", *given, "-o", str(out), *more])


@pytest.fixture(scope="module")
def bundle(log: Path) -> Path:
    done = build(log, log / "auto.bundle")
    assert 0 == done.exit_code, done.output
    assert "order: voter: " in done.output
    return log / "auto.bundle"


def scanned(bundle: Path, log: Path) -> dict[str, dict[str, object]]:
    others = b"nothing of a job\n" * 500  # or all jobs may have begun before, and may go on
    log.write_bytes(others + log.read_bytes() + others)
    done = CliRunner().invoke(
        agent_cli.app,
        ["scan", str(log), "--sequences", "--bundle", str(bundle), "--format", "jsonl"],
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["session"]: each for each in records if each.get("kind") == "sequence"}


def test_jobs_in_the_wrong_order_are_found_in_a_log_and_explained(
    bundle: Path, tmp_path: Path
) -> None:
    test = write(tmp_path / "t.log", {1: GOOD, 2: LATE, 3: INTRUDER, 4: GOOD[:3], 5: GOOD})
    found = scanned(bundle, test)
    assert {"j2", "j3", "j4"} == found.keys()
    for session, early, late in (
        ("j2", "job j: commit", "job j: write"),
        ("j3", "job j: open", "job j: login"),
    ):
        (carried,) = found[session]["carried"]  # type: ignore[misc]
        assert {"what": "out of order", "template": early, "before": late}.items() <= (
            carried.items()  # type: ignore[attr-defined]
        )
        assert carried["normally_after"] == carried["normal_sequences"] > 20  # type: ignore[index]
        assert found[session]["votes"] == {
            "forest": False,
            "knn": False,
            "network": False,
            "tree": False,
            "order": True,
        }
    assert "missing" == found["j4"]["carried"][0]["what"]  # type: ignore[index]


def test_without_the_voter_the_same_model_finds_what_counts_tell(
    log: Path, bundle: Path, tmp_path: Path
) -> None:
    done = build(log, tmp_path / "off.bundle", "--order", "off")
    assert "order: off" in done.output
    test = write(tmp_path / "t.log", {1: GOOD, 2: LATE, 3: INTRUDER, 4: GOOD[:3]})
    assert {"j4"} == scanned(tmp_path / "off.bundle", test).keys()
    off, auto = (SequenceModel.of(Bundle.load(each)) for each in (tmp_path / "off.bundle", bundle))
    assert (True, False) == (off.ensemble.order_free, auto.ensemble.order_free)
    assert ("off", "voter") == (off.record["order"], auto.record["order"])
    assert "invariants" in auto.record["order_why"]


def test_an_order_that_is_asked_for_and_not_there_is_an_error(log: Path, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_bytes((log / "train.log").read_bytes())
    few = [f"j{number}\t{int(number % 4 == 0)}\n" for number in range(40)]
    (tmp_path / "labels.tsv").write_text("".join(few))
    done = build(tmp_path, tmp_path / "x.bundle", "--order", "on")
    assert (4, True) == (done.exit_code, "fewer than 100 normal sequences" in done.output)
    assert 4 == build(log, tmp_path / "x.bundle", "--order", "maybe").exit_code
    assert not (tmp_path / "x.bundle").exists()
    left_out = build(tmp_path, tmp_path / "y.bundle")
    assert (0, True) == (left_out.exit_code, "order: left out: fewer than" in left_out.output)
