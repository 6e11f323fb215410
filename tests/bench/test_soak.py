"""The soak: its audit finds what it is to find, its writers write what they say."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import logrotate
import numbered
import pytest
import writers
from following import AlertsTail
from ledger import Audit, Ledger, Mark
from measure import BenchError, logagent_words

BENCH = Path(__file__).resolve().parents[2] / "bench"
ANOMALOUS = range(0, 100, 10)


@pytest.fixture
def audit() -> Audit:
    """One hundred lines, every tenth of them anomalous."""
    ledger = Ledger()
    ledger.take(100)
    for number in ANOMALOUS:
        ledger.marks[number] = Mark("app.log", 0, "inside")
    return Audit(ledger, save_seconds=1.0)


def record(number: int, identity: str = "", text: str = "") -> bytes:
    """The record of an anomalous line."""
    shown = text or numbered.line(number, anomalous=True).decode()
    return json.dumps({"id": identity or f"{number:016x}", "text": shown}).encode()


def add_all(audit: Audit, numbers: Iterable[int] = ANOMALOUS) -> None:
    for number in numbers:
        audit.add(record(number), run=len(audit.stops), seconds=100.0)


# --- what is right


def test_every_anomalous_line_once_breaks_no_promise(audit: Audit) -> None:
    add_all(audit)

    found = audit.findings()

    assert [] == found["broken"]
    assert (100, 10, 10, 10) == tuple(
        found[name] for name in ("written", "anomalous", "reports", "seen")
    )
    assert 0 == found["lost"] == found["invented"] == found["repeated"]


def test_a_repeat_after_a_kill_with_the_same_id_breaks_no_promise(audit: Audit) -> None:
    add_all(audit)
    audit.stopped(clean=False, seconds=100.5)
    audit.add(record(90), run=1, seconds=102.0)

    found = audit.findings()

    assert [] == found["broken"]
    assert (1, 0.5, 0) == (
        found["repeated"], found["oldest_repeat_seconds"], found["repeated_too_old"],
    )  # fmt: skip


# --- what is wrong


def test_a_line_that_was_never_reported_is_lost(audit: Audit) -> None:
    add_all(audit, [number for number in ANOMALOUS if number != 50])

    found = audit.findings()

    assert ["lost"] == found["broken"]
    assert {"app.log inside": 1} == found["lost_by_place"]
    assert "50 in app.log" in found["examples"]["lost"][0]


@pytest.mark.parametrize(
    "text",
    [
        "what nobody wrote",
        numbered.line(50, anomalous=True).decode()[1:],
        numbered.line(50, anomalous=True).decode()[:-1],
        numbered.line(50, anomalous=True).decode().replace("edge-1", "edge-2"),
        numbered.line(40, anomalous=True).decode() + numbered.line(50, anomalous=True).decode(),
        numbered.line(50, anomalous=False).decode(),  # the number of an anomalous one
        numbered.line(51, anomalous=True).decode(),  # written as a normal one
        numbered.line(100, anomalous=True).decode(),  # not written yet
    ],
)
def test_a_report_of_what_was_not_written_is_invented(audit: Audit, text: str) -> None:
    add_all(audit)
    audit.add(record(50, "f" * 16, text), run=0, seconds=100.0)

    assert ["invented"] == audit.findings()["broken"]
    assert [text] == audit.invented


def test_a_normal_line_is_no_invention_but_a_false_alarm(audit: Audit) -> None:
    add_all(audit)
    text = numbered.line(51, anomalous=False).decode()
    audit.add(record(51, "f" * 16, text), run=0, seconds=100.0)

    found = audit.findings()

    assert ([], 1) == (found["broken"], found["false_alarms"])


def test_a_line_reported_twice_within_a_run_is_a_repeat_without_a_kill(audit: Audit) -> None:
    add_all(audit)
    audit.add(record(50), run=0, seconds=101.0)

    assert ["repeated without a kill"] == audit.findings()["broken"]


def test_a_repeat_after_a_clean_stop_is_one_without_a_kill_whatever_comes_later(
    audit: Audit,
) -> None:
    add_all(audit)
    audit.stopped(clean=True, seconds=101.0)
    audit.stopped(clean=False, seconds=102.0)
    audit.add(record(50), run=2, seconds=103.0)

    assert [50] == audit.unprovoked


def test_a_repeat_with_another_id_is_found(audit: Audit) -> None:
    add_all(audit)
    audit.stopped(clean=False, seconds=100.5)
    audit.add(record(50, "f" * 16), run=1, seconds=102.0)

    assert ["repeated with another id"] == audit.findings()["broken"]


def test_two_lines_with_one_id_are_found(audit: Audit) -> None:
    add_all(audit, [number for number in ANOMALOUS if number != 50])
    audit.add(record(50, f"{40:016x}"), run=0, seconds=100.0)

    assert ["two lines with one id"] == audit.findings()["broken"]
    assert [(40, 50)] == audit.shared_id


def test_a_repeat_of_what_must_have_been_saved_is_counted(audit: Audit) -> None:
    add_all(audit)
    audit.stopped(clean=False, seconds=104.0)
    audit.add(record(50), run=1, seconds=105.0)

    assert 1 == audit.findings()["repeated_too_old"]


def test_half_a_record_is_torn_and_its_line_lost(audit: Audit) -> None:
    add_all(audit, [number for number in ANOMALOUS if number != 50])
    audit.add(record(50)[:40], run=0, seconds=100.0)

    assert ["lost", "torn"] == audit.findings()["broken"]


# --- alerts are read as they come


def test_a_record_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    taken: list[bytes] = []
    tail = AlertsTail(path, taken.append)
    tail.poll()
    path.write_bytes(b"one\ntw")
    tail.poll()
    first = list(taken)
    with path.open("ab") as file:
        file.write(b"o\n")
    tail.poll()
    tail.close()

    assert [b"one"] == first
    assert [b"one", b"two"] == taken


def test_an_alerts_file_that_lost_records_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"one\ntwo\n")
    tail = AlertsTail(path, lambda _record: None)
    tail.poll()
    path.write_bytes(b"one\n")

    with pytest.raises(BenchError, match="lost records"):
        tail.poll()
    tail.close()


# --- lines and logs


def test_a_line_is_told_by_its_number_and_kind() -> None:
    lines = {
        numbered.line(number, anomalous=anomalous)
        for number in range(2000)
        for anomalous in (False, True)
    }

    assert 4000 == len(lines)
    assert {*range(2000)} == {numbered.number_of(line.decode()) for line in lines}


def test_the_detector_tells_normal_lines_from_anomalous_ones() -> None:
    """All sentences, with numbers of any size; else the soak would prove nothing."""
    from logagent.bundle import DEFAULT_BUNDLE, Bundle
    from logagent.normalise import templates
    from logagent.scorer import Scorer

    scorer = Scorer(Bundle.load(DEFAULT_BUNDLE), "numpy")
    threshold = float(scorer.bundle.manifest.thresholds["normal"])
    numbers = [*range(200), *range(0, 999_999_999, 7_654_321)]

    def scores(*, anomalous: bool) -> list[float]:
        lines = [numbered.line(number, anomalous=anomalous) for number in numbers]
        return [float(score) for score in scorer.scores(templates(lines).templates)]

    assert max(scores(anomalous=False)) < threshold - 0.3
    assert min(scores(anomalous=True)) > threshold + 0.03


class Patient:
    """An agent that has seen and saved all, and no end to the lines that may be written."""

    def allowed(self) -> int:
        return 1_000_000

    def down(self) -> bool:
        return False

    def reported(self, numbers: Iterable[int]) -> bool:
        return True

    def saved(self, numbers: Iterable[int]) -> bool:
        return True


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers that never pause and whose files are never removed."""
    for name in ("LATE_SECONDS", "GAP_SECONDS", "PAUSE_SECONDS", "PATIENCE_SECONDS"):
        monkeypatch.setattr(writers, name, 0.0)
    monkeypatch.setattr(writers, "KEPT", 1000)


