"""What every benchmark shares: running a command and measuring it, facts, results.

Guarantees: a measured command runs pinned to the given core, its output goes to temporary
files (never to a pipe that could fill and stall it), and its processor time comes from the
kernel. Its peak memory does not, as ru_maxrss of a child starts at that of its parent: memory
is sampled. A result file holds no path of this machine and no host name.
Leaves to others: what to run, and what the figures mean.

Works on Linux only: memory is read from /proc, affinity is set by sched_setaffinity.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from resource import struct_rusage
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
WORK = ROOT / "bench" / "work"
MIB = 1024 * 1024  # [bytes]
SAMPLE_HZ = 20.0  # [1/s] memory samples of a long run
EARLY_SAMPLE_HZ = 200.0  # [1/s] in the first EARLY_SECONDS, so that a short run is seen at all
EARLY_SECONDS = 2.0
LIBRARIES = (
    "logagent", "numpy", "onnxruntime", "tokenizers", "msgpack", "typer", "drain3", "matplotlib",
)  # fmt: skip
Item = TypeVar("Item")


class BenchError(Exception):
    """A benchmark cannot run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Memory of the child at one moment."""

    seconds: float
    """Since the start of the child."""
    rss_anon_bytes: int
    """Private memory: what the machine loses while the program runs."""
    vm_rss_bytes: int
    """Private memory plus mapped files, which other processes may share."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command."""

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    exit_code: int
    stdout: bytes
    stderr: bytes
    memory: tuple[MemorySample, ...] = ()

    @property
    def stats(self) -> dict[str, Any]:
        """The JSON object on the last line of stderr (`--stats json`), or an empty one."""
        for line in reversed(self.stderr.decode("utf-8", "replace").splitlines()):
            if line.startswith("{"):
                found = json.loads(line)
                return found if isinstance(found, dict) else {}
        return {}


def run(
    argv: Sequence[str],
    *,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    sample_memory: bool = False,
    accept: Iterable[int] = (0,),
) -> Run:
    """Run a command to its end and measure it; `env` is added to this process's own."""
    memory: list[MemorySample] = []
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with (stdin or Path(os.devnull)).open("rb") as source:
            start = time.perf_counter()
            with pinned(core):
                child = subprocess.Popen(
                    argv, stdin=source, stdout=out, stderr=err, env={**os.environ, **(env or {})}
                )
            status, usage, wall = _wait(child, start, memory if sample_memory else None)
        out.seek(0)
        err.seek(0)
        result = Run(
            wall, usage.ru_utime, usage.ru_stime, os.waitstatus_to_exitcode(status),
            out.read(), err.read(), tuple(memory),
        )  # fmt: skip
    if result.exit_code not in set(accept):
        tail = result.stderr.decode("utf-8", "replace")[-2000:]
        raise BenchError(f"{shlex.join(argv)}: exit code {result.exit_code}\n{tail}")
    return result


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Processes started within inherit this affinity; this process gets its own back."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait(
    child: subprocess.Popen[bytes], start: float, memory: list[MemorySample] | None
) -> tuple[int, struct_rusage, float]:
    """Wait for the child by wait4, so that its resource usage is its own."""
    try:
        done, status, usage = os.wait4(child.pid, 0 if memory is None else os.WNOHANG)
        while not done and memory is not None:
            seconds = time.perf_counter() - start
            sample = read_memory(child.pid, seconds)
            if sample is not None:
                memory.append(sample)
            time.sleep(1.0 / (EARLY_SAMPLE_HZ if seconds < EARLY_SECONDS else SAMPLE_HZ))
            done, status, usage = os.wait4(child.pid, os.WNOHANG)
    except BaseException:
        child.kill()
        child.wait()
        raise
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait again
    return status, usage, wall


