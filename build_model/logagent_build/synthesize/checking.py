"""`logagent-build synthesize --check DIR`: how much corpora give away, as a table.

Guarantees: reads what `logagent_build.corpora` reads, both forms, messages in the short form with
the headers that training gives them; the same files give the same table.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from logagent_build.headers import with_header
from logagent_build.synthesize.leaks import Leaks, measure, near_chance, near_lengths

__all__ = ["Checked", "as_json", "check", "judged", "markdown"]

_NAMES = tuple(each.name for each in dataclasses.fields(Leaks))
_ANOMALOUS_FROM = 2  # the digit of a code from which a line is anomalous


@dataclass(frozen=True, slots=True)
class Checked:
    """A corpus, measured."""

    name: str
    form: str
    """``tsv`` or ``txt``."""
    normal: int
    anomalous: int
    leaks: Leaks
    fine: Mapping[str, bool]
    """See `judged`."""


def judged(leaks: Leaks, labels: Sequence[int]) -> dict[str, bool]:
    """Return whether headers, levels and lengths are as good as chance."""
    return {
        "header": near_chance(leaks.header, labels),
        "level": near_chance(leaks.level, labels),
        "length": near_lengths(leaks.length, labels),
    }


def check(folder: Path, seed: int = 0) -> Iterator[Checked]:
    """Yield the corpora of a folder, measured.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a row has neither form; names file and line.
    """
    paths = sorted((*folder.glob("*.tsv"), *folder.glob("*.txt")), key=lambda path: path.name)
    if not paths:
        raise FileNotFoundError(f"no corpora (*.tsv, *.txt) in {folder}")
    for path in paths:
        rows = list(_rows(path))
        labels = [label for label, _ in rows]
        leaks = measure([line for _, line in rows], labels, seed)
        ones = sum(labels)
        yield Checked(
            path.stem, path.suffix[1:], len(rows) - ones, ones, leaks, judged(leaks, labels)
        )


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    short = path.suffix == ".txt"
    for number, row in enumerate(path.read_bytes().split(b"\n"), 1):
        row = row.rstrip(b"\r")  # noqa: PLW2901  # the same row
        if not row.strip() or (short and row.startswith(b"#")):
            continue
        cells = row.split(b" ", 1) if short else row.split(b"\t", 2)
        if len(cells) != 2 + (not short) or cells[0][:1] not in b"0123":
            raise ValueError(f"{path}:{number}: no row of a corpus")
        digit = int(cells[0][:1])
        label = int(digit >= _ANOMALOUS_FROM) if short else digit
        line = with_header(cells[-1], path.stem, number) if short else cells[-1]
        yield label, line.decode(errors="replace")


def markdown(found: Sequence[Checked]) -> str:
    """Return a table: a row for each corpus, then medians, how many are above, how many pass."""
    rows = [
        "| corpus | normal | anomalous | " + " | ".join(_NAMES) + " |",
        "|---|--:|--:|" + "--:|" * len(_NAMES),
    ]
    rows += [
        f"| `{each.name}.{each.form}` | {each.normal} | {each.anomalous} | "
        + " | ".join(
            _cell(getattr(each.leaks, name), fine=each.fine.get(name, True)) for name in _NAMES
        )
        + " |"
        for each in found
    ]
    notes: list[str] = []
    for form in sorted({each.form for each in found}):
        those = [each for each in found if each.form == form]
        normal, anomalous = (
            np.median([getattr(each, name) for each in those]) for name in ("normal", "anomalous")
        )
        rows.append(
            f"| median of {len(those)} `.{form}` | {normal:.0f} | {anomalous:.0f} | "
            + " | ".join(
                _cell(_median([getattr(each.leaks, name) for each in those])) for name in _NAMES
            )
            + " |"
        )
        above = [
            f" {sum(not each.fine[name] for each in those)}" if name in those[0].fine else ""
            for name in _NAMES
        ]
        rows.append(f"| above the limit of `.{form}` | | |" + " |".join(above) + " |")
        notes.append(
            f"{sum(all(each.fine.values()) for each in those)} of {len(those)} `.{form}` are "
            "within all limits."
        )
    return "\n".join([*rows, "", *notes]) + "\n"


def as_json(found: Sequence[Checked], seed: int) -> bytes:
    """Return the same as JSON, a line for each corpus, figures with four digits."""
    rows = []
    for each in found:
        raw = dataclasses.asdict(each)
        raw["leaks"] = {
            name: None if value is None else round(value, 4) for name, value in raw["leaks"].items()
        }
        rows.append(json.dumps(raw))
    head = {"command": "logagent-build synthesize --check", "seed": seed}
    text = json.dumps(head)[:-1] + ', "corpora": [\n' + ",\n".join(rows) + "\n]}\n"
    return text.encode()


def _median(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.median(numbers)) if numbers else None


def _cell(value: float | None, *, fine: bool = True) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if fine else f"**{value:.2f}**"
