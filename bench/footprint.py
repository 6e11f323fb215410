"""What each way to install logagent costs: disk, private memory, start, speed; and per package.

    python bench/footprint.py                    makes the four installations and measures them
    python bench/footprint.py --board RESULTS    adds figures of packaging/prove_board.py --results

| variant | how it is installed |
|---|---|
| pip | pip install 'logagent[onnxruntime]', which on x86-64 is pip install logagent |
| full | packaging/install-lean --onnxruntime FOLDER |
| lean | packaging/install-lean FOLDER |
| service | packaging/install-lean --service FOLDER |

All are made from the wheel of this work tree and the versions in constraints.txt. Sizes are those
of all files, byte code and the virtual environment's own included, pip left out. Private memory
(RssAnon) is that of the following agent after it has read the example from standard input; the
start is the time until it says that it watches. Lines per second are those of `logagent scan`, on
its own core, its start included; the service has no scan. Figures with --board come from an
emulator and say nothing about a real board's speed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from measure import MIB, ROOT, BenchError, main, median, print_table, run, write_result

MB = 1_000_000  # [bytes]
VARIANTS: dict[str, list[str] | str] = {
    "pip": "logagent[onnxruntime]",
    "full": ["--onnxruntime"],
    "lean": [],
    "service": ["--service"],
}
"""What pip is told to install, or the options of install-lean."""
TARGETS = {"full": 175 * MB, "lean": 90 * MB, "service": 90 * MB}  # installed
MEMORY_TARGET = 24 * MIB  # RssAnon of lean and service
REPEATS = 60  # of the example, for the speed: 28,200 lines
START_SECONDS = 60


def install(variant: str, folder: Path, wheel: Path) -> None:
    """Install one variant from the wheel into a folder that does not exist."""
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    how = VARIANTS[variant]
    if isinstance(how, list):
        command = [str(ROOT / "packaging" / "install-lean"), *how, str(folder), str(wheel)]
    else:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        what = f"{how} @ {wheel.as_uri()}"
        command = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install",
                   "--quiet", "--compile", what]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{variant}: {done.stderr[-1500:]}")


def size(folder: Path) -> int:
    """Bytes of all files in a folder, links not followed."""
    return sum(
        (Path(at) / name).lstat().st_size for at, _, names in os.walk(folder) for name in names
    )


def packages(folder: Path) -> dict[str, int]:
    """Bytes per package: what is in its record, its byte code, and libraries beside it."""
    site = next(folder.glob("lib/python3*/site-packages"))
    owner = {}
    for one in importlib.metadata.distributions(path=[str(site)]):
        for file in one.files or []:
            owner[file.parts[0]] = one.name
    sizes: dict[str, int] = defaultdict(int)
    for entry in site.iterdir():
        name = owner.get(entry.name, entry.name)
        sizes[name] += size(entry) if entry.is_dir() else entry.stat().st_size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def service(variant: str, folder: Path, work: Path) -> dict[str, float]:
    """Private memory and start of the following agent."""
    state = work / "state"
    shutil.rmtree(state, ignore_errors=True)
    asked = {"config": None, "overrides": {"watch.paths": ["-"], "state.dir": str(state)}}
    how = ["-OO"] if isinstance(VARIANTS[variant], list) else []  # as logagent-service does
    command = [str(folder / "bin/python"), *how, "-P", "-m", "logagent.service", json.dumps(asked)]
    log = (ROOT / "examples" / "router.log").read_bytes()
    told = work / "told"
    began = time.monotonic()
    with (
        told.open("wb") as err,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=err
        ) as agent,
    ):
        assert agent.stdin is not None
        while b"watching" not in told.read_bytes():
            if agent.poll() is not None or time.monotonic() - began > START_SECONDS:
                agent.kill()
                raise BenchError(f"{variant}: {told.read_text()[-1000:]}")
            time.sleep(0.002)
        ready = time.monotonic() - began
        agent.stdin.write(log)
        agent.stdin.flush()
        time.sleep(2)  # it has read all and given back what it can
        status = Path(f"/proc/{agent.pid}/status").read_text()
        memory = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines()
                  if line.startswith(("RssAnon", "VmRSS"))}  # fmt: skip
        agent.stdin.close()
    return {"rss_anon_bytes": memory["RssAnon"] * 1024, "vm_rss_bytes": memory["VmRSS"] * 1024,
            "ready_seconds": ready}  # fmt: skip


def speed(folder: Path, work: Path, rounds: int) -> float | None:
    """Lines a second of a scan; none where there is no command line."""
    program = folder / "bin" / "logagent"
    if not program.exists():
        return None
    log = work / "long.log"
    if not log.exists():
        log.write_bytes((ROOT / "examples" / "router.log").read_bytes() * REPEATS)
    lines = log.read_bytes().count(b"\n")
    command = [str(program), "scan", "--quiet", str(log)]
    return lines / median(run(command, core=0).wall_seconds for _ in range(rounds))


def _run() -> None:
    parser = argparse.ArgumentParser(description="What each way to install logagent costs.")
    parser.add_argument("--results", type=Path, help="folder for the result, for a trial run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--board", type=Path, action="append", default=[], metavar="RESULTS")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder]
        subprocess.run([*pip, str(ROOT)], check=True, capture_output=True)
        wheel = next(work.glob("logagent-*.whl"))
        for variant in VARIANTS:
            place = work / variant
            install(variant, place, wheel)
            # Once to warm up: nothing of the first start is measured.
            starts = [service(variant, place, work) for _ in range(options.rounds + 1)][1:]
            found[variant] = {
                "installed_bytes": size(place),
                "packages": packages(place),
                **{key: median(one[key] for one in starts) for key in starts[0]},
                "lines_per_second": speed(place, work, options.rounds),
            }
            shutil.rmtree(place)
    rows = []
    for variant, one in found.items():
        lines = one["lines_per_second"]
        rows.append([
            variant, f"{one['installed_bytes'] / MB:.1f}", f"{one['rss_anon_bytes'] / MIB:.1f}",
            f"{one['ready_seconds']:.2f}", f"{lines:,.0f}" if lines else "-",
        ])  # fmt: skip
    print_table(("variant", "disk MB", "RssAnon MiB", "start s", "lines/s"), rows)
    largest: dict[str, int] = defaultdict(int)
    for one in found.values():
        for name, weight in one["packages"].items():
            largest[name] = max(largest[name], weight)
    names = sorted(largest, key=lambda name: -largest[name])
    each = [[name, *(f"{found[v]['packages'].get(name, 0) / MB:.1f}" for v in found)]
            for name in names[:25]]  # fmt: skip
    print_table(("package, MB", *found), each)
    boards = [json.loads(path.read_text("utf-8")) for path in options.board]
    for board in boards:
        for row in board["rows"]:
            if "rss_anon_mib_emulated" in row:
                print(f"{board['architecture']}, emulated by qemu: {json.dumps(row)}")
    met = {name: found[name]["installed_bytes"] <= most for name, most in TARGETS.items()}
    met |= {f"{name} memory": found[name]["rss_anon_bytes"] <= MEMORY_TARGET
            for name in ("lean", "service")}  # fmt: skip
    print(f"targets met: {json.dumps(met)}")
    write_result("footprint", {"variants": found, "boards": boards, "met": met}, options.results)


if __name__ == "__main__":
    main(_run)