def read_memory(pid: int | str, seconds: float) -> MemorySample | None:
    """Memory of a process ("self" for this one) now; nothing once it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended between two samples
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "RssAnon" not in fields:  # a zombie has no memory left
        return None
    return MemorySample(seconds, _kib(fields["RssAnon"]), _kib(fields["VmRSS"]))


def _kib(field: str) -> int:
    return int(field.split(maxsplit=1)[0]) * 1024


def scan_command(options: argparse.Namespace, backend: str | None, *words: str) -> list[str]:
    """`logagent scan` with these words: `--logagent`, else the script beside this Python."""
    argv = logagent_words(options.logagent)
    argv += ["scan", *(["--backend", backend] if backend else [])]
    argv += ["--bundle", str(options.bundle)] if options.bundle else []
    return [*argv, *words]


def logagent_words(chosen: str | None) -> list[str]:
    """How logagent is started: as chosen, else by the script beside this Python."""
    if chosen:
        return shlex.split(chosen)
    script = Path(sys.executable).with_name("logagent")
    if script.exists():
        return [str(script)]
    if importlib.util.find_spec("logagent") is not None:
        return [sys.executable, "-m", "logagent"]
    raise BenchError(
        "logagent is not installed beside this Python; "
        "run `uv sync` (or `pip install -e .`) and use that environment's python"
    )


def interleave(
    rounds: int, cases: Mapping[str, Callable[[], Item]]
) -> dict[str, list[Item]]:  # fmt: skip
    """Run all cases once per round, so that a slow minute of the machine hits them all."""
    samples: dict[str, list[Item]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            print(f"  round {number + 1}/{rounds}: {name}", file=sys.stderr, flush=True)
            samples[name].append(case())
    return samples


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value at or above the given share of the values (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]


def median(values: Iterable[float]) -> float:
    """The median of at least one value."""
    return statistics.median(list(values))


def last_core() -> int:
    """The highest core this process may use; core 0 tends to serve interrupts."""
    return max(os.sched_getaffinity(0))


def machine_facts() -> dict[str, Any]:
    """What a reader needs to judge a figure; no host name, no path."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "locale": os.environ.get("LC_ALL") or os.environ.get("LANG") or "C",
        "load_average": round(os.getloadavg()[0], 2),
        "libraries": {},
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    for library in LIBRARIES:
        try:
            facts["libraries"][library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):  # "Model" names an ARM board
            return value.strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    """The commit of the sources, with "+changes" when the work tree differs from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([git, *words], cwd=ROOT, capture_output=True, text=True, check=False)

    head = ask("rev-parse", "--short=12", "HEAD")
    if head.returncode != 0:
        return "unknown"
    changed = ask("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return head.stdout.strip() + ("+changes" if changed else "")


def public_command(argv: Sequence[str] | None = None) -> str:
    """This script's command line as a stranger would type it: no absolute path in it."""
    words = list(sys.argv if argv is None else argv)
    shown = ["python", f"bench/{Path(words[0]).name}"]
    for word in words[1:]:
        option, equals, value = word.partition("=")
        if option.startswith("-") and equals:
            shown.append(f"{option}={_public(value)}")
        else:
            shown.append(_public(word))
    return shlex.join(shown)


def _public(word: str) -> str:
    parts = []
    for part in word.split(" "):
        path = Path(part)
        if not path.is_absolute():
            parts.append(part)
        elif path.is_relative_to(ROOT):
            parts.append(str(path.relative_to(ROOT)))
        else:
            parts.append(path.name)
    return " ".join(parts)


def write_result(name: str, result: Mapping[str, Any], results: Path | None = None) -> Path:
    """Write bench/results/<name>.json: command, machine facts, then the result itself."""
    folder = results or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    record = {"name": name, "command": public_command(), "machine": machine_facts(), **result}
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(target)
    print(f"wrote bench/results/{target.name}" if results is None else f"wrote {target.name}")
    return target


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())


def common_arguments(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    """The options that all benchmarks have."""
    parser.add_argument("--work", type=Path, default=WORK, help="folder for generated logs")
    parser.add_argument("--rounds", type=int, default=rounds, help="samples of each figure")
    parser.add_argument("--core", type=int, default=last_core(), help="core to pin commands to")
    parser.add_argument("--logagent", help="command under test, instead of the installed one")
    parser.add_argument("--bundle", type=Path, help="model bundle, instead of the shipped one")
    parser.add_argument("--results", type=Path, help="folder for the result, for a trial run")


def main(entry: Callable[[], None]) -> None:
    """Run a benchmark; a reason not to run is one line on stderr and exit code 1."""
    try:
        entry()
    except BenchError as reason:
        print(f"{Path(sys.argv[0]).name}: {reason}", file=sys.stderr)
        raise SystemExit(1) from None
