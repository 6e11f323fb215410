"""What gives labels away is seen, and then gone."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("sklearn", reason="synthesizing needs the [build] extra")

from logagent.normalise import templates
from logagent_build.synthesize.anatomy import split
from logagent_build.synthesize.checking import judged
from logagent_build.synthesize.distinct import Line, Unit, distinct
from logagent_build.synthesize.leaks import (
    Leaks,
    auroc,
    distance,
    gap,
    header_features,
    measure,
    near_chance,
)
from logagent_build.synthesize.repairs import KEPT, repair
from logagent_build.synthesize.replies import read

from .fakes import CODE, written

WANTED = {"normal": 40, "hard": 0, "anomalous": 30, "pairs": 8}


def leaky() -> list[Unit]:
    """Anomalies at night, on another host, with ERROR, a number of their own, and longer."""
    units = []
    for kind, words in (
        ("normal", ""),
        ("anomalous", "wants to be told of"),
        ("pairs", "pairs of log lines"),
    ):
        found = read(kind, written(f"{words} Write {WANTED[kind] + 20} lines", kind), "stop")
        for row in found.rows:
            if kind == "pairs":
                lines = (Line(row.line, 0, 0), Line(row.other, 1, row.severity))
            else:
                lines = (Line(row.line, int(kind == "anomalous"), row.severity),)
            units.append(Unit(kind, lines, row.category))
    return distinct(units)[0]


def measured(units: list[Unit], seed: int = 0) -> tuple[Leaks, dict[str, bool]]:
    lines = [line for unit in units for line in unit.lines]
    labels = [line.label for line in lines]
    leaks = measure([line.text for line in lines], labels, seed)
    return leaks, judged(leaks, labels)


def test_headers_that_tell_labels_are_seen_and_dealt_out_anew() -> None:
    units = leaky()
    before, passed = measured(units)

    assert before.header is not None
    assert before.header > 0.95
    assert before.level is not None
    assert before.level > 0.95
    assert not passed["header"]
    assert not passed["level"]

    made, counts = repair(units, WANTED)

    after, passed = measured(made)
    assert passed["header"], after
    assert passed["level"], after
    assert counts["headers"] > 50


def test_a_repair_keeps_what_is_said_and_how_it_is_labelled() -> None:
    units = leaky()
    known = {
        (template, line.label, line.severity)
        for unit in units
        for line in unit.lines
        for template in templates([split(line.text).said.encode()]).templates
    }

    made, _ = repair(units, WANTED)

    for unit in made:
        for line in unit.lines:
            (template,) = templates([split(line.text).said.encode()]).templates
            assert (template, line.label, line.severity) in known


def test_both_members_of_a_pair_have_one_header() -> None:
    made, _ = repair(leaky(), WANTED)
    pairs = [unit for unit in made if unit.kind == "pairs"]

    assert WANTED["pairs"] == len(pairs)
    assert pairs == made[-len(pairs) :]
    for unit in pairs:
        headers = {(split(line.text).prefix, split(line.text).tail) for line in unit.lines}
        assert 1 == len(headers)


def test_no_kind_falls_below_what_may_be_dropped_and_the_spare_goes() -> None:
    made, _ = repair(leaky(), WANTED)

    for kind, wanted in WANTED.items():
        count = sum(unit.kind == kind for unit in made)
        assert KEPT * wanted <= count <= wanted


def test_a_number_that_only_one_class_has_gets_other_digits() -> None:
    units = [unit for unit in leaky() if unit.kind != "pairs"]
    before = sum(str(CODE) in line.text for unit in units for line in unit.lines)

    made, counts = repair(units, WANTED)

    assert before > 30
    assert counts["numbers"] >= before
    assert not any(str(CODE) in line.text for unit in made for line in unit.lines)


def test_lengths_are_evened_out_by_the_spare() -> None:
    pick = random.Random(3)
    units = [
        Unit(kind, (Line(f"gw sshd: {kind} {number}" + "x" * length, label, 0),))
        for kind, label, mean in (("normal", 0, 40), ("anomalous", 1, 70))
        for number in range(90)
        for length in [max(1, round(pick.gauss(mean, 20)))]
    ]
    wanted = WANTED | {"pairs": 0}
    before, passed = measured(units)
    assert not passed["length"]

    made, counts = repair(units, wanted)

    after, passed = measured(made)
    assert after.length is not None
    assert before.length is not None
    assert passed["length"], after
    assert counts["dropped for lengths"] > 0


def test_forms_of_headers_that_one_class_has_more_are_evened_out() -> None:
    units = [
        Unit(kind, (Line(f"{header}thing {kind} number {number} said so", label, 0),))
        for kind, label, bare in (("normal", 0, 20), ("anomalous", 1, 8))
        for number in range(45)
        for header in ["" if number < bare else "2024-01-02 03:04:05 "]
    ]
    made, counts = repair(units, {"normal": 30, "hard": 0, "anomalous": 30, "pairs": 0})

    assert counts["dropped for headers"] > 0
    assert measured(made)[1]["header"]


def test_the_same_seed_repairs_to_the_same_lines_and_another_to_others() -> None:
    units = leaky()

    assert repair(units, WANTED, 1) == repair(units, WANTED, 1)
    assert repair(units, WANTED, 1)[0] != repair(units, WANTED, 2)[0]


def test_labels_dealt_by_chance_are_near_chance() -> None:
    rows = [header_features(split(unit.lines[0].text)) for unit in leaky()]
    pick = random.Random(5)
    fine = 0
    for _ in range(10):
        labels = [pick.randrange(2) for _ in rows]
        fine += near_chance(auroc(rows, labels), labels)

    assert fine >= 8  # two standard errors: one in 40 is beyond


def test_a_form_of_header_is_a_leak_even_if_all_else_is_alike() -> None:
    lines = [f"{'|,'[n % 2].join(('2024-01-02 03:04:05', ''))}it said so {n}" for n in range(40)]
    leaks = measure(lines, [n % 2 for n in range(40)])

    assert 1.0 == leaks.header
    assert 0.0 == leaks.length


def test_too_few_lines_give_no_figure_but_a_length() -> None:
    leaks = measure(["one line here", "another line there"], [0, 1])

    assert Leaks(None, None, 1.0, None, None) == leaks
    assert measure([], []) == Leaks(None, None, None, None, None)


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    from scipy.stats import ks_2samp

    pick = random.Random(1)
    lengths = [pick.randrange(20, 60) for _ in range(80)]
    labels = [int(length + pick.randrange(30) > 55) for length in lengths]
    ones = [length for length, label in zip(lengths, labels, strict=True) if label]
    zeros = [length for length, label in zip(lengths, labels, strict=True) if not label]

    assert distance(lengths, labels) == pytest.approx(ks_2samp(ones, zeros).statistic)


def test_the_gap_is_where_the_classes_are_furthest_apart() -> None:
    assert (20, 0) == gap([10, 20, 20, 10, 30, 40], [0, 0, 0, 1, 1, 1])
    assert (10, 1) == gap([10, 10, 30], [1, 1, 0])
