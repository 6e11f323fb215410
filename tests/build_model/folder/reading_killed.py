"""Reads a folder, one block for every line on standard input; killed by test_reading."""

from __future__ import annotations

import sys
from pathlib import Path

from logagent_build.folder.reading import Settings, read
from logagent_build.folder.stages import RunFolder
from logagent_build.folder.systems import find_systems


def main() -> None:
    logs, run = Path(sys.argv[1]), Path(sys.argv[2])

    def block(_stage: str, _done: float) -> None:
        print("block", flush=True)  # noqa: T201  # the protocol with the test
        sys.stdin.readline()

    with RunFolder.opened(run) as opened:
        read(opened, find_systems(logs), Settings(300, 2000), progress=block)


if __name__ == "__main__":
    main()
