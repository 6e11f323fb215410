"""Runs the agent in a process that never imports the command line's library.

`logagent run` checks its options and then replaces itself by ``python -m logagent.service JSON``:
the same process id, 3 MiB less private memory. JSON is ``{"config": path or null, "overrides":
{"watch.paths": […], …}}``, in as many arguments as the kernel's limit of 128 KiB for one needs.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    # Until the agent listens, a reload has nothing to do, and must not be the end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _occupy_standard_descriptors()
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    _without_openssl()
    from logagent.errors import LogagentError
    from logagent.sanitise import printable
    from logagent.service.agent import Agent

    asked = json.loads("".join(arguments) or "{}")
    config = asked.get("config")
    try:
        agent = Agent(Path(config) if config else None, asked.get("overrides", {}))
        return agent.run()
    except LogagentError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"logagent: {printable(line, 2000)}\n")
        return error.exit_code


def _without_openssl() -> None:
    """Let `hashlib` use Python's own hashes, where it has them: OpenSSL's cost 0.5 MiB.

    What needs OpenSSL later (`ssl`) can still import it.
    """
    found = {name for name in ("_blake2", "_sha2", "_sha256") if importlib.util.find_spec(name)}
    if "_blake2" in found and len(found) > 1:
        sys.modules["_hashlib"] = None  # type: ignore[assignment]  # "cannot be imported"
        try:
            importlib.import_module("hashlib")
        finally:
            del sys.modules["_hashlib"]


def _occupy_standard_descriptors() -> None:
    """Put a pipe that nobody reads where the agent was started without 0, 1 or 2.

    Otherwise the next file that is opened is taken for standard output; and what is written must
    fail, so that no alert is thought to have been told.
    """
    missing = [descriptor for descriptor in range(3) if not _is_open(descriptor)]
    if not missing:
        return
    reader, writer = os.pipe()
    spare = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(reader)
    os.close(writer)
    for descriptor in missing:
        os.dup2(spare, descriptor)
    os.close(spare)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
