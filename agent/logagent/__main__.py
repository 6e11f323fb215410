"""Entry point: sets what must be set before numpy and tokenizers are imported.

One thread each: the agent shares small machines with what it watches, and every OpenBLAS thread
costs private memory. A value set by the caller wins.
"""

from __future__ import annotations

import os

__all__ = ["main"]

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def main() -> None:
    """Run the command line."""
    from logagent.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
