"""What is read from replies, and what is not guessed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent_build.annotate.replies import read

IDS = ["b2c3", "d4f5", "g6h7"]
ALL = {"b2c3": True, "d4f5": False, "g6h7": True}


def as_json(*rows: object) -> str:
    return json.dumps({"labels": rows})


def row(name: str, label: object, **more: object) -> dict[str, object]:
    return {"id": name, "anomalous": label} | more


GOOD = as_json(row("b2c3", True), row("d4f5", False), row("g6h7", True))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here you are:\n```\n{GOOD}\n```\nAnything else?",
        f"<think>b2c3: normal? hmm</think>\n{GOOD}",
        as_json(row("b2c3", 1), row("d4f5", "0"), row("g6h7", "Anomalous")),
        as_json(row("g6h7", 1), {"id": "b2c3", "label": "abnormal"}, {"id": "d4f5", "label": "0"}),
        as_json(row("g6h7", True), row("b2c3", True), row("d4f5", False)),
        as_json(row("[b2c3]", True), row("d4f5", False), row("g6h7", True)),
        "b2c3: anomalous\nd4f5: normal\ng6h7: anomalous",
        "Sure.\n\n- [b2c3] -> 1\n- [d4f5] -> 0\n- [g6h7] -> 1\n",
        "b2c3 = Abnormal.\nd4f5\tnormal\ng6h7: **anomalous** - disk failed",
    ],
)  # fmt: skip
def test_clear_replies_are_read(text: str) -> None:
    assert ALL == read(text, "stop", IDS).labels


def test_a_skipped_id_has_no_answer() -> None:
    assert {"b2c3": True} == read(as_json(row("b2c3", True)), "stop", IDS).labels


def test_an_invented_id_is_ignored_and_counted() -> None:
    said = read(as_json(row("z9z9", True), row("b2c3", False)), "stop", IDS)

    assert {"b2c3": False} == said.labels
    assert 1 == said.counts["invented"]


def test_an_id_repeated_alike_counts() -> None:
    assert {"b2c3": True} == read("b2c3: 1\nb2c3: anomalous", "stop", IDS).labels


@pytest.mark.parametrize(
    "text",
    [
        as_json(row("b2c3", True), row("b2c3", False)),
        as_json(row("b2c3", True), row("b2c3", False), row("b2c3", True)),
        "b2c3: normal\nb2c3: anomalous\nb2c3: normal",
    ],
)
def test_an_id_that_contradicts_itself_has_no_answer(text: str) -> None:
    said = read(text, "stop", IDS)

    assert {} == said.labels
    assert 1 <= said.counts["contradicted"]


@pytest.mark.parametrize("label", [None, "maybe", 2, -1, "", [], "not normal", "true-ish"])
def test_a_label_that_is_none_is_no_answer(label: object) -> None:
    said = read(as_json(row("b2c3", label), row("b2c3", True)), "stop", IDS)

    assert {} == said.labels
    assert 1 == said.counts["unclear"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "All lines are normal.",
        GOOD[:-3],
        GOOD + "}",
        '{"labels": "none"}',
        '{"labels": [3, null, {"id": 7, "anomalous": true}]}',
        '{"b2c3": true}',
        '{"labels": [{"id": "b2c3", "anomalous": true, "anomalous": false}]}',
        "The line b2c3 is anomalous",
        "b2c3: normal or anomalous",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_garbage_is_no_answer_and_counted(text: str) -> None:
    said = read(text, "stop", IDS)

    assert {} == said.labels
    assert 1 == said.counts["garbage"]


def test_a_cut_reply_is_no_answer() -> None:
    said = read(GOOD, "length", IDS)

    assert {} == said.labels
    assert 1 == said.counts["cut"]


def test_only_what_follows_the_last_marker_counts() -> None:
    text = "b2c3: normal, I first thought\nFINAL ANSWERS\nb2c3: normal\nFINAL ANSWERS\nb2c3: 1"

    assert {"b2c3": True} == read(text, "stop", IDS, "FINAL ANSWERS").labels
    assert {} == read("b2c3: 1", "stop", IDS, "FINAL ANSWERS").labels


def test_reasons_are_kept_and_bounded() -> None:
    said = read(as_json(row("b2c3", True, reason="x" * 9999)), "stop", IDS)

    assert "x" * 300 == said.reasons["b2c3"]
    assert {"g6h7": "disk failed"} == read("g6h7: 1 - disk failed", "stop", IDS).reasons


@given(st.text(), st.sampled_from(["", "M"]))
def test_any_text_can_be_read(text: str, marker: str) -> None:
    assert read(text, "stop", IDS, marker).labels.keys() <= set(IDS)


FIELDS = st.sampled_from(["labels", "id", "anomalous", "reason"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_can_be_read(value: object) -> None:
    assert read(json.dumps({"labels": value}), "stop", IDS).labels.keys() <= set(IDS)
