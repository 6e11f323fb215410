"""The record of a build: what went in, who answered, what came out, and how good it is.

Guarantees: no log line and no path is in it; a simulation is marked. What it says of the stages is
theirs; time and memory are those of the run that wrote it.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

from logagent_build.folder.stages import Finished, RunFolder, file_digest

__all__ = ["record_of"]


def record_of(
    run: RunFolder,
    name: str,
    options: Mapping[str, Any],
    stages: Mapping[str, Finished],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the record.

    Args:
        run: folder of the build.
        name: of the bundle.
        options: what was asked for, as JSON.
        stages: ``read``, ``label``, ``train`` and ``verify``, all done.
        seconds: that each took in this run.

    Raises:
        OSError: the run's files cannot be read.
    """
    bundle = run / "trained.bundle"
    facts = {stage: finished.facts for stage, finished in stages.items()}
    facts["label"] = facts["label"] | {"labels_sha256": file_digest(run / "labels.npz")}
    return {
        "command": "logagent-build build",
        "bundle": {"name": name, "bytes": bundle.stat().st_size, "sha256": file_digest(bundle)},
        "simulation": facts["label"]["simulation"],
        **options,
        **facts,
        "this_run": {
            "seconds": dict(seconds),
            "peak_rss_mib": _peak_mib(),
            "python": sys.version.split()[0],
        },
    }


def _peak_mib() -> float:
    """Return the largest resident size of this process, or of a finished child of it [MiB]."""
    sizes = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(max(sizes) / 1024, 1)
