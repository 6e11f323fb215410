"""What the keys cost in exactness: lines that take the verdict of a line that only looks alike.

    python bench/keys.py [LOG…]        the loghub samples, or logs of your own

Verdicts are remembered under keys that leave out digits and hexadecimal letters (docs/design.md
§4.1), so two lines with different templates can share one. Every line is scored by its own
template and through the caches, and the scores are compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from logagent.blocks import Block
from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.judge import Judge
from logagent.normalise import templates
from logagent.scorer import Scorer
from measure import machine_facts, main, print_table, public_command, write_result
from workloads import find_loghub, source_arguments

BLOCK_LINES = 400
DIFFERENT = 1e-3  # scores closer than this are the same


def compare(scorer: Scorer, lines: list[bytes], threshold: float) -> tuple[int, int, float]:
    """Lines with another score through the caches, lines with another verdict, largest change."""
    own = scorer.scores(templates(lines).templates)
    judge = Judge(scorer, threshold, keep_normal=True)
    cached = np.concatenate(
        [
            [verdict.score for verdict in judge.judge(Block(b"\n".join(part), at + 1, 0))]
            for at in range(0, len(lines), BLOCK_LINES)
            if (part := lines[at : at + BLOCK_LINES])
        ]
    )
    change = np.abs(cached - own)
    flipped = (cached >= threshold) != (own >= threshold)
    return int((change > DIFFERENT).sum()), int(flipped.sum()), float(change.max())


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("logs", nargs="*", type=Path, help="plain text logs")
    parser.add_argument("--results", type=Path, help="write the result elsewhere")
    source_arguments(parser)
    options = parser.parse_args()
    logs = options.logs or sorted(find_loghub(options.loghub).glob("*/*_2k.log"))
    bundle = Bundle.load(DEFAULT_BUNDLE)
    scorer = Scorer(bundle)
    rows: list[tuple[str, int, int, int, float]] = []
    for log in logs:
        lines = [line for line in log.read_bytes().split(b"\n") if line]
        if lines:
            other, flipped, largest = compare(scorer, lines, bundle.manifest.thresholds["normal"])
            rows.append((log.name, len(lines), other, flipped, largest))
    total = [sum(column) for column in zip(*(row[1:4] for row in rows), strict=True)]
    rows.append(("all", total[0], total[1], total[2], max(row[4] for row in rows)))
    header = ("log", "lines", "other score", "other verdict", "largest change")
    print_table(header, [[*map(str, row[:4]), f"{row[4]:.3f}"] for row in rows])
    facts = {"command": public_command(), "machine": machine_facts()}
    found = [dict(zip(header, row, strict=True)) for row in rows]
    write_result("keys", facts | {"rows": found}, options.results)


if __name__ == "__main__":
    main(run)
