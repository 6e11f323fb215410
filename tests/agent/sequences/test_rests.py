"""What is said of a sequence of which a part was not read: only what it has counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.cli import app
from logagent.report import Style
from logagent.sequences.ensemble import Carried, Judged
from logagent.sequences.episode import Episode
from logagent.sequences.finding_records import finding_lines, finding_record
from logagent.sequences.part import SequenceModel
from logagent.sequences.rests import COMPLETIONS, completions, judged_in_part
from logagent.sequences.sequencer import Sequencer
from logagent.sequences.watch import Finding, Watch
from logagent.times import TimeParser
from typer.testing import CliRunner

from .fakes import JOB, MissingEnd, Rule, block, bundle, line, part, reader
from .test_silences import silences

GOOD = ["begin", "work", "end"]
NORMAL = np.array([[1, 1, 1], [1, 2, 1], [1, 9, 1], [1, 0, 1]], np.uint16).T


class Strange:
    """Calls a sequence anomalous for an event from 3 on, for a missing end, or for two begins."""

    order_free = True
    normal = np.pad(NORMAL, ((0, 4), (0, 0)))

    def judge(self, events: np.ndarray) -> Judged:
        counts = np.bincount(events, minlength=7)
        carried = [Carried("missing", 2, 0.9, [])] if not counts[2] else []
        if counts[0] > 1:
            carried.append(Carried("repeated", 0, 0.5, np.flatnonzero(events == 0).tolist()))
        for event in np.flatnonzero(counts[3:]) + 3:
            places = np.flatnonzero(events == event).tolist()
            carried.append(Carried("unexpected", int(event), 0.6, places))
        return Judged(0.9 if carried else 0.1, bool(carried), {"strange": bool(carried)}, carried)


def judged(*events: int) -> Judged:
    return judged_in_part(np.array(events, np.int32), Strange.normal, Strange().judge)


@given(st.sampled_from(NORMAL.T.tolist()), st.randoms(use_true_random=False))
def test_a_part_of_a_normal_sequence_is_normal(normal: list[int], random: Random) -> None:
    events = [event for event, count in enumerate(normal) for _ in range(count)]
    random.shuffle(events)
    assert not judged(*events[: random.randint(1, len(events))]).anomalous


def test_what_is_missing_carries_nothing() -> None:
    assert Strange().judge(np.array([0, 1])).anomalous
    assert not judged(0, 1).anomalous
    assert not judged().anomalous


def test_what_is_there_still_does_and_only_places_that_are_there_are_told() -> None:
    odd = judged(1, 5)
    assert (True, [("unexpected", 5, [1])]) == (
        odd.anomalous,
        [(each.kind, each.event, each.positions) for each in odd.carried],
    )
    twice = judged(0, 0)
    assert [("repeated", [0, 1])] == [(each.kind, each.positions) for each in twice.carried]


def test_a_verdict_that_only_what_is_missing_carries_is_none() -> None:
    always = Judged(0.9, True, {}, [Carried("missing", 2, 0.9, [])])
    assert not judged_in_part(np.array([0], np.int32), NORMAL, lambda _events: always).anomalous


def test_a_damaged_part_makes_no_endless_completions() -> None:
    """No sequence is so long: with 30,000 such events a completion would take 15 GB."""
    normal = np.concatenate([np.full((3, 1), 65_535, np.uint16), NORMAL], axis=1)
    assert [[0, 0, 1], [0, 1, 1]] == completions(np.array([1, 0, 0]), normal)[:2].tolist()


def test_a_verdict_that_only_what_was_made_up_carries_is_none() -> None:
    """Neighbours of a completion may have less of what it was completed with."""

    def judge(events: np.ndarray) -> Judged:
        carried = [Carried("repeated", 1, 0.9, np.flatnonzero(events == 1).tolist())]
        return Judged(0.9, True, {}, carried)

    assert not judged_in_part(np.array([0], np.int32), NORMAL, judge).anomalous
    assert judged_in_part(np.array([0, 1], np.int32), NORMAL, judge).anomalous


def test_the_mildest_verdict_counts() -> None:
    scores = iter([0.9, 0.6, 0.8, 0.7])
    found = judged_in_part(
        np.array([0], np.int32),
        NORMAL,
        lambda _events: Judged(next(scores), True, {}, [Carried("unexpected", 0, 0.5, [0])]),
    )
    assert (True, 0.6) == (found.anomalous, found.score)


def test_without_normal_sequences_nothing_can_be_said() -> None:
    none = np.zeros((7, 0), np.uint16)
    assert not judged_in_part(np.array([5], np.int32), none, Strange().judge).anomalous


@given(st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_completions_are_of_the_normal_sequences_that_explain_most(counts: list[int]) -> None:
    here = np.array(counts, np.int64)
    lacks = completions(here, NORMAL)
    assert len(lacks) == min(COMPLETIONS, NORMAL.shape[1])
    assert (lacks >= 0).all()
    holds = [(here <= normal).all() for normal in NORMAL.T.astype(np.int64)]
    if any(holds):  # then the first completion is a normal sequence, and the shortest there is
        whole = here + lacks[0]
        assert whole.tolist() in NORMAL.T.tolist()
        shortest = min(int(n.sum()) for n, fits in zip(NORMAL.T, holds, strict=True) if fits)
        assert shortest == whole.sum()


def watch(judge: object = None) -> Watch:
    texts = [line(1, what, 0) for what in GOOD]
    made = Sequencer(reader(*texts), [Rule(key=JOB)], wall=lambda: 0.0, silences=silences())
    return Watch(made, judge or Strange())  # type: ignore[arg-type]


def findings(made: Watch, *lines: bytes) -> list[Finding]:
    return [*made.see("a.log", b"finger-8", block(*lines)), *made.close()]


LOG = (
    line(1, "work", 0),  # may have begun before
    line(1, "end", 0),
    line(2, "work", 0),
    line(2, "exploded", 0),
    line(3, "begin", 1),
    line(4, "begin", 3000),  # may go on
    line(5, "exploded", 3000),
)


def test_of_a_part_only_what_it_has_is_held_against_it() -> None:
    made = watch()
    found = {each.episode.session.decode(): each for each in findings(made, *LOG)}
    assert ["j2", "j3", "j5"] == sorted(found)
    assert ["unexpected"] == [each.kind for each in found["j2"].judged.carried]
    assert ["missing"] == [each.kind for each in found["j3"].judged.carried]
    counts = made.counts()
    assert (3, 2, 1, 5, 3) == tuple(
        counts[name] for name in ("cut", "unfinished", "spared", "judged", "anomalous")
    )


def test_a_verdict_on_a_part_is_not_one_on_the_same_events_as_a_whole() -> None:
    made = watch()
    said = [line(1, "work", 0), line(2, "work", 2000), line(3, "end", 4000)]
    found = findings(made, *said)
    assert ["j2"] == [each.episode.session.decode() for each in found]
    assert (1, 1) == (made.sequencer.counters.cut, made.spared)


def test_a_judge_that_knows_no_normal_sequences_is_asked_about_whole_ones_only() -> None:
    texts = [line(1, what) for what in GOOD]
    made = Watch(Sequencer(reader(*texts), [Rule(key=JOB)]), MissingEnd())
    assert ["j1"] == [each.episode.session.decode() for each in findings(made, line(1, "begin"))]


def test_records_and_lines_for_people_tell_of_a_part() -> None:
    made = watch()
    found = {each.episode.session.decode(): each for each in findings(made, *LOG)}
    reader_, times = made.sequencer.reader, TimeParser()
    keys = {
        name: sorted({"cut", "unfinished"} & finding_record(each, reader_, times).keys())
        for name, each in found.items()
    }
    assert {"j2": ["cut"], "j3": [], "j5": ["cut", "unfinished"]} == keys
    head = {
        name: finding_lines(1, each, 1, reader_, Style(120, colour=False))[0]
        for name, each in found.items()
    }
    assert head["j2"].endswith("2 lines, perhaps begun earlier")
    assert head["j3"].endswith("1 line")
    assert head["j5"].endswith("1 line, perhaps begun earlier, perhaps not over")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    limits = silences((0.0, 1200.0, 1200.0), (1200.0, 1200.0, 0.0), stamped=False)
    return bundle(tmp_path_factory.mktemp("model") / "jobs.bundle", silences=limits)


def scan(model: Path, log: Path, *more: str):  # type: ignore[no-untyped-def]
    given = ["scan", str(log), "--sequences", "--bundle", str(model), "--backend", "numpy", *more]
    return CliRunner().invoke(app, given)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of jobs, of which the first is cut, one in the middle hangs and the last goes on."""
    path = tmp_path / "jobs.log"
    jobs = [line(1, "work"), line(2, "begin"), line(3, "begin"), line(3, "end")]
    path.write_bytes(b"\n".join([*jobs, *[b"nothing"] * 100, line(4, "begin")]) + b"\n")
    return path


