"""What gives labels away is taken out of a corpus: headers, numbers, lengths.

* Numbers that only one class has, again and again, get other digits, where the agent's normaliser
  masks them anyway: what a line means stays.
* Forms of headers that one class uses more are evened out by dropping lines of it.
* Lengths are evened out likewise, where the distance between the classes is largest.
* Headers are dealt out anew at random among lines whose headers have the same form, levels with
  them, as `logagent_build.headers` does for the project's corpora. Of `_DRAWS` deals the one that
  tells least is taken.

Dropped is the spare that `gathering` brought, and then down to `KEPT` of what was wanted; what is
left of the spare at the end goes, too. Pairs keep their members; both get the same header.

Guarantees: seeded; labels, severities and messages stay as they are but for those digits.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from logagent.normalise import templates

from logagent_build.synthesize.anatomy import Parts, joined, split
from logagent_build.synthesize.distinct import Unit
from logagent_build.synthesize.leaks import (
    auroc,
    distance,
    gap,
    header_features,
    level_features,
    near_chance,
    near_lengths,
)
from logagent_build.synthesize.replies import LONGEST

__all__ = ["KEPT", "repair"]

KEPT = 0.85  # of the lines wanted of a kind, at least, if there were as many
_DRAWS = 12
_STEP = 3  # lines dropped between two measurements
_OFTEN = 5  # lines that must hold a number before it can be a leak
_UNLIKELY = 0.01  # chance that all of them have one class, if classes were dealt at random
_NUMBER = re.compile(r"(?<!\d)[1-9]\d+(?!\d)")


def repair(
    units: Sequence[Unit], wanted: Mapping[str, int], seed: int = 0
) -> tuple[list[Unit], Counter[str]]:
    """Return the units of a corpus, repaired and cut to what was wanted, and what was done.

    Args:
        units: distinct ones.
        wanted: of each kind.
        seed: of all that is drawn.

    Returns:
        Units in random order, pairs last; counts of ``numbers``, ``headers`` (lines that have
        another), ``dropped for headers``, ``dropped for lengths``, ``spare`` (dropped without a
        reason).
    """
    source = random.Random(f"repair {seed}")  # noqa: S311  # no secret hangs on it
    counts: Counter[str] = Counter()
    kept = _numbers(list(units), source, counts)
    kept = _forms(kept, wanted, source, counts, seed)
    kept = _lengths(kept, wanted, source, counts)
    kept = _spare(kept, wanted, source, counts)
    source.shuffle(kept)
    kept.sort(key=lambda unit: unit.kind == "pairs")
    return _headers(kept, seed, counts), counts


def _flat(units: Sequence[Unit]) -> tuple[list[str], list[int]]:
    lines = [line for unit in units for line in unit.lines]
    return [line.text for line in lines], [line.label for line in lines]


def _label(unit: Unit) -> int:
    return unit.lines[-1].label


def _numbers(units: list[Unit], source: random.Random, counts: Counter[str]) -> list[Unit]:
    """Give other digits to numbers that only one class has."""
    _, labels = _flat(units)
    share = {1: sum(labels) / max(len(labels), 1)}
    share[0] = 1 - share[1]
    seen: dict[str, list[int]] = defaultdict(list)
    for unit in units:
        for line in unit.lines:
            for number in set(_NUMBER.findall(split(line.text).said)):
                seen[number].append(line.label)
    leaks = {
        number
        for number, those in seen.items()
        if len(those) >= _OFTEN
        and len(set(those)) == 1
        and share[those[0]] ** len(those) < _UNLIKELY
    }
    if not leaks:
        return units
    made = []
    for unit in units:
        text = unit.lines[0].text
        if len(unit.lines) > 1:
            made.append(unit)
            continue
        start = len(text) - len(split(text).said)
        for match in reversed(list(_NUMBER.finditer(text, start))):
            if match[0] not in leaks:
                continue
            digits = str(source.randrange(10 ** (len(match[0]) - 1), 10 ** len(match[0])))
            other = text[: match.start()] + digits + text[match.end() :]
            if len(set(templates([text.encode(), other.encode()]).templates)) == 1:
                text = other
                counts["numbers"] += 1
        made.append(replace(unit, lines=(replace(unit.lines[0], text=text),)))
    return made


def _floors(units: Sequence[Unit], wanted: Mapping[str, int], share: float) -> dict[str, int]:
    have = Counter(unit.kind for unit in units)
    return {kind: min(have[kind], math.ceil(share * wanted[kind])) for kind in have}


def _may_go(units: Sequence[Unit], floors: Mapping[str, int]) -> list[int]:
    """Return the units that can be dropped: no pairs, whose classes are alike already."""
    have = Counter(unit.kind for unit in units)
    return [
        number
        for number, unit in enumerate(units)
        if unit.kind != "pairs" and have[unit.kind] > floors[unit.kind]
    ]


def _forms(
    units: list[Unit],
    wanted: Mapping[str, int],
    source: random.Random,
    counts: Counter[str],
    seed: int,
) -> list[Unit]:
    """Drop lines whose form of header their class has more than the other."""
    floors = _floors(units, wanted, KEPT)
    while True:
        lines, labels = _flat(units)
        shapes = [_shape(split(line)) for line in lines]
        if near_chance(auroc([{shape: 1.0} for shape in shapes], labels, seed), labels):
            return units
        for _ in range(_STEP):
            many = Counter((_shape(split(unit.lines[-1].text)), _label(unit)) for unit in units)
            total = Counter(_label(unit) for unit in units)
            excess = {
                (shape, label): count / total[label]
                - many[shape, 1 - label] / max(total[1 - label], 1)
                for (shape, label), count in many.items()
            }
            free = _may_go(units, floors)
            of = {n: (_shape(split(units[n].lines[-1].text)), _label(units[n])) for n in free}
            worst = max((excess[of[n]] for n in free), default=0.0)
            if worst <= 0:
                return units
            source_of = [n for n in free if excess[of[n]] == worst]
            del units[source.choice(source_of)]
            counts["dropped for headers"] += 1


def _shape(parts: Parts) -> str:
    return f"{parts.prefix_shape}|{parts.tail_shape}"


def _lengths(
    units: list[Unit], wanted: Mapping[str, int], source: random.Random, counts: Counter[str]
) -> list[Unit]:
    """Drop lines where the lengths of the classes are furthest apart."""
    floors = _floors(units, wanted, KEPT)
    while True:
        lines, labels = _flat(units)
        lengths = [len(line) for line in lines]
        if near_lengths(distance(lengths, labels), labels):
            return units
        place, label = gap(lengths, labels)
        # The class with more lines up to there loses a short one, or the other one a long one.
        fit = [
            n
            for n in _may_go(units, floors)
            if (_label(units[n]) == label) == (len(units[n].lines[0].text) <= place)
        ]
        if not fit:
            return units
        del units[source.choice(fit)]
        counts["dropped for lengths"] += 1


def _spare(
    units: list[Unit], wanted: Mapping[str, int], source: random.Random, counts: Counter[str]
) -> list[Unit]:
    have = Counter(unit.kind for unit in units)
    for kind, count in have.items():
        numbers = [number for number, unit in enumerate(units) if unit.kind == kind]
        surplus = max(0, count - wanted[kind])
        counts["spare"] += surplus
        gone = set(source.sample(numbers, surplus))
        units = [unit for number, unit in enumerate(units) if number not in gone]
    return units


def _headers(units: list[Unit], seed: int, counts: Counter[str]) -> list[Unit]:
    """Deal the headers out anew; of several deals take the one that tells least."""
    best: tuple[float, list[Unit]] | None = None
    for draw in range(_DRAWS):
        dealt = _dealt(units, random.Random(f"headers {seed} {draw}"))  # noqa: S311  # no secret
        lines, labels = _flat(dealt)
        parts = [split(line) for line in lines]
        header = auroc([header_features(each) for each in parts], labels, seed)
        level = auroc([level_features(each) for each in parts], labels, seed)
        told = max(header or 0.5, level or 0.5)
        if best is None or told < best[0]:
            best = (told, dealt)
        if near_chance(header, labels) and near_chance(level, labels):
            break
    dealt = best[1] if best else []
    counts["headers"] += sum(
        old.text != new.text
        for before, after in zip(units, dealt, strict=True)
        for old, new in zip(before.lines, after.lines, strict=True)
    )
    return dealt


def _dealt(units: Sequence[Unit], source: random.Random) -> list[Unit]:
    firsts = [split(unit.lines[0].text) for unit in units]
    prefixes = _shuffled([(each.prefix_shape, each.prefix) for each in firsts], source)
    tails = _shuffled([(each.tail_shape, each.tail) for each in firsts], source)
    levels = _shuffled([(_style(each.keyed), each.keyed) for each in firsts], source)
    made = []
    for unit, old, prefix, tail, keyed in zip(units, firsts, prefixes, tails, levels, strict=True):
        lines = []
        for line in unit.lines:
            parts = split(line.text)
            same = replace(
                parts,
                prefix=prefix if parts.prefix_shape == old.prefix_shape else parts.prefix,
                tail=tail if parts.tail_shape == old.tail_shape else parts.tail,
                keyed=keyed if _style(parts.keyed) == _style(old.keyed) else parts.keyed,
            )
            text = joined(same)
            lines.append(line if len(text) > LONGEST else replace(line, text=text))
        made.append(replace(unit, lines=tuple(lines)))
    return made


def _shuffled(rows: Sequence[tuple[str, str]], source: random.Random) -> list[str]:
    """Return the second members, dealt out among rows with the same first one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, (name, _) in enumerate(rows):
        groups[name].append(number)
    made = [text for _, text in rows]
    for numbers in groups.values():
        texts = [rows[number][1] for number in numbers]
        source.shuffle(texts)
        for number, text in zip(numbers, texts, strict=True):
            made[number] = text
    return made


def _style(word: str) -> str:
    return "" if not word else "U" if word.isupper() else "l" if word.islower() else "T"
