"""Does the package do on a board what it does here? Proves it in an emulated Debian system.

    packaging/prove-arm64                         wheel, both backends
    packaging/prove-armhf                         wheel, numpy backend over Debian's numpy
    packaging/prove-arm64 --deb logagent.deb      the Debian package as well
    python3 packaging/prove_board.py amd64 --suite forky      another Python of this architecture

From nothing: the root is made, the wheel installed with pip, the example and the loghub samples are
scanned, and for a minute a log is followed through rotations and a kill -9. All verdicts must be
those of the same wheel here. The exit code is 0 when they are, 1 when not.

Needs root, mmdebstrap, and for another architecture qemu-user-static. Times are an emulator's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from board_follow import follow
from board_root import ARCHITECTURES, BoardError, chroot, emulation, make_root, mounted
from board_verdicts import compare_alerts, compare_scans, records

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
LEAN = ROOT / "packaging" / "lean.txt"
LOGHUB = ROOT.parent / "shared" / "data" / "loghub"
DEBIAN = ["python3", "python3-numpy", "python3-msgpack"]
PLATFORMS = {
    "arm64": [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 26, 17)],
    "amd64": [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 17)],
    "armhf": [f"manylinux_2_{minor}_armv7l" for minor in (31, 17)],
}
"""What pip calls the wheels that run in these roots; aarch64's are those of manylinux2014, too."""
Command = Callable[..., list[str]]


