"""Runs the agent in a process that never imports the command line's library.

`logagent run` checks its options and then replaces itself by ``python -m logagent.service JSON``:
the same process id, 3 MiB less private memory. JSON is ``{"config": path or null, "overrides":
{"watch.paths": […], …}}``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    from logagent.errors import LogagentError
    from logagent.sanitise import printable
    from logagent.service.agent import Agent

    asked = json.loads(arguments[0]) if arguments else {}
    config = asked.get("config")
    try:
        agent = Agent(Path(config) if config else None, asked.get("overrides", {}))
        return agent.run()
    except LogagentError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"logagent: {printable(line, 2000)}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
