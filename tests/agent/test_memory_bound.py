"""Memory does not grow with the input, however hostile."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

LETTERS = "ghijklmnopqrstuvwxyz"  # no hexadecimal ones: nothing is masked, every line is new
GROWTH_BYTES = 3 << 20


def private_bytes(log: Path, *options: str) -> int:
    """Scan in a process of its own and return what it says of its private memory."""
    command = [sys.executable, "-m", "logagent", "scan", str(log), "--stats", "json", *options]
    done = subprocess.run(command, capture_output=True, check=True)
    stats = json.loads(done.stderr.splitlines()[-1])
    assert stats["lines"] == stats["template_misses"]  # no cache helped
    used = stats["rss_anon_bytes"]
    if used is None:
        pytest.skip("this system does not tell a process's private memory")
    return int(used)


def distinct_lines(path: Path, count: int) -> Path:
    chosen = random.Random(7)
    with path.open("w") as log:
        for _ in range(count):
            words = ("".join(chosen.choices(LETTERS, k=7)) for _ in range(8))
            log.write(f"Mar 14 06:00:00 host app: {' '.join(words)}\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--quiet"], id="almost all normal"),
        pytest.param(["--quiet", "--threshold", "0"], id="every line a group of its own"),
        pytest.param(["--quiet", "--backend", "numpy"], id="numpy"),
    ],
)
def test_five_times_the_distinct_lines_take_no_more_memory(
    tmp_path: Path, options: list[str]
) -> None:
    few = private_bytes(distinct_lines(tmp_path / "few.log", 20_000), *options)
    many = private_bytes(distinct_lines(tmp_path / "many.log", 100_000), *options)

    assert many - few < GROWTH_BYTES
