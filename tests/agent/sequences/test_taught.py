"""What operators call normal of sequences: kinds have one name, and nothing more is hidden."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.groups import Sighting
from logagent.override_entries import Override, canonical_group, parse, problems_of
from logagent.overrides import Overrides
from logagent.sanitise import printable
from logagent.sequence_overrides import is_about_sequences, kind_of, shown
from logagent.sequences.ensemble import Carried, Judged
from logagent.sequences.episode import Episode
from logagent.sequences.finding_records import signature
from logagent.sequences.kind_names import kind_name
from logagent.sequences.taught import Taught
from logagent.sequences.vocabulary import Vocabulary
from logagent.sequences.watch import Finding, Watch

from .fakes import BEGIN, MissingEnd, block, line, reader, sequencer, vocabulary

KINDS = ("missing", "unexpected", "repeated")
WORDS = reader().vocabulary
KEYS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12, unique=True)


@dataclass(frozen=True, slots=True)
class OutOfOrder(Carried):
    """What another voter may say: an event that came before another one."""

    before: int = -1
    held: int = 0


def finding(*carried: Carried, session: bytes = b"j1", source: str = "a.log") -> Finding:
    seen = Sighting(source, 1, 0, BEGIN)
    events = np.array([0], np.int32)
    episode = Episode("default", session, events, 1, seen, seen, "end", b"finger-8")
    return Finding(episode, Judged(0.9, True, {"fake": True}, list(carried)))


def missing(event: int) -> Carried:
    return Carried("missing", event, 0.9, [])


def taught(*entries: Override) -> Taught | None:
    assert [] == [problem for each in entries for problem in problems_of(each)]
    return Taught.of(Overrides(entries), WORDS)


def normal(kind: str, id_: str = "a") -> Override:
    return Override(id_, "normal", group="missing: the end", source=f"sequence:{kind}")


def session(regex: str, logs: str = "*", id_: str = "s") -> Override:
    return Override(id_, "normal", regex=regex, source=f"session:{logs}")


# ---- names ----


@given(KEYS, st.data())
def test_a_key_is_found_again_by_its_number(keys: list[int], data: st.DataObject) -> None:
    made = Vocabulary(keys, [b""] * len(keys))
    number = data.draw(st.integers(0, len(keys) - 1))
    assert keys[number] == made.key(number)
    assert number == made.number(made.key(number))
    with pytest.raises(IndexError):
        made.key(len(keys))


@given(KEYS, st.randoms(use_true_random=False), st.data())
def test_a_kind_has_one_name_whatever_the_numbers_of_its_events(
    keys: list[int], chance: random.Random, data: st.DataObject
) -> None:
    """Two models that know the same events under other numbers, and name them in another order."""
    others = list(keys)
    chance.shuffle(others)
    one, two = (Vocabulary(each, [b""] * len(each), 4) for each in (keys, others))
    known = st.tuples(st.sampled_from(KINDS), st.sampled_from([*keys, -1, -2]))
    told = data.draw(st.lists(known, min_size=1, max_size=5, unique=True))

    def name(model: Vocabulary, said: list[tuple[str, int]]) -> str:
        numbers = [model.number(key) if key >= 0 else model.known - key for _, key in said]
        kinds: list[Carried] = [
            Carried(what, number, 0.5, [3])  # type: ignore[arg-type]  # one of the three
            for (what, _), number in zip(said, numbers, strict=True)
        ]
        return kind_name(kinds, model)

    again = list(told)
    chance.shuffle(again)
    assert name(one, told) == name(two, again)
    assert 16 == len(name(one, told))
    fewer = told[1:]
    assert name(one, told) != (name(one, fewer) if fewer else "")
    (what, key), *rest = told
    other = KINDS[(KINDS.index(what) + 1) % 3], key
    if other not in rest:
        assert name(one, told) != name(one, [other, *rest])


def test_a_name_is_written_down_and_stays_so() -> None:
    """Files of operators hold it: it may not change with a version of the agent."""
    three = Vocabulary([7, 5, 2**64 - 1], [b""] * 3, 4)
    names = [kind_name(each, three) for each in ([missing(2)], [missing(0), missing(4)], [])]
    assert ["5277a70a8f0b74f0", "b7bc0e2060ae94d6", ""] == names


def test_what_is_about_two_events_is_named_and_told_apart_by_both() -> None:
    pairs = [(0, 1), (1, 0), (0, 2), (0, -1)]
    swapped = [OutOfOrder("missing", one, 0.5, [], before=two) for one, two in pairs]
    names = {kind_name([each], WORDS) for each in swapped}
    assert (4, 4) == (len(names), len({signature(finding(each)) for each in swapped}))
    assert kind_name([missing(0)], WORDS) in names
    # How often it is otherwise is a matter of the training, as the weight is.
    again = OutOfOrder("missing", 0, 0.7, [3], before=1, held=700)
    assert kind_name([swapped[0]], WORDS) == kind_name([again], WORDS)


# ---- entries ----


def test_a_kind_that_was_called_normal_is_hidden_and_no_other() -> None:
    said = taught(normal(kind_name([missing(2)], WORDS)))
    assert said is not None
    hidden = said.hides(finding(missing(2)))
    assert hidden is not None
    assert "a" == hidden.id
    for other in ([missing(1)], [missing(2), missing(1)], []):
        assert said.hides(finding(*other)) is None


def test_a_sequence_in_which_nothing_stands_out_is_hidden_by_no_kind() -> None:
    assert ["source: after sequence: must stand a kind, 16 hexadecimal digits"] == list(
        problems_of(normal(""))
    )
    broken = Taught(Overrides([normal("")]), WORDS)
    assert broken.about("") is None
    assert broken.hides(finding()) is None


def test_sessions_are_hidden_by_their_key_and_windows_never() -> None:
    said = taught(session("^test-", "/log/*"))
    assert said is not None
    for key, source, hidden in [
        (b"test-7", "/log/a", True),
        (b"test-7", "/other", False),
        (b"a-test-7", "/log/a", False),
        (b"", "/log/a", False),
    ]:
        found = said.hides(finding(missing(2), session=key, source=source))
        assert hidden is (found is not None)


def test_entries_about_lines_say_nothing_of_sequences_and_the_other_way_round() -> None:
    kind = kind_name([missing(2)], WORDS)
    lines = [Override("a", "normal", group="missing: the end"), Override("b", "normal", regex="j")]
    assert taught(*lines) is None
    said = Overrides([normal(kind), session("job")])
    for source in ("a.log", f"sequence:{kind}", "session:*", "session:a.log"):
        assert said.hides(source, b"job j1: begin", b"missing: the end") is None
    assert (False, None) == (said.looks_at_lines, said.forced(b"missing: the end"))
    assert all(map(is_about_sequences, said.entries))
    assert not any(map(is_about_sequences, lines))


def test_an_entry_that_has_expired_hides_nothing() -> None:
    entry = Override("a", "normal", regex="j", source="session:*", expires=5.0)
    assert Taught.of(Overrides([entry], 5.0), WORDS) is None
    assert Taught.of(Overrides([entry], 4.0), WORDS) is not None


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (normal("0123"), "16 hexadecimal digits"),
        (Override("a", "normal", regex="x", source="sequence:" + "0" * 16), "goes with a group"),
        (Override("a", "normal", group="x", source="session:*"), "goes with a regex"),
        (session("x", ""), "a glob"),
        (session("(a+)+b"), "repeats something"),
        (Override("a", "anomalous", group="x", source="sequence:" + "0" * 16), "normal only"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(entry: Override, said: str) -> None:
    assert any(said in each for each in problems_of(entry))


@settings(max_examples=50)
@given(st.text(max_size=300), st.from_regex("[0-9a-f]{16}", fullmatch=True))
def test_what_is_written_is_read_again_and_shown_without_a_trick(about: str, kind: str) -> None:
    group = canonical_group(about) or "x"
    entry = Override("a", "normal", group=group, source=f"sequence:{kind}")
    (again,) = parse(entry.to_toml().encode(), "f")
    assert kind == kind_of(again)
    said = str(shown(again))
    assert printable(said, 1000) == said


def test_an_agent_from_before_knows_every_key_of_such_an_entry() -> None:
    """It refuses a file with a key that it does not know, and with it all that was said."""
    old = {"id", "verdict", "group", "regex", "source", "created", "expires", "author", "reason"}
    for entry in (normal("0" * 16), session("x")):
        written = entry.to_toml().splitlines()[1:]
        assert {each.partition(" = ")[0] for each in written} <= old


# ---- the watch ----


def test_a_taught_sequence_is_counted_and_not_told() -> None:
    watch = Watch(sequencer(), MissingEnd())
    watch.teach(taught(normal(kind_name([missing(2)], WORDS))))
    lines = block(line(1, "begin"), line(2, "begin"), line(2, "new"), line(3, "end"))
    assert [] == list(watch.see("a.log", b"finger-8", lines))
    # Of session 2 another event stands out, too: it is another kind.
    assert [b"j2"] == [each.episode.session for each in watch.close()]
    counts = watch.counts()
    assert (3, 1, 1) == tuple(counts[name] for name in ("judged", "anomalous", "taught"))


def test_what_is_taught_no_more_is_told_again() -> None:
    watch = Watch(sequencer(), MissingEnd())
    told = []
    for said in (None, taught(session("j")), None):
        watch.teach(said)
        list(watch.see("a.log", b"finger-8", block(line(1, "begin"))))
        told.append(len(list(watch.close())))
    assert [1, 0, 1] == told


def test_a_vocabulary_of_other_lines_first_gives_the_same_kind() -> None:
    other = vocabulary(b"something else", BEGIN, b"job j1: work", b"job j1: end")
    assert kind_name([missing(2)], WORDS) == kind_name([missing(3)], other)
