import logagent.judge
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.judge import NORMAL, Judge

from .fakes import KeywordScorer


def judge(**options: bool) -> tuple[Judge, KeywordScorer]:
    scorer = KeywordScorer()
    return Judge(scorer, 0.5, **options), scorer  # type: ignore[arg-type]


def flags(judged: Judge, *lines: bytes) -> list[bool]:
    return [verdict.anomalous for verdict in judged.judge(Block(b"\n".join(lines), 1, 0))]


def test_a_known_template_is_not_scored_again() -> None:
    judged, scorer = judge()

    assert [True, False] == flags(judged, b"disk failed 7", b"disk fine 7")
    assert [True, False] == flags(judged, b"disk failed 8", b"disk fine 9")
    assert [b"disk failed #", b"disk fine #"] == scorer.asked
    assert 4 == judged.counters.lines
    assert 2 == judged.counters.fast_misses


def test_lines_that_share_a_fast_key_but_not_a_kept_number_get_their_own_verdicts() -> None:
    judged, _ = judge()
    lines = [b"job 1: exit code 0", b"job 2: exit code 139", b"job 3: exit code 0"]
    for _ in range(3):  # first unseen, then remembered
        assert [False, True, False] == flags(judged, *lines)
    assert [True] == flags(judged, b"job 44: exit code 139")
    assert [False, True] == flags(judged, b"job 5: exit code 7", b"job 6: exit code 139")


def test_an_access_log_is_judged_by_the_class_of_its_status() -> None:
    judged, scorer = judge()
    good, bad = b'a "GET / HTTP/1.1" 200 17 "-"', b'a "GET / HTTP/1.1" 503 17 "-"'

    assert [False, True, False] == flags(judged, good, bad, good)
    assert [False, True] == flags(judged, good.replace(b"200", b"204"), bad.replace(b"503", b"500"))
    assert 2 == len(scorer.asked)


def test_normal_lines_share_one_verdict_unless_their_scores_are_wanted() -> None:
    plain, _ = judge()
    scored, _ = judge(keep_normal=True)
    block = Block(b"all is well\nall is calm", 1, 0)

    assert [NORMAL, NORMAL] == plain.judge(block)
    verdicts = scored.judge(block)
    assert [b"all is well", b"all is calm"] == [verdict.template for verdict in verdicts]
    assert [pytest.approx(0.1)] * 2 == [verdict.score for verdict in verdicts]


_WORDS = st.sampled_from(
    [b"disk", b"error", b"ok", b"exit code", b"status=", b"rc [", b"]", b"0", b"7", b"139"]
)
_LINE = st.lists(_WORDS, max_size=5).map(b" ".join)


@given(st.lists(st.lists(_LINE, min_size=1, max_size=20), max_size=8), st.integers(1, 6))
def test_caches_of_any_size_change_no_verdict(blocks: list[list[bytes]], capacity: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logagent.judge, "FAST_CAPACITY", capacity)
        patch.setattr(logagent.judge, "TEMPLATE_CAPACITY", capacity)
        small, _ = judge()
    for lines in blocks:
        fresh, _ = judge()
        expected = [flags(fresh, line)[0] for line in lines]
        assert expected == flags(small, *lines)


def test_lines_about_different_instances_of_a_thing_are_one_group_with_their_own_scores() -> None:
    judged, scorer = judge()
    lines = [
        b'sync failed for pod="web-6b5f6db455-xkvd" on node="pool-9b502d96-dkbf"',
        b'sync failed for pod="api-7c6a1d9f44-abcx" on node="pool-1dd4c01a-qhzz"',
        b'sync failed for pod="web-6b5f6db455-xkvd" on disk="pool-9b502d96-dkbf"',
    ]
    first, second, third = judged.judge(Block(b"\n".join(lines), 1, 0))

    assert 3 == len(scorer.asked)
    assert b'sync failed for pod="*" on node="*"' == first.group == second.group
    assert first.template != second.template
    assert third.group != first.group
