"""Start-up: from starting `logagent scan` to the first byte of a result, and what it imports.

    python bench/startup.py                 15 warm starts; as root, 5 cold ones as well
    python bench/startup.py FILE            on a log of your own with something anomalous in it

Cold means that the kernel's page cache is dropped first, so all is read from the disk again;
that slows down everything else on the machine for a moment. The import times are those of
`python -X importtime`, which itself adds about a tenth.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import (
    ROOT,
    BenchError,
    common_arguments,
    main,
    median,
    percentile,
    pinned,
    print_table,
    run,
    scan_command,
    write_result,
)

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
TOP = 15  # rows of the import table
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|(\s*)(\S+)")


def example() -> Path:
    """The first of the example logs."""
    logs = sorted((ROOT / "examples").rglob("*.log"))
    if not logs:
        raise BenchError("no examples/*.log here; name a log with something anomalous in it")
    return logs[0]


def first_byte_seconds(argv: Sequence[str], core: int) -> tuple[float, float]:
    """Seconds from starting the command to its first byte on stdout, and to its end."""
    start = time.perf_counter()
    with pinned(core):
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    assert child.stdout is not None
    first = child.stdout.read(1)
    seconds = time.perf_counter() - start
    _, problems = child.communicate()
    end = time.perf_counter() - start
    if child.returncode != 0:
        raise BenchError(f"exit code {child.returncode}: {problems.decode()[-500:]}")
    if not first:
        raise BenchError("the scan printed no result; name a log with something anomalous in it")
    return seconds, end


def drop_caches() -> None:
    """Forget what was read from the disk; root only."""
    os.sync()
    DROP_CACHES.write_text("3\n", encoding="ascii")


def may_drop_caches() -> bool:
    """Whether cold starts can be measured here."""
    try:
        drop_caches()
    except OSError:  # not root, or a container that may not touch the kernel's settings
        return False
    return True


def imports(options: argparse.Namespace, log: Path) -> dict[str, Any]:
    """Import times of a scan: the modules that cost most by themselves, and packages."""
    python = argparse.Namespace(
        logagent=shlex.join([sys.executable, "-X", "importtime", "-m", "logagent"]),
        bundle=options.bundle,
    )
    argv = scan_command(python, None, "--quiet", str(log))
    found = read_importtime(run(argv, core=options.core).stderr.decode("utf-8", "replace"))
    by_package: dict[str, int] = {}
    for module, own, _ in found:
        package = module.partition(".")[0]
        package = "standard library" if package in sys.stdlib_module_names else package
        by_package[package] = by_package.get(package, 0) + own
    return {
        "modules": len(found),
        "total_us": sum(own for _, own, _ in found),
        "top_modules_us": sorted(((own, name) for name, own, _ in found), reverse=True)[:TOP],
        "packages_us": sorted(((own, name) for name, own in by_package.items()), reverse=True),
    }


def read_importtime(text: str) -> list[tuple[str, int, int]]:
    """(module, own microseconds, cumulative microseconds) of `-X importtime` output."""
    return [
        (match[4], int(match[1]), int(match[2]))
        for match in map(_IMPORT.match, text.splitlines())
        if match
    ]


def _summary(samples: list[tuple[float, float]]) -> dict[str, Any]:
    firsts = [first for first, _ in samples]
    return {
        "median_seconds": median(firsts),
        "p90_seconds": percentile(firsts, 0.9),
        "median_end_seconds": median(end for _, end in samples),
        "samples": [{"first_byte": first, "end": end} for first, end in samples],
    }


def _run() -> None:
    parser = argparse.ArgumentParser(description="Start-up time of logagent.")
    parser.add_argument("file", type=Path, nargs="?", help="default: the first example")
    parser.add_argument("--cold-rounds", type=int, default=5, help="0 for none")
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "numpy"])
    common_arguments(parser, rounds=15)
    options = parser.parse_args()
    log = options.file or example()
    starts: dict[str, dict[str, Any]] = {}
    for backend in options.backends:
        argv = scan_command(options, backend, "--format", "jsonl", str(log))
        first_byte_seconds(argv, options.core)  # into the page cache
        warm = [first_byte_seconds(argv, options.core) for _ in range(options.rounds)]
        starts[f"{backend}, warm"] = _summary(warm)
    if options.cold_rounds and may_drop_caches():
        for backend in options.backends:
            argv = scan_command(options, backend, "--format", "jsonl", str(log))
            cold = []
            for _ in range(options.cold_rounds):
                drop_caches()
                cold.append(first_byte_seconds(argv, options.core))
            starts[f"{backend}, cold"] = _summary(cold)
    elif options.cold_rounds:
        print("no cold starts: only root may drop the page cache", file=sys.stderr)
    rows = [
        [
            name, str(len(one["samples"])), f"{one['median_seconds']:.3f}",
            f"{one['p90_seconds']:.3f}", f"{one['median_end_seconds']:.3f}",
        ]
        for name, one in starts.items()
    ]  # fmt: skip
    print_table(("start", "N", "median s", "p90 s", "median to the end s"), rows)
    result: dict[str, Any] = {"file_bytes": log.stat().st_size, "starts": starts}
    if options.logagent is None:
        result["imports"] = imports(options, log)
        found = result["imports"]
        print(f"\n{found['modules']} modules, {found['total_us'] / 1000:.0f} ms to import")
        print_table(
            ("module", "ms"), [[name, f"{us / 1000:.1f}"] for us, name in found["top_modules_us"]]
        )
        print_table(
            ("package", "ms"),
            [[name, f"{us / 1000:.1f}"] for us, name in found["packages_us"][:TOP]],
        )
    write_result("startup", result, options.results)


if __name__ == "__main__":
    main(_run)
