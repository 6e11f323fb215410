"""What of a reply becomes a line, and what never does."""

from __future__ import annotations

import json
import unicodedata

import pytest

pytest.importorskip("sklearn", reason="synthesizing needs the [build] extra")

from hypothesis import given
from hypothesis import strategies as st
from logagent.sanitise import printable
from logagent_build.synthesize.replies import FIELDS, LONGEST, Row, clean, read, schema

GOOD = "Mar 12 10:00:01 gw dnsmasq[812]: using nameserver 9.9.9.9#53"
BAD = "Mar 12 10:00:01 gw dnsmasq[812]: ignoring nameserver 9.9.9.9#53"


def reply(*rows: object) -> str:
    return json.dumps({"rows": rows})


def anomalous(
    line: object, severity: object = 2, category: object = "network"
) -> dict[str, object]:
    return {"severity": severity, "category": category, "line": line}


@pytest.mark.parametrize(
    "text",
    [
        reply({"line": GOOD}),
        f"```json\n{reply({'line': GOOD})}\n```",
        f"<think>rows? {{</think>\n{reply({'line': GOOD})}",
        json.dumps([{"line": GOOD}]),
        f"Here they are:\n{json.dumps({'line': GOOD})}\nI hope that helps.",
        reply({"line": f"`{GOOD}`"}),
        reply({"line": f"  {GOOD}\r\n"}),
    ],
)
def test_a_line_is_read_in_every_form_models_answer_in(text: str) -> None:
    assert [Row(GOOD)] == read("normal", text, "stop").rows


def test_of_a_reply_that_was_cut_the_whole_rows_count() -> None:
    text = reply({"line": GOOD}, {"line": GOOD + " again, and cut"})[:-20]

    found = read("normal", text, "length")

    assert [Row(GOOD)] == found.rows
    assert 1 == found.counts["cut"] == found.counts["salvaged"]


def test_rows_of_tab_separated_columns_are_read() -> None:
    found = read("anomalous", f"severity\tcategory\tline\n2\tnetwork\t{BAD}\nand so on", "stop")

    assert [Row(BAD, 2, "network")] == found.rows
    assert {"severity": 1} == dict(found.counts)  # the head of the table


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{GOOD}\n{GOOD}", "control"),
        (f"{GOOD}\x1b[2J", "control"),
        (f"{GOOD}\u202eevil", "control"),
        (f"{GOOD}\ud800", "control"),
        ("x y " * LONGEST, "long"),
        ("ok ok", "short"),
        ("0000 1111 2222 3333", "short"),
        ("<timestamp> gw dnsmasq: using nameserver", "placeholder"),
        ("YYYY-MM-DD gw dnsmasq: using nameserver", "placeholder"),
        (f"anomalous: {GOOD}", "label"),
        (f"0\t0\t{GOOD}\t(anomalous)", "label"),
        (f"severity 3 {GOOD}", "label"),
        (["no", "text"], "form"),
        (None, "form"),
    ],
)
def test_a_line_that_is_none_is_counted_and_not_taken(line: object, reason: str) -> None:
    found = read("normal", reply({"line": line}, {"line": GOOD}), "stop")

    assert [Row(GOOD)] == found.rows
    assert {reason: 1} == dict(found.counts)
    assert 1 == found.broken


def test_a_tab_in_a_line_becomes_a_blank() -> None:
    assert ("kernel: sda\tis fine".replace("\t", " "), "") == clean("kernel: sda\tis fine")


def test_lines_that_stand_in_the_prompt_are_no_answer() -> None:
    found = read("normal", reply({"line": GOOD}), "stop", f"- dnsmasq: {GOOD}\nRules:")

    assert [] == found.rows
    assert {"echo": 1, "garbage": 1} == dict(found.counts)


@pytest.mark.parametrize("severity", [0, 4, -1, True, 2.0, "high", None, 10**30])
def test_a_severity_that_is_none_breaks_the_row(severity: object) -> None:
    assert [] == read("anomalous", reply(anomalous(BAD, severity)), "stop").rows


def test_a_category_of_its_own_is_left_out_and_counted() -> None:
    found = read("anomalous", reply(anomalous(BAD, category="weather")), "stop")

    assert [Row(BAD, 2)] == found.rows
    assert 1 == found.counts["category"]


@pytest.mark.parametrize(
    ("normal", "other"),
    [
        (GOOD, GOOD.replace("9.9.9.9", "1.1.1.1")),  # another address is no other meaning
        (GOOD, "kernel: a whole other sentence about memory"),
        (GOOD, BAD.partition("gw ")[2]),  # without the header
    ],
)
def test_the_members_of_a_pair_differ_in_little_that_counts(normal: str, other: str) -> None:
    pair = {"severity": 3, "normal": normal, "anomalous": other}

    assert {"unlike": 1, "garbage": 1} == dict(read("pairs", reply(pair), "stop").counts)


def test_a_pair_may_have_two_headers() -> None:
    later = BAD.replace("10:00:01", "23:59:59")
    pair = {"severity": 3, "normal": GOOD, "anomalous": later}

    assert [Row(GOOD, 3, other=later)] == read("pairs", reply(pair), "stop").rows


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_a_schema_asks_for_every_field(kind: str) -> None:
    row = schema(kind)["properties"]["rows"]["items"]

    assert list(FIELDS[kind]) == row["required"] == list(row["properties"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("rows", "line", "severity", "normal", "anomalous", "component"))
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
LINES = st.text(min_size=1, max_size=60) | st.builds(
    lambda text, evil, at: text[:at] + evil + text[at:],
    st.just(GOOD),
    st.sampled_from(("\t", "\n", "\r", "\x00", "\x1b[31m", "\u2028", "\u200b", "\x85", "{", '"')),
    st.integers(0, len(GOOD)),
)
ROWS = st.fixed_dictionaries(
    dict.fromkeys(("line", "normal", "anomalous", "component", "example"), LINES),
    optional={"severity": st.sampled_from((1, 2, 3, "2"))},
)


@given(
    kind=st.sampled_from(sorted(FIELDS)),
    text=st.text()
    | JSON.map(json.dumps)
    | st.lists(ROWS, max_size=3).map(lambda rows: json.dumps({"rows": rows}))
    | st.lists(ROWS, max_size=3).map(lambda rows: json.dumps({"rows": rows})[:-7])
    | st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=3).map(
        lambda rows: "\n".join("\t".join(row) for row in rows)
    ),
    finish=st.sampled_from(("stop", "length", "")),
)
def test_no_reply_raises_and_no_control_character_comes_through(
    kind: str, text: str, finish: str
) -> None:
    for row in read(kind, text, finish).rows:
        for line in (row.line, row.other):
            assert "\t" not in line
            assert len(line.splitlines()) <= 1
            assert printable(line, LONGEST) == line
            assert not any(unicodedata.category(each).startswith("C") for each in line)


@pytest.mark.parametrize("text", ["{" * 50_000, "[" * 100_000, '{"rows": [' * 3_000, "1" * 9999])
def test_nesting_without_end_is_garbage(text: str) -> None:
    assert 1 == read("normal", text, "stop").counts["garbage"]
