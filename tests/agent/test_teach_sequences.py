"""`logagent feedback` and `logagent ignore` about sequences: from an id, a name, a session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.alert_ids import UnknownAlertError, find
from logagent.bundle import DEFAULT_BUNDLE
from logagent.cli import app
from logagent.model_store import Store
from logagent.sanitise import printable
from logagent.sequence_ids import description, kinds_of_answer, kinds_of_state, of_record
from typer.testing import CliRunner

from .sequences.fakes import bundle, line, lines_of
from .test_teach_command import AGAIN, ID, Shell

GOOD, BAD = ["begin", "work", "end"], ["begin", "work"]
KIND = "00112233445566aa"
CARRIED = [{"what": "missing", "template": "job j: end", "weight": 1.0}]
RECORD: dict[str, Any] = {"id": AGAIN, "kind": "sequence", "group": KIND, "carried": CARRIED}
KNOWN = {"id": KIND, "alert_ids": [ID, AGAIN], "about": "missing: job j: end", "unknown": False}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("COLUMNS", "200")
    return Shell(tmp_path)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    def answers(kinds: object) -> None:
        said = {"known_groups": [], "known_sequences": kinds}
        monkeypatch.setattr("logagent.alert_ids.ask", lambda _folder: said)

    return answers


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("model") / "jobs.bundle")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.log"
    path.write_bytes(b"\n".join(lines_of([GOOD, BAD, GOOD, BAD, ["begin"]])) + b"\n")
    return path


def records(output: str) -> list[dict[str, Any]]:
    return [each for each in map(json.loads, output.splitlines()) if "carried" in each]


# ---- from an id to a kind ----


def test_a_sequences_alert_becomes_an_entry_about_its_kind_as_of_lines(
    shell: Shell,
    answer: Callable[[object], None],
) -> None:
    answer([KNOWN])
    for id_ in (ID, AGAIN, KIND):
        told = shell("feedback", id_, "normal", "--reason", "a test bench")
        assert (0, True) == (shell.code, f"sequence {KIND}: missing: job j: end" in told)
    entry = shell.entries()[0]
    assert ("missing: job j: end", f"sequence:{KIND}") == (entry.group, entry.source)
    assert (90 * 86400, "a test bench") == (entry.expires - entry.created, entry.reason)
    shell("ignore", ID, "--for", "12h")
    assert 12 * 3600 == shell.entries()[3].expires - shell.entries()[3].created
    assert f"sequence {KIND}: missing: job j: end" in shell("ignore", "list")
    (first, *_) = json.loads(shell("ignore", "list", "--json"))
    assert ("sequence", KIND) == (first["about"], first["sequence"])


def test_anomalous_takes_back_what_was_said_of_a_kind_and_of_no_other(
    shell: Shell,
    answer: Callable[[object], None],
) -> None:
    answer([KNOWN])
    shell("feedback", ID, "normal")
    shell("ignore", "--sequence", "f" * 16)
    shell("ignore", "some lines")
    shell("ignore", KIND)
    one, other, lines, two = (each.id for each in shell.entries())
    told = shell("feedback", AGAIN, "anomalous")
    assert f"removed: {one}, {two}; sequences of this kind are told\n" == told
    assert [other, lines] == [each.id for each in shell.entries()]
    assert "removed: nothing" in shell("feedback", KIND, "anomalous")
    shell("ignore", "--session", "^test-")
    assert "but for sessions that entries hide" in shell("feedback", KIND, "anomalous")


def test_where_nothing_stands_out_teaching_is_refused_with_what_to_do(
    shell: Shell,
    answer: Callable[[object], None],
) -> None:
    answer([{"id": "", "alert_ids": [ID], "about": "", "unknown": False}])
    told = " ".join(shell("feedback", ID, "normal").split())
    assert (2, ()) == (shell.code, shell.entries())
    assert "nothing in this sequence stands out" in told
    assert "--session RE" in told


def test_a_kind_with_an_unknown_event_is_taught_with_a_warning(
    shell: Shell,
    answer: Callable[[object], None],
) -> None:
    answer([KNOWN | {"unknown": True}])
    assert "training did not have" in shell("feedback", ID, "normal")
    assert 1 == len(shell.entries())


def test_kinds_are_found_in_the_saved_state_and_in_the_file_of_alerts(
    shell: Shell,
) -> None:
    state = {"alerts": [], "sequences": {"told_kinds": {KIND: ["missing: x", False, [ID]]}}}
    packed = msgpack.packb(["x", [1, 0], 0, msgpack.packb(state)])
    (shell.folder / "state").write_bytes(packed)
    for id_ in (ID, KIND):
        assert (KIND, "missing: x") == (
            find(id_, shell.loaded()).kind,
            find(id_, shell.loaded()).group,
        )
    nameless = {key: value for key, value in RECORD.items() if key != "group"} | {"id": "e" * 16}
    (shell.folder / "alerts.jsonl").write_text(f"{json.dumps(RECORD)}\n{json.dumps(nameless)}\n")
    found = find(AGAIN, shell.loaded())
    assert (KIND, "missing: job j: end") == (found.kind, found.group)
    with pytest.raises(UnknownAlertError, match="stands out"):
        find("e" * 16, shell.loaded())


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(KIND),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "kind",
                    "group",
                    "carried",
                    "about",
                    "unknown",
                    "alert_ids",
                    "what",
                    "template",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(_values)
def test_whatever_others_say_is_printable_or_passed_over(said: Any) -> None:
    for kind in (
        *kinds_of_answer({"known_sequences": said}),
        *kinds_of_answer(said),
        *kinds_of_state({"sequences": {"told_kinds": said}}),
        *kinds_of_state(said),
        of_record(said),
        of_record({"kind": "sequence", "id": ID, "group": KIND, "carried": said}),
    ):
        if kind is not None:
            assert len(kind.name) in (0, 16)
            assert printable(kind.about, 1000) == kind.about
    about, _ = description([{"what": "\x1b[2J", "template": "\u202e" * 500}] * 9)
    assert about.isprintable()
    assert len(about) <= 400


def test_a_kind_of_another_order_is_described_by_both_events() -> None:
    """There may be several kinds of one misplaced event."""
    said = {"what": "out of order", "template": "commit", "before": "write", "weight": 1.0}
    assert ("out of order: commit before: write", False) == description([said])


# ---- by name, by session ----


def test_a_kind_that_only_a_scan_has_told_is_named(shell: Shell) -> None:
    shell("ignore", "--sequence", KIND)
    assert f"sequence:{KIND}" == shell.entries()[0].source


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ignore", "--sequence", "012"], "16 hexadecimal digits"),
        (["ignore", "--sequence", KIND, "--source", "x"], "not with an alert's kind"),
        (["ignore", "--sequence", KIND, "--session", "x"], "only one"),
        (["ignore", "--session", "(a+)+b"], "repeats something"),
        (["ignore", "--session", "x", "--source", ""], "must stand a glob"),
        (["feedback", "--sequence", KIND, "fine"], "must be normal or anomalous"),
    ],
)
def test_what_makes_no_sense_is_refused_and_writes_nothing(
    shell: Shell,
    words: list[str],
    said: str,
) -> None:
    told = " ".join(shell(*words).replace("│", " ").split())
    assert 0 != shell.code
    assert said in told
    assert () == shell.entries()


# ---- scan, and ignore test ----


def scan(log: Path, model: Path, *options: str) -> Any:
    command = ["scan", str(log), "--sequences", "--bundle", str(model), "--backend", "numpy"]
    return CliRunner().invoke(app, [*command, *options])


def test_a_scan_leaves_out_what_was_taught_and_counts_it(
    shell: Shell,
    model: Path,
    log: Path,
) -> None:
    taught = ["--overrides", str(shell.folder / "overrides.toml")]
    first = records(scan(log, model, "--format", "jsonl").stdout)[0]
    human = scan(log, model, "--format", "human").stdout
    assert f"      group: {first['group']}\n" in human
    shell("ignore", "--session", "^j3$")
    done = scan(log, model, "--format", "jsonl", "--stats", "json", *taught)
    assert ["j1", "j4"] == sorted(each["session"] for each in records(done.stdout))
    stats = json.loads(done.stderr.splitlines()[-1])["sequences"]
    assert (5, 2, 1) == (stats["judged"], stats["anomalous"], stats["taught"])
    shell("ignore", "--sequence", first["group"])
    done = scan(log, model, "--format", "human", "--exit-code", *taught)
    assert 0 == done.exit_code
    assert "5 sequences, 0 anomalous; 3 more taught to be normal (--overrides)" in done.stdout
    shell("feedback", "--sequence", first["group"], "anomalous")
    assert 1 == scan(log, model, "--exit-code", "-q", *taught).exit_code


def test_it_is_shown_what_entries_would_hide_of_sequences(
    shell: Shell,
    model: Path,
    log: Path,
) -> None:
    shell("ignore", "--session", "^j[14]$")
    shell("ignore", "--sequence", KIND)
    told = shell("ignore", "test", str(log), "--format", "human")
    assert "entries about sequences are not tried: [sequences] is off" in told
    with open(shell.config, "a") as file:
        file.write(f"[sequences]\nenabled = true\n[model]\nbundle = '{model}'\nbackend='numpy'\n")
    human = shell("ignore", "test", str(log), "--session", "3", "--format", "human")
    assert "sessions /^j[14]$/\n    hides 2 sequences, such as\n    1.00  " in human
    assert f"sequence {KIND}: a kind that the agent has not told of\n    hides nothing" in human
    assert "candidate: sessions /3/\n    hides 1 sequence, such as" in human
    assert "5 sequences, 3 anomalous; 0 of these remain" in human
    output = shell("ignore", "test", str(log), "--format", "jsonl")
    first, second, totals = map(json.loads, output.splitlines())
    assert (2, 0) == (first["hidden_sequences"], second["hidden_sequences"])
    assert (5, 3, 1) == tuple(
        totals[each] for each in ("sequences", "anomalous_sequences", "remaining_sequences")
    )


def test_what_is_tried_and_what_a_scan_leaves_out_are_the_same(
    shell: Shell,
    model: Path,
    tmp_path: Path,
) -> None:
    log = tmp_path / "more.log"
    log.write_bytes(b"\n".join(line(at, what) for at in range(30) for what in BAD[at % 2 :]))
    with open(shell.config, "a") as file:
        file.write(f"[sequences]\nenabled = true\n[model]\nbundle = '{model}'\nbackend='numpy'\n")
    shell("ignore", "--session", "j.*[37]$")
    totals = json.loads(shell("ignore", "test", str(log), "--format", "jsonl").splitlines()[-1])
    path = str(shell.folder / "overrides.toml")
    done = scan(log, model, "--overrides", path, "--stats", "json", "--format", "jsonl")
    stats = json.loads(done.stderr.splitlines()[-1])["sequences"]
    assert totals["remaining_sequences"] == stats["anomalous"] == 24
    assert 6 == stats["taught"]


def test_the_log_of_an_entry_is_what_the_agent_calls_it_wherever_a_scan_is_run(
    shell: Shell, model: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(shell.config, "a") as file:
        file.write(f"[sequences]\nenabled = true\n[model]\nbundle = '{model}'\nbackend='numpy'\n")
    shell("ignore", "--session", "^j[14]$", "--source", f"{log.parent}/*")
    monkeypatch.chdir(log.parent)
    (entry, totals) = map(
        json.loads, shell("ignore", "test", log.name, "--format", "jsonl").splitlines()
    )
    done = scan(
        Path(log.name),
        model,
        "--overrides",
        str(shell.folder / "overrides.toml"),
        "--stats",
        "json",
    )

    assert (2, 1) == (entry["hidden_sequences"], totals["remaining_sequences"])
    assert 2 == json.loads(done.stderr.splitlines()[-1])["sequences"]["taught"]


def test_entries_about_lines_are_tried_though_an_update_cannot_judge_sequences(
    shell: Shell, log: Path
) -> None:
    with open(shell.config, "a") as file:
        file.write("[sequences]\nenabled = true\n[model]\nbackend='numpy'\n")
    with Store(shell.folder) as store:
        store.stage(DEFAULT_BUNDLE.read_bytes())
        store.take_staged()
        store.finish()
    shell("ignore", "--session", "^j1$")
    told = shell("ignore", "test", str(log), "--regex", "job", "--format", "human")

    assert "entries about sequences are not tried: bundle " in told
    assert "candidate: /job/" in told