def test_a_scan_finds_the_job_that_hangs_and_leaves_those_alone_it_saw_in_part(
    model: Path, log: Path
) -> None:
    done = scan(model, log, "--format", "jsonl", "--stats", "json")
    found = [each for each in map(json.loads, done.stdout.splitlines()) if "session" in each]
    assert ["j2"] == [each["session"] for each in found]
    stats = json.loads(done.stderr.splitlines()[-1])["sequences"]
    assert (1, 1) == (stats["cut"], stats["unfinished"])


def test_people_are_told_how_many_were_seen_in_part(model: Path, log: Path) -> None:
    assert (
        "4 sequences, 1 anomalous; 1 perhaps begun before what was read, 1 perhaps not over: only "
        "what they have was judged"
    ) in " ".join(scan(model, log, "--format", "human").stdout.split())


def test_an_ensemble_tells_of_the_normal_sequences_it_has() -> None:
    ensemble = SequenceModel.read(part()).ensemble
    assert (7, 3) == ensemble.normal.shape
    cut = judged_in_part(np.array([1, 1], np.int32), ensemble.normal, ensemble.judge)
    assert ensemble.judge(np.array([0, 1], np.int32)).anomalous
    assert not cut.anomalous


def test_an_episode_is_a_whole_one_unless_it_is_said_otherwise() -> None:
    assert (False, False) == (
        Episode.__dataclass_fields__["cut"].default,
        Episode.__dataclass_fields__["unfinished"].default,
    )


class Fading(Strange):
    """What carries a sequence weighs less, the longer it is."""

    def judge(self, events: np.ndarray) -> Judged:
        judged = super().judge(events)
        carried = [replace(each, weight=1 / len(events)) for each in judged.carried]
        return replace(judged, score=1 / len(events), carried=carried)


def test_what_carried_a_part_is_told_as_it_stands_and_its_score_is_the_mildest() -> None:
    (found,) = findings(watch(Fading()), line(1, "exploded", 0))
    ((what, weight),) = [(each.kind, each.weight) for each in found.judged.carried]
    assert ("unexpected", 1.0) == (what, weight)
    assert found.judged.score < 0.5
