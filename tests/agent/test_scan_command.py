"""`logagent scan` as a user runs it: a real process, the shipped bundle, real files and pipes."""

import bz2
import gzip
import json
import lzma
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "logagent"]
NORMAL = b"Mar 14 06:00:%02d router crond[1702]: USER root pid %d cmd /usr/bin/true\n"
OOM = b"Mar 14 07:23:26 router kernel: Out of memory: Killed process 14388 (adblock.sh)\n"
IO_ERROR = (
    b"Mar 14 07:16:01 router kernel: EXT4-fs error (device sda1): I/O error, aborting journal\n"
)
ESCAPE = b"Mar 14 07:16:01 kernel: EXT4-fs error \x1b[2J\x1b]0;owned\x07 I/O error \xe2\x80\xae x\n"


def scan(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "scan", *map(str, arguments)], input=stdin, capture_output=True, timeout=120
    )


def records(result: subprocess.CompletedProcess[bytes]) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def stats(result: subprocess.CompletedProcess[bytes]) -> dict:
    return json.loads(result.stderr.splitlines()[-1])


def quiet_lines(count: int) -> bytes:
    return b"".join(NORMAL % (number % 60, number + 100) for number in range(count))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "router.log"
    path.write_bytes(quiet_lines(50) + IO_ERROR + quiet_lines(20) + OOM + IO_ERROR)
    return path


def test_a_sick_machine_is_reported_and_a_healthy_one_is_not(log: Path, tmp_path: Path) -> None:
    healthy = tmp_path / "healthy.log"
    healthy.write_bytes(quiet_lines(100))

    found = records(scan(log, "--format", "jsonl"))
    assert {51, 72} == {record["line"] for record in found}
    assert [] == records(scan(healthy, "--format", "jsonl"))


def test_a_group_tells_where_when_how_often_and_why(log: Path) -> None:
    by_line = {record["line"]: record for record in records(scan(log))}
    group = by_line[51]

    assert 2 == group["count"]
    assert 73 == group["last_line"]
    assert len(quiet_lines(50)) == group["offset"]
    assert str(log) == group["source"]
    assert "anomaly" == group["verdict"]
    assert 0.5 < group["score"] <= 1
    assert group["time"].endswith("-03-14T07:16:01+00:00") or "T" in group["time"]
    assert IO_ERROR.decode().strip() == group["text"]
    assert "error" in [word.lower() for word, _ in group["why"]]
    assert re.fullmatch("[0-9a-f]{16}", group["id"])


def test_ids_and_scores_are_the_same_on_every_run_and_backend(log: Path) -> None:
    first, again = records(scan(log)), records(scan(log))
    numpy = records(scan(log, "--backend", "numpy"))

    assert first == again
    assert [record["id"] for record in first] == [record["id"] for record in numpy]
    for one, other in zip(first, numpy, strict=True):
        assert other["score"] == pytest.approx(one["score"], abs=2e-4)


def test_all_gives_one_record_per_line(log: Path) -> None:
    found = records(scan(log, "--all", "--format", "jsonl"))
    lines = log.read_bytes().splitlines()

    assert list(range(1, len(lines) + 1)) == [record["line"] for record in found]
    assert [line.decode() for line in lines] == [record["text"] for record in found]
    assert {"anomaly", "normal"} == {record["verdict"] for record in found}
    assert len(lines) == len({record["id"] for record in found})
    data = log.read_bytes()
    for record in found:
        assert data[record["offset"] :].startswith(record["text"].encode())


def test_the_report_for_people_ends_with_one_line_of_totals(log: Path) -> None:
    result = scan(log, "--format", "human")
    lines = result.stdout.decode().splitlines()

    assert 0 == result.returncode
    assert lines[0].startswith("  1  ")
    assert "73 lines" in lines[-1]
    assert "2 anomaly groups, 3 lines" in lines[-1]
    assert any("because of:" in line for line in lines)
    assert b"\x1b" not in result.stdout


def test_top_and_threshold_choose_what_is_shown(log: Path) -> None:
    assert 1 == len(records(scan(log, "--top", "1")))
    assert [] == records(scan(log, "--threshold", "1"))
    assert len(records(scan(log, "--threshold", "0"))) > 2


