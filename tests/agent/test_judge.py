import logagent.judge
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.blocks import Block
from logagent.judge import IGNORED, NORMAL, Judge, group_key
from logagent.normalise import templates

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


class Sayings:
    """Stands in for `Overrides`; counts how often it is asked."""

    def __init__(self, **said: bool) -> None:
        self.said = {group.encode(): verdict for group, verdict in said.items()}
        self.asked: list[bytes] = []

    @property
    def empty(self) -> bool:
        return not self.said

    def forced(self, group: bytes) -> bool | None:
        self.asked.append(group)
        return self.said.get(group)


def test_what_was_said_goes_before_the_model() -> None:
    said = Sayings(**{"disk failed #": False, "disk fine #": True})
    judged, _ = judge(overrides=said)  # type: ignore[arg-type]

    assert [False, True, True] == flags(judged, b"disk failed 7", b"disk fine 7", b"an error")
    assert IGNORED is judged.judge(Block(b"disk failed 8", 1, 0))[0]
    fine, error = judged.judge(Block(b"disk fine 8\nan error", 1, 0))
    assert (b"disk fine #", True) == (fine.template, fine.forced)
    assert pytest.approx(0.1) == fine.score
    assert not error.forced


def test_a_forced_normal_line_keeps_its_score_where_scores_are_wanted() -> None:
    said = Sayings(**{"disk failed #": False})
    judged, _ = judge(keep_normal=True, overrides=said)  # type: ignore[arg-type]
    (verdict,) = judged.judge(Block(b"disk failed 7", 1, 0))

    assert not verdict.anomalous
    assert not verdict.forced
    assert pytest.approx(0.9) == verdict.score


def test_one_saying_holds_for_all_lines_of_a_group() -> None:
    said = Sayings(**{'sync failed for pod="*"': False, 'sync fine for pod="*"': True})
    judged, _ = judge(overrides=said)  # type: ignore[arg-type]
    names = [b"web-6b5f6db455-xkvd", b"api-7c6a1d9f44-abcx"]

    for state, expected in ((b"failed", False), (b"fine", True)):
        lines = [b'sync %s for pod="%s"' % (state, name) for name in names]
        assert [expected] * 2 == flags(judged, *lines)


def test_a_group_is_asked_for_once_and_never_if_nothing_was_said() -> None:
    said, silent = Sayings(x=True), Sayings()
    for sayings in (said, silent):
        judged, _ = judge(overrides=sayings)  # type: ignore[arg-type]
        for number in range(1, 4):
            flags(judged, b"disk failed %d" % number, b"disk fine %d" % number)

    assert [b"disk failed #", b"disk fine #"] == said.asked
    assert [] == silent.asked


@settings(max_examples=50)
@given(
    st.lists(_LINE, min_size=1, max_size=20),
    st.dictionaries(st.integers(0, 19), st.booleans(), max_size=5),
    st.integers(1, 4),
    st.booleans(),
)
def test_what_was_said_wins_whatever_was_cached_before(
    lines: list[bytes], sayings: dict[int, bool], capacity: int, skipping: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logagent.judge, "FAST_CAPACITY", capacity)
        taught, _ = judge()
    plain, _ = judge()
    expected = flags(plain, *lines)
    flags(taught, *lines)
    if skipping:
        taught._skip = 5  # as after many blocks in which fast keys were of no use
    masked = templates(lines).templates
    said = Sayings()
    for at, verdict in sayings.items():
        if at < len(lines):
            said.said[group_key(masked[at])] = verdict
    taught.teach(said)

    wanted = [
        said.said.get(group_key(template), before)
        for template, before in zip(masked, expected, strict=True)
    ]
    assert wanted == flags(taught, *lines)
    taught.teach(None)
    assert expected == flags(taught, *lines)
