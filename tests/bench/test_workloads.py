"""The benchmarks' logs: the same for a seed, distinct and fresh where they promise it."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest
import workloads
from freshen import compile_line
from measure import BenchError

SAMPLE = [
    b"Jun  9 06:06:20 combo sshd(pam_unix)[19939]: authentication failure; uid=0 rhost=10.2.3.4",
    b"2017-05-16 00:00:00.008 25746 INFO nova.api [req-38101a0b-2096-447d-96ea-a692162415ae "
    b'113d3a99c3da401fbd62cc2caa5b96d2] 10.11.10.1 "GET /v2/113d3a99c3da401fbd62cc2caa5b96d2" '
    b"status: 200 len: 1893 time: 0.247782",
    b"03-17 16:13:38.811  1702  2395 D WindowManager: 100% wtoken=9f4ef63",
    b"081109 203615 148 INFO dfs.DataNode: blk_-6952295868487656571 terminating",
    b"[10.30 16:49:06] chrome.exe *64 - example.test:5070 close, 403 bytes sent, 0 received",
    b"[Sun Dec 04 04:47:44 2005] [error] Found child 6725 in scoreboard slot 10",
    b"- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228 crond[2915]: session closed",
    b"no field at all in this one",
]
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def copies(number: int, *, ids: bool, seed: int = 1) -> list[list[bytes]]:
    """Copies of the sample, each a list of its lines."""
    lines = workloads.fresh_lines(SAMPLE, ids=ids, seed=seed)
    return [list(islice(lines, len(SAMPLE))) for _ in range(number)]


def without_digits(line: bytes) -> bytes:
    return line.translate(None, b"0123456789")


def test_a_seed_gives_the_same_lines_and_another_seed_others() -> None:
    assert copies(3, ids=True) == copies(3, ids=True)
    assert copies(3, ids=True) != copies(3, ids=True, seed=2)


def test_time_stamps_advance_and_keep_their_layout() -> None:
    first, second = copies(2, ids=False)

    assert all(re.match(rb"Mar  4 00:00:00 combo sshd", copy[0]) for copy in (first, second))
    assert all(re.match(rb"\[03\.04 00:00:00\]", copy[4]) for copy in (first, second))
    assert all(copy[5].startswith(b"[Mon Mar 04 00:00:00 2024]") for copy in (first, second))
    assert all(b" 2024.03.04 dn228 Mar 4 00:00:00 " in copy[6] for copy in (first, second))
    assert first[1][:23] < second[1][:23]
    assert first[2][:18] < second[2][:18]


def test_each_copy_has_new_process_ids() -> None:
    patterns = {
        0: rb"\[(\d+)\]:", 1: rb"\.\d{3} (\d+) INFO", 2: rb"^\S+ \S+ +(\d+) +\d+ D ",
        3: rb"^\d+ \d+ (\d+) ", 5: rb"child (\d+)", 6: rb"crond\[(\d+)\]",
    }  # fmt: skip
    made = copies(6, ids=False)
    for number, pattern in patterns.items():
        found = [re.search(pattern, copy[number]) for copy in made]
        pids = [match[1] for match in found if match]
        assert len(made) == len(pids)
        assert len(set(pids)) > 1, SAMPLE[number]
        assert all(pid[:1] != b"0" for pid in pids)


def test_only_time_stamps_and_process_ids_change_when_ids_are_kept() -> None:
    first, second = copies(2, ids=False)

    assert first[7] == second[7] == SAMPLE[7]
    assert without_digits(SAMPLE[1]) == without_digits(first[1])
    assert SAMPLE[1][30:] == first[1][30:]


def test_every_identifier_is_fresh_in_every_line() -> None:
    made = [copy[1] for copy in copies(500, ids=True)]

    uuids = [uuid for line in made for uuid in UUID.findall(line)]
    assert len(made) == len(set(uuids)) == len(uuids)
    assert len(made) == len({re.findall(rb"\b[0-9a-f]{32}\b", line)[0] for line in made})
    assert len({re.findall(rb"blk_-(\d+)", copy[3])[0] for copy in copies(50, ids=True)}) == 50


def test_equal_identifiers_within_a_line_stay_equal() -> None:
    for copy in copies(20, ids=True):
        project, in_url = re.findall(rb"\b[0-9a-f]{32}\b", copy[1])
        assert project == in_url


def test_numbers_that_carry_meaning_stay() -> None:
    for copy in copies(50, ids=True):
        assert b"status: 200 " in copy[1]
        assert b"rhost=10.2.3.4" in copy[0]
        assert b" uid=0 " in copy[0]
        assert b"100% wtoken=" in copy[2]
        assert b"chrome.exe *64 - " in copy[4]
        assert copy[4].endswith(b" 0 received")
        assert re.search(rb", [1-9]\d\d bytes sent", copy[4])


def test_an_identifier_that_touches_an_underscore_is_fresh() -> None:
    template = compile_line(b"rm 38101a0b-2096-447d-96ea-a692162415ae_del", ids=True)

    assert template.literal == b"rm %b_del"


def test_random_lines_are_distinct_and_of_plain_words() -> None:
    lines = list(islice(workloads.random_lines(7), 50_000))

    assert len(lines) == len(set(lines))
    assert all(re.fullmatch(rb"[a-z]{3,10}( [a-z]{3,10}){4,11}", line) for line in lines)
    assert lines[:100] == list(islice(workloads.random_lines(7), 100))
    assert lines[:100] != list(islice(workloads.random_lines(8), 100))


def test_first_words_of_random_lines_never_repeat_as_a_pair() -> None:
    pairs = [tuple(line.split(b" ", 2)[:2]) for line in islice(workloads.random_lines(7), 50_000)]

    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 25_000])
def test_a_cut_ends_at_the_first_line_end_at_or_after_its_size(limit: int) -> None:
    lines = [b"%08d!" % number for number in range(10_000)]  # ten bytes each, newline included

    size = len(b"".join(workloads.cut(lines, bytes_limit=limit)))

    assert -(-limit // 10) * 10 == size


def test_a_cut_can_count_lines() -> None:
    lines = (b"x" for _ in range(100_000))

    assert b"".join(workloads.cut(lines, lines_limit=9_999)).count(b"\n") == 9_999


def test_a_finished_workload_is_kept_and_a_damaged_one_made_again(tmp_path: Path) -> None:
    made = workloads.make("random", work=tmp_path, lines_limit=1_000)
    first = made.path.read_bytes()
    made.path.write_bytes(first[:-10])

    again = workloads.make("random", work=tmp_path, lines_limit=1_000)

    assert made == again
    assert first == again.path.read_bytes()
    assert again == workloads.make("random", work=tmp_path, lines_limit=1_000)


def test_without_loghub_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"clone https://github\.com/logpai/loghub"):
        workloads.find_loghub(tmp_path / "nothing")


def test_sizes_are_read_in_powers_of_ten() -> None:
    sizes = {text: workloads.parse_bytes(text) for text in ("10MB", "1GB", "512")}

    assert sizes == {"10MB": 10_000_000, "1GB": 1_000_000_000, "512": 512}
