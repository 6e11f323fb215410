"""AUROC on systems left out of training, by kind of system, from a bundle's own record.

    python bench/heldout.py [--bundle FILE]

`logagent-build train` leaves systems out and writes every system's figure into the bundle; this
averages them. "First" are the corpora with whole lines (`corpora/*.tsv`), which earlier bundles
were measured by together with loghub's samples; `logagent-build evaluate --lodo` computes the
figures anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from measure import ROOT, machine_facts, main, print_table, public_command, write_result

RULES = {"plain": "held_out", "strict": "held_out_without_kin"}


def means(areas: dict[str, float], trained: set[str]) -> dict[str, tuple[int, float]]:
    """Return number of systems and mean AUROC of every kind; loghub's were never trained on."""
    first = {path.stem for path in (ROOT / "corpora").glob("*.tsv")}
    kinds = {
        "all": set(areas),
        "first corpora and loghub": {
            name for name in areas if name in first or name not in trained
        },
        "loghub": set(areas) - trained,
        "corpora since": set(areas) & trained - first,
        "other languages": {name for name in areas if name.startswith("i18n_")},
    }
    return {
        kind: (len(names), sum(areas[name] for name in names) / len(names))
        for kind, names in kinds.items()
        if names
    }


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    options = parser.parse_args()
    record = Bundle.load(options.bundle).manifest.record
    trained = set(record["data"]["domains"])
    found = {rule: means(record[key]["auroc"], trained) for rule, key in RULES.items()}
    rows = [
        [kind, str(count), *(f"{found[rule][kind][1]:.3f}" for rule in RULES)]
        for kind, (count, _) in found["plain"].items()
    ]
    print_table(("systems", "number", *RULES), rows)
    facts = {"command": public_command(), "machine": machine_facts()}
    write_result("heldout", facts | {"rows": rows}, options.results)


if __name__ == "__main__":
    main(run)