def _run(command: Sequence[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=None)
    if done.returncode:
        raise BoardError(f"{what}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this work tree."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    _run([*pip, str(ROOT)], "building the wheel")
    return next(folder.glob("logagent-*.whl"))


def wheelhouse(folder: Path, wheel: Path, architecture: str, python: str) -> list[str]:
    """Download what the wheel needs on a board; return how to install it there, for pip."""
    base = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "-d",
            str(folder), "--python-version", python, "-c", str(CONSTRAINTS)]  # fmt: skip
    for name in PLATFORMS[architecture]:
        base += ["--platform", name]
    shutil.copy(wheel, folder)
    _run([*base, "pip"], "downloading pip")
    if architecture != "armhf":
        _run([*base, f"logagent[onnxruntime] @ {wheel.as_uri()}"], "downloading wheels")
        return ["logagent[onnxruntime]"]
    # numpy and msgpack have no wheel for it: they are Debian's.
    names = [line for line in LEAN.read_text("utf-8").splitlines() if line and line[0] != "#"]
    wanted = [name for name in names if not name.startswith(("numpy", "msgpack"))]
    _run([*base, "--no-deps", *wanted], "downloading wheels")
    return ["--no-deps", "-r", "/work/lean.txt", "logagent"]


def samples(loghub: Path | None) -> dict[str, Path]:
    """Return the logs that are scanned: the example, and loghub's where it is."""
    logs = {"router.log": ROOT / "examples" / "router.log"}
    for log in sorted(loghub.glob("*/*_2k.log")) if loghub else []:
        logs[log.name] = log
    return logs


class Proof:
    """What is compared between here and there, and what came of it."""

    def __init__(self, here: Command, there: Command, work: Path, board: Path) -> None:
        self.here, self.there = here, there
        self._work, self._board = work, board
        self.wrong: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def scans(self, logs: dict[str, Path], backend: str, agent: str) -> None:
        """Scan every log on both sides; every line's score is compared, and the groups."""
        groups, lines, largest, seconds, wrong = 0, 0, 0.0, 0.0, []
        for name in logs:
            for form in ([], ["--all"]):
                asked = ["scan", "--format", "jsonl", "--backend", backend, *form, f"logs/{name}"]
                ours = records(_run(self.here("logagent", *asked), f"scan {name} here"))
                began = time.monotonic()
                theirs = records(_run(self.there(agent, *asked), f"scan {name} there"))
                seconds += time.monotonic() - began
                off, found = compare_scans(ours, theirs)
                largest = max(largest, off)
                wrong += [f"{name}: {one}" for one in found]
                if form:
                    lines += len(theirs)
                else:
                    groups += len(theirs)
        self._told(f"scan, {backend}, {agent}", wrong, logs=len(logs), lines=lines, groups=groups,
                   largest_score_difference=largest, seconds=round(seconds, 1))  # fmt: skip

    def follows(self, log: Path, seconds: float, agent: str) -> None:
        """Follow a log on both sides at the same time, through rotations and a kill."""
        lines = log.read_bytes().splitlines(keepends=True)
        asked = ["run", "follow/app.log", "--from-start", "--no-group", "--no-stdout",
                 "--backend", "numpy", "--jsonl", "follow/alerts.jsonl",
                 "--state-dir", "follow/state"]  # fmt: skip
        sides = (
            (self.here("logagent", *asked), self._work),
            (self.there(agent, *asked), self._board),
        )
        for _, folder in sides:
            shutil.rmtree(folder / "follow", ignore_errors=True)
            (folder / "follow").mkdir()
        with ThreadPoolExecutor() as both:
            ours, theirs = both.map(
                lambda side: follow(side[0], side[1] / "follow", lines, seconds), sides
            )
        largest, wrong = compare_alerts(records(ours.alerts), records(theirs.alerts))
        for name, side in (("here", ours), ("there", theirs)):
            if side.exit_code:
                wrong.append(f"the agent {name} ended with exit code {side.exit_code}")
        if not ours.alerts:
            wrong.append("no alert at all")
        alerts = {one["id"] for one in records(theirs.alerts)}
        self._told(f"run, {agent}", wrong, lines=len(lines), alerts=len(alerts),
                   repeated=len(records(theirs.alerts)) - len(alerts),
                   largest_score_difference=largest,
                   ready_seconds=[round(value, 1) for value in theirs.ready_seconds],
                   rss_anon_mib_emulated=round(theirs.rss_anon_bytes / 2**20, 1),
                   rss_anon_mib_here=round(ours.rss_anon_bytes / 2**20, 1))  # fmt: skip

    def _told(self, what: str, wrong: list[str], **facts: Any) -> None:
        self.wrong += [f"{what}: {one}" for one in wrong]
        self.rows.append({"what": what, "equal": not wrong, **facts})
        print(f"{what}: {'equal' if not wrong else 'NOT EQUAL'} {json.dumps(facts)}", flush=True)


def _prove(options: argparse.Namespace, work: Path) -> int:
    architecture, began = options.architecture, time.monotonic()
    board: Path = options.root or work / "root"
    wheel = options.wheel or build_wheel(work)
    print(f"{wheel.name} on {architecture}, {options.suite}", flush=True)
    with ExitStack() as stack:
        stack.enter_context(emulation(architecture))
        if not (board / "usr/bin").exists():
            make_root(
                board, architecture, options.suite, [*DEBIAN, *options.include], options.mirror
            )
            print(f"root made in {time.monotonic() - began:.0f} s", flush=True)
        stack.enter_context(mounted(board, architecture))
        inside = board / "work"
        shutil.rmtree(inside, ignore_errors=True)
        logs = samples(options.loghub)
        for folder in (work, inside):
            (folder / "logs").mkdir(parents=True)
            for name, log in logs.items():
                shutil.copyfile(log, folder / "logs" / name)

        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        python = _run(chroot(board, "python3", "-c", version), "Python there").strip()
        print(
            f"Python {python} there, {sys.version_info[0]}.{sys.version_info[1]} here", flush=True
        )
        (inside / "wheels").mkdir()
        shutil.copy(LEAN, inside / "lean.txt")
        wanted = wheelhouse(inside / "wheels", wheel, architecture, python)
        over = ["--system-site-packages"] if "--no-deps" in wanted else []
        shutil.rmtree(board / "opt/logagent", ignore_errors=True)
        # pip runs from its wheel: Debian's brings in packages whose set-up takes minutes when it is
        # emulated, and so does compiling what nobody will import.
        venv = ["-m", "venv", "--without-pip", *over, "/opt/logagent"]
        _run(chroot(board, "python3", *venv), "venv there")
        pip = [f"wheels/{next((inside / 'wheels').glob('pip-*.whl')).name}/pip", "install",
               "--no-index", "--no-compile", "--find-links", "wheels"]  # fmt: skip
        _run(chroot(board, "/opt/logagent/bin/python", *pip, *wanted), "pip install there")
        _run([sys.executable, "-m", "venv", str(work / "venv")], "venv here")
        _run([str(work / "venv/bin/pip"), "install", "--quiet", "-c", str(CONSTRAINTS),
              f"logagent[onnxruntime] @ {wheel.as_uri()}"], "pip install here")  # fmt: skip

        proof = Proof(
            lambda name, *rest: ["env", "-C", str(work), str(work / "venv/bin" / name), *rest],
            lambda name, *rest: chroot(board, name, *rest), work, inside,
        )  # fmt: skip
        agents = ["/opt/logagent/bin/logagent"]
        if options.deb:
            shutil.copy(options.deb, inside)
            _run(chroot(board, "apt-get", "update"), "apt-get update there")
            _run(chroot(board, "apt-get", "install", "-y", f"./{options.deb.name}"), "the .deb")
            agents.append("/usr/bin/logagent")
        for agent in agents:
            told = _run(chroot(board, agent, "model", "verify"), "model verify").strip()
            print(f"{agent}: {told}", flush=True)
            backends = ["numpy", "onnxruntime"] if "onnxruntime" in told else ["numpy"]
            for backend in backends:
                proof.scans(logs, backend, agent)
            log = logs.get("OpenSSH_2k.log", logs["router.log"])
            proof.follows(log, options.seconds, agent)
    minutes = (time.monotonic() - began) / 60
    print(f"{'NOT proven' if proof.wrong else 'proven'} in {minutes:.1f} minutes")
    for one in proof.wrong[:20]:
        print(f"  {one}")
    if options.results:
        facts = {"architecture": architecture, "suite": options.suite, "python": python,
                 "emulated": ARCHITECTURES[architecture], "wheel": wheel.name,
                 "minutes": round(minutes, 1), "rows": proof.rows,
                 "wrong": proof.wrong}  # fmt: skip
        options.results.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return 1 if proof.wrong else 0


def main() -> int:
    """Read the options and prove."""
    parser = argparse.ArgumentParser(description="Prove the package in an emulated Debian system.")
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--suite", default="bookworm", help="Debian's release")
    parser.add_argument("--wheel", type=Path, help="instead of the one of this work tree")
    parser.add_argument("--deb", type=Path, help="a Debian package to prove as well")
    parser.add_argument("--root", type=Path, help="where the system is, or is made and kept")
    parser.add_argument("--include", action="append", default=[], help="one more Debian package")
    parser.add_argument("--mirror", help="of Debian; without it that of this machine")
    parser.add_argument("--loghub", type=Path, default=LOGHUB if LOGHUB.exists() else None)
    parser.add_argument("--seconds", type=float, default=60, help="how long a log is followed")
    parser.add_argument("--results", type=Path, help="JSON file for what came of it")
    options = parser.parse_args()
    if options.wheel:
        options.wheel = options.wheel.resolve()
    # So that what was mounted and registered is taken away when someone ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with tempfile.TemporaryDirectory(prefix="logagent-board-") as work:
            return _prove(options, Path(work))
    except BoardError as error:
        print(f"not proven: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
