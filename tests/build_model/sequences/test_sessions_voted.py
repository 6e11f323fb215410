"""From logs without labels to a bundle: sessions written, voted on, trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="training needs the [build] extra")
pytest.importorskip("rich", reason="the command line needs the [build] extra")

from click.testing import Result
from logagent.bundle import Bundle
from logagent.sequences.part import SequenceModel
from logagent.sequences.rules import Rule, session_key
from logagent_build import cli
from logagent_build.sequences.lines import read_sessions
from logagent_build.sequences.llm.few import drawn, votes_in_rounds
from logagent_build.sequences.llm.sequence_files import read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.votes import Vote, write_votes
from logagent_build.sequences.voted import with_votes
from typer.testing import CliRunner

from .made import sequences
from .test_lines import KEY, write

JOBS = {
    number: ("begin",) + ("work",) * (number % 7 + 1) + (("end",) if number % 25 else ())
    for number in range(100)
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "jobs.log", JOBS | {100: ("begin", "exploded oddly", "end")})


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def voted(sessions: Path, out: Path, *, silent: int = 0) -> dict[bytes, Vote]:
    """Vote as a model would that knows what is wrong; about the first `silent` it says nothing."""
    data = read_sequences(sessions).data
    end = data.vocabulary.index("job j: end")
    votes = {
        key: Vote(key, end not in events.tolist(), 1, int(end not in events.tolist()), "agreed", 1)
        for key, events in zip(keys(data), data.events, strict=True)
    }
    for key in list(votes)[:silent]:
        votes[key] = Vote(key, anomalous=None, votes=0, votes_anomalous=0, how="refused", asked=1)
    write_votes(out, votes.values())
    return votes


def test_sessions_are_written_once_each_with_their_events_as_people_read_them(
    log: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.tsv"
    labels.write_text("j1\t1\nj8\t0\nj2\t0\n")  # j1 and j8 are alike
    out = tmp_path / "sessions.jsonl"
    done = run("sessions", log, "--session-key", KEY, "--labels", labels, "-o", out)
    assert 0 == done.exit_code, done.output
    assert 0o600 == out.stat().st_mode & 0o777
    made = rows(out)
    events = [tuple(row["events"]) for row in made]
    assert len(set(events)) == len(events) == 12
    assert 101 == sum(row["count"] for row in made)
    assert ("job j: begin", "job j: exploded oddly", "job j: end") in events
    by_session = {row["session"]: row for row in made}
    assert 0 == by_session["j2"]["label"]
    assert "label" not in by_session["j1"]
    assert by_session["j1"]["torn"]
    assert "1 have sessions of both labels" in done.output


def test_votes_alone_make_a_bundle_and_labels_of_people_win(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "sessions.jsonl"
    assert 0 == run("sessions", log, "--session-key", KEY, "-o", out).exit_code
    votes = tmp_path / "votes.jsonl"
    voted(out, votes, silent=1)
    bundle = tmp_path / "jobs.bundle"
    given = ("sequences", log, "--session-key", KEY, "-o", bundle)
    done = run(*given, "--votes", votes)
    assert 0 == done.exit_code, done.output
    record = SequenceModel.of(Bundle.load(bundle)).record
    assert record["labelled_by_people"] == 0
    assert record["labelled_by_votes"] + record["sequences_without_label"] == 101
    assert record["votes_without_clear_reply"] > 0 == record["votes_without_session"]

    labels = tmp_path / "labels.tsv"
    labels.write_text("".join(f"j{number}\t0\n" for number in range(101)))
    refused = run(*given, "--votes", votes, "--labels", labels)
    assert 4 == refused.exit_code
    assert "all sessions have one label" in refused.output


def test_votes_on_other_logs_are_refused(log: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.log", {1: ("start", "stop"), 2: ("start",)})
    out, votes = tmp_path / "sessions.jsonl", tmp_path / "votes.jsonl"
    assert 0 == run("sessions", log, "--session-key", KEY, "-o", out).exit_code
    voted(out, votes)
    done = run(
        "sequences", other, "--session-key", KEY, "--votes", votes, "-o", tmp_path / "x.bundle"
    )
    assert 4 == done.exit_code
    assert "no session has a vote" in done.output
    assert not (tmp_path / "x.bundle").exists()
    assert 4 == run("sequences", other, "--session-key", KEY, "-o", "x").exit_code


def test_what_is_asked_about_is_anomalous_far_more_often_than_chance() -> None:
    data = sequences(normal=400, failed=40)
    truth = dict(zip(keys(data), data.anomalous.tolist(), strict=True))
    waves = []

    def ask(few):  # type: ignore[no-untyped-def]
        waves.append(len(few))
        return [Vote(key, truth[key], 1, int(truth[key]), "agreed", 1) for key in keys(few)]

    votes = votes_in_rounds(data, 100, 0, ask)
    assert 100 == len({vote.sequence for vote in votes}) == sum(waves)
    assert 8 == len(waves)
    assert sum(bool(vote.anomalous) for vote in votes) >= 30  # drawn at random: 9
    assert votes == votes_in_rounds(data, 100, 0, ask)
    assert drawn(data, 100, 0).anomalous.sum() < 20


def test_what_a_model_finds_wrong_with_every_session_is_not_believed(tmp_path: Path) -> None:
    """The commonest sessions are normal, unless people say that they are not."""
    jobs = dict.fromkeys(range(80), ("begin", "work", "end"))
    jobs |= dict.fromkeys(range(80, 83), ("begin", "panic", "end"))
    jobs |= dict.fromkeys(range(83, 99), ("begin", "work", "work", "end"))
    log = write(tmp_path / "jobs.log", jobs)
    made = read_sessions([str(log)], Rule(key=session_key(KEY)))
    votes = {
        key: Vote(key, 4 != len(events), 1, int(4 != len(events)), "agreed", 1)
        for key, events in zip(keys(made.seen), made.seen.events, strict=True)
    }
    alone = with_votes(made, votes, {})
    assert 3 == alone.labelled.anomalous.sum()
    assert 80 == alone.counts["voted_anomalous_but_common"]
    told = with_votes(made, votes, {b"j1": True})
    assert 4 == told.labelled.anomalous.sum()


def test_of_a_few_sessions_each_is_a_twentieth_and_still_believed(tmp_path: Path) -> None:
    jobs = {number: ("begin",) + ("work",) * number + ("end",) for number in range(1, 15)}
    jobs |= {15: ("begin", "panic"), 16: ("begin", "panic", "panic")}
    made = read_sessions([str(write(tmp_path / "jobs.log", jobs))], Rule(key=session_key(KEY)))
    panic = made.seen.vocabulary.index("job j: panic")
    votes = {
        key: Vote(key, panic in events.tolist(), 1, int(panic in events.tolist()), "agreed", 1)
        for key, events in zip(keys(made.seen), made.seen.events, strict=True)
    }
    told = with_votes(made, votes, {})
    assert (2, 0) == (told.labelled.anomalous.sum(), told.counts["voted_anomalous_but_common"])


def test_what_did_not_fit_is_told(log: Path, tmp_path: Path) -> None:
    """Labels of other sessions, votes on others, votes that say nothing, keys that are none."""
    out, votes, labels = (tmp_path / name for name in ("s.jsonl", "v.jsonl", "l.tsv"))
    labels.write_text("other\t1\n")
    key = r"job (?P<session>\w+)"
    with log.open("a") as file:
        file.write(f"job {'j' * 200}: begin\n")
    done = run("sessions", log, "--session-key", key, "--labels", labels, "-o", out)
    assert 0 == done.exit_code, done.output
    assert "1 labels without a session" in done.output
    assert "1 malformed keys" in done.output

    voted(out, votes)
    given = ("sequences", log, "--session-key", key, "--votes", votes, "-o", tmp_path / "b")
    done = run(*given, "--labels", labels)
    assert 0 == done.exit_code, done.output
    assert "1 labels without session" in done.output
    assert "1 malformed keys" in done.output
    assert "were `sessions`" not in done.output
    done = run(*given, "--max-events", "2")
    assert "were `sessions` and this command given the same logs and options?" in done.output
    voted(out, votes, silent=99)
    done = run(*given)
    assert (4, True) == (done.exit_code, "none of these has a clear reply" in done.output)


def test_a_bundle_tells_whose_votes_it_was_trained_on_and_of_a_simulation_that_it_is_one(
    log: Path, tmp_path: Path
) -> None:
    labels, out, votes = (tmp_path / name for name in ("l.tsv", "s.jsonl", "v.jsonl"))
    labels.write_text(
        "".join(f"j{number}\t{int(not number % 25)}\n" for number in JOBS) + "j100\t0\n"
    )
    assert 0 == run("sessions", log, "--session-key", KEY, "--labels", labels, "-o", out).exit_code
    known = [row for row in rows(out) if "label" in row]
    out.write_text("".join(json.dumps(row) + "\n" for row in known))
    simulated = "simulated:normal=0,anomalous=0,alike=0"
    done = run("vote", out, "--annotator", simulated, "--meanings", "none", "-o", votes)
    assert 0 == done.exit_code, done.output
    bundle = tmp_path / "jobs.bundle"
    given = ("sequences", log, "--session-key", KEY, "--votes", votes, "-o", bundle)
    done = run(*given)
    assert 0 == done.exit_code, done.output
    assert "a simulation, no model was asked" in done.output
    told = SequenceModel.of(Bundle.load(bundle)).record["votes"]
    assert told["simulation"] is True
    assert told["model"].startswith("simulated")

    record = votes.with_name("v.jsonl.json")
    record.write_text("{}")
    done = run(*given)
    assert (7, True) == (done.exit_code, "no record of votes" in done.output)
    record.unlink()
    assert "no record beside them tells whose they are" in run(*given).output