@pytest.mark.parametrize("habit", writers.HABITS, ids=lambda habit: habit.name)
def test_what_a_writer_wrote_is_in_its_files_once_and_whole(
    habit: writers.Habit, tmp_path: Path, hurried: None
) -> None:
    """Through all kinds of rotation; but what was deleted is not there."""
    ledger = Ledger()
    writer = writers.Writer(
        tmp_path, "app", habit, ledger, Patient(), every=10, seed="1", note=lambda _text: None
    )
    deleted: list[bytes] = []
    for kind in habit.kinds * 3:
        for _ in range(4):
            writer._burst()
        if kind == "delete and create":
            writer._edge("last")  # as it does itself; nothing is written from here to the deletion
            deleted += lines_in(tmp_path)
        writer._rotate(kind)
    writer.start()
    writer.finish()
    writer.join()

    found = sorted(set(deleted + lines_in(tmp_path)), key=lambda line: line[-9:])
    written = [
        numbered.line(number, anomalous=number in ledger.marks) for number in range(ledger.lines)
    ]
    missing = set(written) - set(found)
    if "delete and create" in habit.kinds:  # the edge that the rotation itself writes
        assert {"last"} == {
            ledger.marks[int(line[-9:])].place for line in missing
        }  # and is deleted with its file
        assert len(missing) == 3
    else:
        assert written == found
        assert ledger.lines == len(lines_in(tmp_path))
    assert {kind for kind, _ in writer.rotations} == set(habit.kinds)


def lines_in(folder: Path) -> list[bytes]:
    """All lines but headers, of all files."""
    lines: list[bytes] = []
    for path in folder.iterdir():
        if not path.is_symlink():
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                lines += [line for line in file.read().split(b"\n") if line[:1] not in (b"", b"#")]
    return lines


@pytest.mark.parametrize("name", [logrotate.numbered, logrotate.dated])
def test_rotated_files_are_listed_oldest_first(
    name: Callable[[Path], Path], tmp_path: Path
) -> None:
    log = tmp_path / "app.log"
    for number in range(12):
        log.write_text(str(number))
        renamed = logrotate.rename(log, name)
        if number % 2:
            logrotate.compress(renamed)
    (tmp_path / "app.log.old").touch()
    (tmp_path / "other.log.1").touch()

    texts = [
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in logrotate.rotated(log)
    ]

    assert [str(number).encode() for number in range(12)] == texts


# --- the real thing


@pytest.mark.slow
def test_nothing_is_lost_or_invented_while_the_agent_is_killed(tmp_path: Path) -> None:
    """Half a minute of what takes twelve; see the output when it fails."""
    asked = subprocess.run([*logagent_words(None), "run", "--help"], capture_output=True)
    if asked.returncode:
        pytest.skip("this logagent cannot follow logs")

    options = ["--kills", "10", "--lines", "50000", "--seed", "7"]
    folders = ["--work", str(tmp_path / "work"), "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCH / "soak.py"), *options, *folders],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-5000:] + done.stderr[-2000:]
    result = json.loads((tmp_path / "soak.json").read_text())
    assert result["stops"]["SIGKILL"] == 10
    assert result["written"] >= 50_000
    assert result["seen"] == result["anomalous"] > 100