def test_exit_code_tells_of_anomalies_only_if_asked(log: Path, tmp_path: Path) -> None:
    healthy = tmp_path / "healthy.log"
    healthy.write_bytes(quiet_lines(3))

    assert 0 == scan(log, "--quiet").returncode
    assert 1 == scan(log, "--quiet", "--exit-code").returncode
    assert 0 == scan(healthy, "--quiet", "--exit-code").returncode


def test_quiet_prints_nothing_and_stats_are_the_last_line_of_stderr(log: Path) -> None:
    result = scan(log, "--quiet", "--stats", "json")

    assert b"" == result.stdout
    counted = stats(result)
    assert (73, log.stat().st_size, 2, 3) == tuple(
        counted[key] for key in ("lines", "bytes", "groups", "anomalies")
    )


@pytest.mark.parametrize(
    ("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_archives_are_read_by_content(log: Path, suffix: str, compress) -> None:
    packed = log.with_name(f"old.{suffix}-without-a-telling-name")
    packed.write_bytes(compress(log.read_bytes()))

    plain, unpacked = records(scan(log)), records(scan(packed))
    assert [(r["line"], r["score"]) for r in plain] == [(r["line"], r["score"]) for r in unpacked]


def test_folders_globs_and_a_pipe_give_the_same_lines(log: Path) -> None:
    expected = {record["line"] for record in records(scan(log))}

    for path, stdin in [
        (log.parent, b""),
        (f"{log.parent}/*.log", b""),
        ("-", log.read_bytes()),
    ]:
        found = {record["line"] for record in records(scan(path, stdin=stdin))}
        assert expected == found


def test_a_pipe_shows_a_group_before_the_pipe_ends() -> None:
    process = subprocess.Popen(
        [*COMMAND, "scan", "-", "--format", "jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(quiet_lines(5) + OOM)
        process.stdin.flush()
        record = json.loads(process.stdout.readline())  # arrives although stdin is still open
        process.stdin.write(OOM)
        process.stdin.close()
        later = [json.loads(line) for line in process.stdout]

    assert (6, 1) == (record["line"], record["count"])
    assert [(record["id"], 2)] == [(again["id"], again["count"]) for again in later]


def test_what_cannot_be_read_is_reported_and_the_rest_is_scanned(log: Path) -> None:
    missing = log.with_name("missing.log")
    result = scan(missing, log, f"{log}/below-a-file")

    assert 4 == result.returncode
    assert 2 == len(records(result))
    assert 2 == len(result.stderr.splitlines())
    assert str(missing).encode() in result.stderr


def test_odd_bytes_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "odd.log"
    path.write_bytes(
        b"\r\n".join([b"", b"broken \xff\xfe\x80 utf-8", b"a \0 nul", OOM.strip()]) + b"\r\n\n\n"
    )
    found = records(scan(path, "--all"))

    assert 6 == len(found)
    assert "anomaly" == found[3]["verdict"]
    assert OOM.decode().strip() == found[3]["text"]
    assert "\x00" not in json.dumps(found)


def test_an_empty_file_is_clean(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    result = scan(tmp_path / "empty.log", "--stats", "json")

    assert (0, b"", 0) == (result.returncode, result.stdout, stats(result)["lines"])


def test_a_binary_file_is_skipped_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"\x7fELF" + bytes(5000) + OOM)

    assert 4 == scan(path).returncode
    assert b"--binary" in scan(path).stderr
    assert 0 == scan(path, "--binary").returncode


@pytest.mark.parametrize("form", ["human", "jsonl"])
@pytest.mark.parametrize("every", [[], ["--all"]])
def test_terminal_escapes_in_a_log_never_get_out(tmp_path: Path, form: str, every: list) -> None:
    path = tmp_path / "hostile\x1b[31m.log"
    path.write_bytes(ESCAPE * 3)
    result = scan(path, f"{path}-missing\x1b[2J", "--format", form, *every)

    assert result.stdout
    for output in (result.stdout, result.stderr):
        text = output.decode()
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\u202e" not in text


def test_a_truncated_archive_gives_what_it_has_and_says_so(log: Path) -> None:
    packed = log.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes() + os.urandom(3000).hex().encode())[:-500])
    result = scan(packed)

    assert 4 == result.returncode
    assert b"truncated" in result.stderr
    assert {51, 72} <= {record["line"] for record in records(result)}


@pytest.mark.slow
def test_an_archive_bomb_is_stopped_and_the_way_on_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=6) as bomb:
        for _ in range(330):
            bomb.write(NORMAL * (1_000_000 // len(NORMAL)))
    result = scan(path, "--stats", "json")

    assert 4 == result.returncode
    assert b"--max-expand" in result.stderr
    assert stats(result)["bytes"] < 300e6


@pytest.mark.slow
def test_an_endless_line_takes_constant_memory() -> None:
    process = subprocess.Popen(
        [*COMMAND, "scan", "-", "--stats", "json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    chunk = b"x" * (1 << 20)
    with process:
        assert process.stdin is not None
        for _ in range(1024):  # 1 GiB
            process.stdin.write(chunk)
        process.stdin.write(b"\n" + OOM)
        output, errors = process.communicate()

    assert 2 == json.loads(output.splitlines()[-1])["line"]
    counted = json.loads(errors.splitlines()[-1])
    assert (2, 1) == (counted["lines"], counted["cut_lines"])
    assert counted["rss_anon_bytes"] < 64e6


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "newer", "foreign"])
def test_a_bad_bundle_is_refused_in_one_line_before_anything_is_read(
    log: Path, tmp_path: Path, damage: str
) -> None:
    import msgpack
    from logagent.bundle import DEFAULT_BUNDLE

    good = DEFAULT_BUNDLE.read_bytes()
    path = tmp_path / "bad.bundle"
    if damage == "truncated":
        path.write_bytes(good[:-1000])
    elif damage == "flipped":
        path.write_bytes(good[:300_000] + bytes([good[300_000] ^ 1]) + good[300_001:])
    elif damage == "newer":
        path.write_bytes(msgpack.packb({"logagent": "bundle", "format": [2, 0], "parts": []}))
    elif damage == "foreign":
        path.write_bytes(b"{}")
    result = scan(log, "--bundle", path)

    assert 3 == result.returncode
    assert b"" == result.stdout
    assert 1 == len(result.stderr.splitlines())
    assert str(path).encode() in result.stderr


def test_a_closed_pipe_ends_quietly(log: Path) -> None:
    log.write_bytes(OOM * 20_000)
    process = subprocess.Popen(
        [*COMMAND, "scan", str(log), "--all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"" == process.stderr.read()

    assert 128 + signal.SIGPIPE == process.returncode


def test_a_full_disk_is_one_clear_error(log: Path) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [*COMMAND, "scan", str(log)], stdout=full, stderr=subprocess.PIPE, timeout=60
        )

    assert 6 == result.returncode
    assert 1 == len(result.stderr.splitlines())
    assert b"No space left" in result.stderr


def test_ctrl_c_prints_what_was_found_so_far() -> None:
    process = subprocess.Popen(
        [*COMMAND, "scan", "-", "--format", "human"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(quiet_lines(3) + OOM)
        process.stdin.flush()
        shown = process.stdout.readline()  # the group: the scan is running now
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)

    assert 130 == process.returncode
    assert b":4" in shown
    assert b"4 lines" in output.splitlines()[-1]
    assert b"Traceback" not in errors


def test_since_leaves_out_older_lines(tmp_path: Path) -> None:
    path = tmp_path / "iso.log"
    old, new = b"2026-03-01T10:00:00Z host ", b"2026-03-02T10:00:00Z host "
    path.write_bytes(old + OOM + b"  an indented old line\n" + new + OOM + b"  and a new one\n")
    result = scan(path, "--all", "--since", "2026-03-02", "--stats", "json")

    assert [3, 4] == [record["line"] for record in records(result)]
    assert 2 == stats(result)["skipped_lines"]
    assert 2 == scan(path, "--since", "the day before").returncode


@pytest.mark.parametrize(
    "arguments", [[], ["x", "--format", "xml"], ["x", "--top", "0"], ["x", "-Z"]]
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    assert 2 == scan(*arguments).returncode
