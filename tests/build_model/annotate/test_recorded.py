"""The store in front of annotators: nothing is asked twice, whatever happens."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from logagent.errors import StateError
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.protocol import Failure, Message, Outcome, Prompt, Reply
from logagent_build.annotate.recorded import Nothing, Recorded, Spent, Store

from .fakes import Fake, refusal, reply


def prompt(text: str, **more: object) -> Prompt:
    return Prompt((Message("user", text),), **({"temperature": 0.0, "max_tokens": 9} | more))


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    inner = Fake(lambda asked, _n: reply(f"re: {asked.messages[0].text}"))
    with Store(tmp_path / "s") as store:
        first = Recorded(store, inner).ask([prompt("a"), prompt("b")])
    with Store(tmp_path / "s") as store:
        told: dict[int, Outcome] = {}
        again = Recorded(store, inner).ask(
            [prompt("b"), prompt("c"), prompt("a")], told.__setitem__
        )

    assert ["a", "b", "c"] == [each.messages[0].text for each in inner.prompts]
    assert ["re: b", "re: c", "re: a"] == [each.text for each in again if isinstance(each, Reply)]
    assert [True, False, True] == [each.recorded for each in again if isinstance(each, Reply)]
    assert [False, False] == [each.recorded for each in first if isinstance(each, Reply)]
    assert again == [told[number] for number in range(3)]


def test_equal_prompts_are_asked_once_and_answered_both(tmp_path: Path) -> None:
    inner = Fake(lambda _asked, number: reply(str(number)))
    with Store(tmp_path / "s") as store:
        outcomes = Recorded(store, inner).ask([prompt("a"), prompt("b"), prompt("a")])

    assert ["0", "1", "0"] == [each.text for each in outcomes if isinstance(each, Reply)]


def test_replies_are_stored_one_by_one(tmp_path: Path) -> None:
    """The third prompt breaks everything; two replies are there all the same."""

    def breaks(_asked: Prompt, number: int) -> Outcome:
        if number == 2:
            raise AnnotatorError("gone")
        return reply(str(number))

    with Store(tmp_path / "s") as store:
        with pytest.raises(AnnotatorError):
            Recorded(store, Fake(breaks), "r").ask([prompt("a"), prompt("b"), prompt("c")])

        assert Spent(2, 2, 2, 0.0) == store.spent("r", "fake")


def test_a_run_may_be_named_by_a_path_that_is_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"/logs/\xff.tsv")
    with Store(tmp_path / "s") as store:
        Recorded(store, Fake(lambda _asked, _number: reply("yes")), name).ask([prompt("a")])

        assert 1 == store.spent(name, "fake").requests


def test_failures_are_not_kept(tmp_path: Path) -> None:
    answers: list[Outcome] = [refusal(), reply("yes")]
    inner = Fake(lambda _asked, number: answers[number])
    with Store(tmp_path / "s") as store:
        asking = Recorded(store, inner)

        assert isinstance(asking.ask([prompt("a")])[0], Failure)
        assert isinstance(asking.ask([prompt("a")])[0], Reply)


def test_a_reply_stays_as_it_was_first_stored(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.put(prompt("a"), "m", reply("first"), "r")
        store.put(prompt("a"), "m", reply("second"), "r")
        kept = store.get(prompt("a").key("m"))

    assert kept is not None
    assert "first" == kept.text


def test_what_other_labellings_paid_is_not_counted(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.put(prompt("a"), "m", reply("x", tokens=5), "one")
        store.put(prompt("b"), "m", reply("x", tokens=7), "two")

        assert Spent(1, 7, 7, 0.0) == store.spent("two", "m")
        assert Spent() == store.spent("two", "other")


def test_two_processes_may_share_a_store(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as two:
        one.put(prompt("a"), "m", reply("x"), "r")
        two.put(prompt("b"), "m", reply("y"), "r")

        assert Spent(2, 2, 2, 0.0) == one.spent("r", "m")


def test_the_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "deep" / "s"):
        pass

    assert 0o600 == stat.S_IMODE(os.stat(tmp_path / "deep" / "s").st_mode)


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("not a database, but long enough to look at" * 20)
    with pytest.raises(StateError, match="cannot be used as a store"):
        Store(tmp_path / "s")

    assert (tmp_path / "s").read_text().startswith("not a database")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "s")
    base.execute("PRAGMA user_version = 7")
    base.close()
    with pytest.raises(StateError, match="format 7"):
        Store(tmp_path / "s")


def test_a_store_alone_says_what_it_lacks(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        asking = Recorded(store, Nothing("m", tmp_path / "s"))
        with pytest.raises(AnnotatorError, match="lacks 2 replies of 'm'"):
            asking.ask([prompt("a"), prompt("b")])


def test_a_key_tells_apart_whatever_may_change_the_reply() -> None:
    changed = (
        prompt("b"),
        prompt("a", temperature=0.2),
        prompt("a", max_tokens=10),
        prompt("a", schema={"type": "object"}),
        prompt("a", sample=1),
        Prompt((Message("system", "a"),), 0.0, 9),
    )
    keys = {each.key("m") for each in (prompt("a"), *changed)}

    assert 7 == len(keys)
    assert prompt("a").key("m") != prompt("a").key("other")
    assert prompt("a", tag="x").key("m") == prompt("a").key("m")


def test_a_key_is_the_same_on_every_machine() -> None:
    """A change here makes every store of every user worthless."""
    schema = {"b": 1, "a": [True, None]}
    key = prompt("grüße\x00", schema=schema, temperature=1).key("gpt")

    assert "f2448ce73625" == key[:12], key
    assert 64 == len(key)


@pytest.mark.parametrize("text", ["", "\x00", "grüße \U0001f600", "a\nb", "'; DROP TABLE replies"])
def test_any_text_can_be_stored(tmp_path: Path, text: str) -> None:
    with Store(tmp_path / "s") as store:
        store.put(prompt(text), "m", reply(text), "r")
        kept = store.get(prompt(text).key("m"))

    assert kept is not None
    assert text == kept.text
