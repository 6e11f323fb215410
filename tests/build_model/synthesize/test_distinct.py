"""Lines of a corpus say different things, and never say both."""

from __future__ import annotations

from logagent_build.synthesize.distinct import Line, Unit, distinct


def one(text: str, label: int = 0) -> Unit:
    return Unit("anomalous" if label else "normal", (Line(text, label, 2 * label),))


def pair(normal: str, anomalous: str) -> Unit:
    return Unit("pairs", (Line(normal, 0, 0), Line(anomalous, 1, 2)))


def test_what_differs_in_header_and_numbers_only_is_one_line() -> None:
    units = [
        one("Sep 14 13:00:01 vpn sshd[7]: session 12 opened"),
        one("Sep 14 13:00:01 vpn sshd[7]: session 12 opened"),
        one("Mar 1 03:00:01 gw sshd[900]: session 77 opened"),
    ]

    kept, counts = distinct(units)

    assert units[:1] == kept
    assert {"duplicates": 1, "same template": 1} == dict(counts)


def test_a_template_with_both_labels_goes_altogether() -> None:
    kept, counts = distinct(
        [one("port 3 lost carrier"), one("port 9 lost carrier", 1), one("ok then")]
    )

    assert [one("ok then")] == kept
    assert {"contradicted": 2} == dict(counts)


LONG = (
    "the quick brown fox jumps over a lazy dog while nine other animals watch from behind their "
    "fence near"
)


def test_lines_that_are_as_good_as_equal_do_not_contradict_each_other() -> None:
    kept, counts = distinct([one(LONG + " town"), one(LONG + " town again", 1), one("ok then")])

    assert [one("ok then")] == kept
    assert {"contradicted": 2} == dict(counts)


def test_lines_that_are_as_good_as_equal_count_once() -> None:
    kept, counts = distinct([one(LONG + " town"), one(LONG + " town again")])

    assert [one(LONG + " town")] == kept
    assert {"near duplicates": 1} == dict(counts)


def test_one_word_that_turns_the_meaning_makes_another_line() -> None:
    units = [one("eth0: link is up"), one("eth0: link is down", 1)]

    assert (units, {}) == distinct(units)


def test_the_members_of_a_pair_may_be_alike_and_win_over_single_lines() -> None:
    both = pair(LONG + " town", LONG + " town again")
    kept, counts = distinct([one(LONG + " town"), both])

    assert [both] == kept
    assert {"duplicates": 1} == dict(counts)
