"""A folder of logs to files of templates: resumed, skipped, bounded."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
from logagent_build.folder import reading
from logagent_build.folder.reading import Settings, load, read
from logagent_build.folder.stages import RunFolder, file_digest
from logagent_build.folder.systems import find_systems

KILLS = int(os.environ.get("LOGAGENT_KILLS", "2"))


def logs(folder: Path, lines: int = 12_000) -> Path:
    """Three systems, one of them compressed, with more templates than are kept."""
    rng = random.Random(1)
    word = lambda: "".join(rng.choices("abcdefghij", k=4))  # noqa: E731
    texts = [
        rng.choice(
            [f"job {n} done", f"worker {n} failed with code {n % 3}", f"user {word()} came", "idle"]
        )
        for n in range(lines)
    ]
    for name, part in (("a", texts[::3]), ("b", texts[1::3]), ("c", texts[2::3])):
        path = folder / name / "x.log"
        path.parent.mkdir(parents=True)
        data = "".join(f"{text}\n" for text in part).encode()
        path.write_bytes(data)
        if name == "b":
            path.with_name("x.log.1.gz").write_bytes(gzip.compress(data, mtime=0))
    return folder


def files(run: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(run.glob("read-*.msgpack"))}


def facts(logs: Path, run: Path, **more):
    with RunFolder.opened(run) as opened:
        return read(opened, find_systems(logs), Settings(300, 2000), **more).facts


def test_lines_and_templates_are_counted_per_system(tmp_path: Path) -> None:
    found = facts(logs(tmp_path / "d"), tmp_path / "run")
    rows = {row["name"]: row for row in found["systems"]}

    assert 16_000 == found["lines"]
    assert {"a": 4000, "b": 8000, "c": 4000} == {name: row["lines"] for name, row in rows.items()}
    for number, row in enumerate(found["systems"]):
        kept = load(RunFolder(tmp_path / "run"), number)
        assert row["templates"] == len(kept) <= 300
        assert row["lines"] == sum(each.count for each in kept) + row["let_go_lines"]


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has, is."""
    folder = logs(tmp_path / "d", 300)
    first = facts(folder, tmp_path / "run")
    real = reading.open_source
    monkeypatch.setattr(reading, "open_source", lambda *_: pytest.fail("it was read again"))
    assert first == facts(folder, tmp_path / "run")
    monkeypatch.setattr(reading, "open_source", real)
    with (folder / "a" / "x.log").open("a") as file:
        file.write("one more line\n")
    second = facts(folder, tmp_path / "run")

    assert first["lines"] + 1 == second["lines"]
    assert first["systems"][0]["sha256"] != second["systems"][0]["sha256"]
    assert first["systems"][1:] == second["systems"][1:]


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    folder = logs(tmp_path / "d", 300)
    facts(folder, tmp_path / "run")
    before = files(tmp_path / "run")
    (tmp_path / "run" / "read-001.msgpack").write_bytes(b"\x90")
    (tmp_path / "run" / "read.checkpoint").write_bytes(b"rubbish")
    facts(folder, tmp_path / "run")

    assert before == files(tmp_path / "run")


@pytest.mark.parametrize("damage", ["gone", "changed", "place"])
def test_a_checkpoint_is_gone_on_from_only_with_all_it_tells_of(
    tmp_path: Path, damage: str
) -> None:
    """A finished system's file that is gone or changed, or half a checkpoint: from the start."""
    folder, run = logs(tmp_path / "d", 3000), tmp_path / "run"
    facts(folder, tmp_path / "calm")

    def stop(text: str) -> None:
        if text.startswith("c:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        facts(folder, run, say=stop)
    if damage == "gone":
        (run / "read-000.msgpack").unlink()
    elif damage == "changed":
        (run / "read-000.msgpack").write_bytes(b"\x90")
    else:
        state = msgpack.unpackb((run / "read.checkpoint").read_bytes())
        (run / "read.checkpoint").write_bytes(msgpack.packb(state | {"table": {}}))
    found = facts(folder, run)

    assert files(tmp_path / "calm") == files(run)
    assert [3, 9000 - 5000] == [len(found["systems"]), found["lines"]]


def test_files_that_are_no_text_are_left_out_told_and_counted(tmp_path: Path) -> None:
    folder = logs(tmp_path / "d", 300)
    (folder / "a" / "core").write_bytes(b"\x7fELF" + bytes(5000))
    (folder / "a" / "noise").write_bytes(bytes(range(1, 256)) * 20)  # no signature, no zeros
    (folder / "d").mkdir()
    (folder / "d" / "image").write_bytes(b"\x89PNG\r\n" + bytes(500))
    told: list[str] = []
    found = facts(folder, tmp_path / "run", say=told.append)

    assert {"binary": 3} == found["problems"]
    assert 3 == sum("binary" in each for each in told)
    assert 0 == found["systems"][3]["templates"]


def test_a_folder_without_lines_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "empty.log").touch()
    with pytest.raises(ValueError, match="no lines"):
        facts(tmp_path / "d", tmp_path / "run")


@pytest.mark.slow
def test_a_reading_that_is_killed_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    """By a real kill -9, at a block drawn at random, several times."""
    folder = logs(tmp_path / "d", 40_000)
    facts(folder, tmp_path / "calm")
    run = tmp_path / "shaken"
    command = [sys.executable, str(Path(__file__).with_name("reading_killed.py"))]
    rng = random.Random(2)
    resumed = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [*command, str(folder), str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(rng.randrange(4, 7)):
                assert b"block\n" == process.stdout.readline()
                process.stdin.write(b"\n")
                process.stdin.flush()
            process.send_signal(signal.SIGKILL)
        resumed += (run / "read.checkpoint").exists()
        assert not (run / "read.json").exists()
    told: list[str] = []
    facts(folder, run, say=told.append)

    assert resumed
    assert any("goes on with" in each for each in told)
    assert files(tmp_path / "calm") == files(run)
    records = [json.loads((each / "read.json").read_text()) for each in (tmp_path / "calm", run)]
    assert records[0]["facts"] == records[1]["facts"]
