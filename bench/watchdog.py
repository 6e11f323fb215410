"""Does systemd kill and restart the agent when its loop hangs, and does its sandbox let it work?

Starts a systemd of its own, as PID 1 of new namespaces, with the unit of systemd/ and a service in
place of `logagent run` that scores a line on both backends, tries what the sandbox must refuse,
says READY=1 and WATCHDOG=1 with `logagent.service.notify`, and then stops itself (SIGSTOP), as
good as a loop that hangs. Prints what the service found, what systemd said, and how long it took.

Then the same with `logagent run` itself as the unit starts it, beside a driver that writes lines,
stops the agent (SIGSTOP), kills it (SIGKILL), rotates the log meanwhile and reloads it: every line
must be told, in the sandbox, by a service that came back each time.

Needs root, systemd, util-linux and a cgroup hierarchy of version 2; installs nothing. The memory
and processor limits of the unit are not exercised: the hierarchy may have no controllers.

    python bench/watchdog.py [sandbox|agent]
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WATCHDOG_SECONDS = 3
RESTARTS = 2
DEADLINE_SECONDS = 60
SYSTEMD = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
TARGETS = ("default", "sysinit", "basic", "shutdown", "multi-user", "umount")

SERVICE = r"""
import json, os, signal, socket, subprocess, sys, time
from logagent.service.notify import Notifier

notifier = Notifier.from_environment()
first = not os.path.exists(os.environ["STATE_DIRECTORY"] + "/started")


def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return error.strerror
    return "ALLOWED"


def write_and_run():
    import mmap

    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


found = {"uid": os.getuid(), "state": os.environ["STATE_DIRECTORY"]}
if first:
    from logagent.bundle import DEFAULT_BUNDLE, Bundle
    from logagent.scorer import Scorer

    bundle = Bundle.load(DEFAULT_BUNDLE)
    line = b"kernel: Out of memory: Killed process"
    for backend in ("numpy", "onnxruntime"):
        found[backend] = round(float(Scorer(bundle, backend).scores([line])[0]), 3)
    found["a log of group adm"] = open("/var/log/bench.log").read().strip()
    done = subprocess.run(["journalctl", "--version"], capture_output=True)
    found["exit code of journalctl"] = done.returncode
    import ctypes  # inotify is called through it

    found["inotify"] = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC) >= 0
    found["write to /var/log"] = refused(lambda: open("/var/log/x", "w"))
    found["write to /etc/logagent"] = refused(lambda: open("/etc/logagent/x", "w"))
    found["internet socket"] = refused(lambda: socket.socket(socket.AF_INET))
    found["writable code"] = refused(write_and_run)
    found["raise priority"] = refused(lambda: os.nice(-1))
    open(os.environ["STATE_DIRECTORY"] + "/started", "w").close()
print("found " + json.dumps(found), flush=True)
notifier.ready("following")
print(f"ready {time.monotonic()}", flush=True)
for _ in range(3):
    notifier.watchdog()
    time.sleep(0.2)
print(f"hangs {time.monotonic()}", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""

DRIVER = r"""
import json, os, pathlib, re, signal, time

log, output = pathlib.Path("/var/log/app.log"), pathlib.Path("/run/bench/output")
told = open("/run/bench/driver", "w", buffering=1)


def agent():
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit() and b"logagent.service" in (folder / "cmdline").read_bytes():
            return int(folder.name)
    return 0


def told_of(number):
    return f"seq={number:06d}" in (output.read_text() if output.exists() else "")


def write(number):
    with log.open("a") as file:
        line = f"kernel: Out of memory: Killed process {number} (app) seq={number:06d}"
        file.write(f"Nov 22 12:00:00 host {line}\n")


def until(what, seconds=30):
    stop = time.monotonic() + seconds
    while not what() and time.monotonic() < stop:
        time.sleep(0.02)
    return what()


def step(name, act, number):
    began, old = time.monotonic(), agent()
    act(old)
    write(number)
    good = until(lambda: told_of(number))
    same = agent() == old
    print(json.dumps({"step": name, "told": good, "same process": same,
                      "seconds": round(time.monotonic() - began, 3)}), file=told)


until(lambda: log.exists() and agent() and "watching" in output.read_text())
step("written", lambda pid: None, 1)
step("SIGHUP", lambda pid: os.kill(pid, signal.SIGHUP), 2)
step("rotated", lambda pid: (write(31), log.rename("/var/log/app.log.1")), 3)
step("SIGKILL", lambda pid: os.kill(pid, signal.SIGKILL), 4)
step("SIGKILL, rotated while down", lambda pid: (
    os.kill(pid, signal.SIGKILL), write(51), log.rename("/var/log/app.log.2")), 5)
step("hung (SIGSTOP)", lambda pid: os.kill(pid, signal.SIGSTOP), 6)
missing = [number for number in (1, 2, 31, 3, 4, 51, 5, 6) if not told_of(number)]
status = os.popen("{python} -P -m logagent status --state-dir /var/lib/logagent --json").read()
private = json.loads(status)["memory"]["rss_anon_bytes"] if status else None
print(json.dumps({"missing": missing, "rss_anon_bytes": private}), file=told)
print("end", file=told)
"""

INSIDE = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/bench && mount --bind "$WORK" /run/bench
mount --bind "$CONSOLE" /dev/console
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$UPPER,workdir=$BELOW" /etc
touch /var/log/app.log && chgrp adm /var/log/app.log && chmod 640 /var/log/app.log
echo "a line" > /var/log/bench.log && chgrp adm /var/log/bench.log && chmod 640 /var/log/bench.log
mkdir -p /etc/logagent && chmod 777 /etc/logagent
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys
exec env -i container=bench PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/bench/units \
  "$SYSTEMD" --system --log-target=console --log-level=info --show-status=no --log-color=no
"""


def main(arguments: list[str]) -> int:
    systemd = next(filter(os.path.exists, SYSTEMD), None)
    hierarchy = next((each for each in CGROUPS if (each / "cgroup.controllers").exists()), None)
    if os.geteuid() or systemd is None or hierarchy is None or shutil.which("unshare") is None:
        print("needs root, systemd, unshare and cgroups of version 2", file=sys.stderr)
        return 2
    group = hierarchy / "logagent-bench"
    results = [
        trial(each, group, systemd)
        for each in ("sandbox", "agent")
        if each in arguments or not arguments
    ]
    return max(results)


def trial(scenario: str, group: Path, systemd: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        work.chmod(0o755)
        write_units(work, scenario)
        group.mkdir(exist_ok=True)
        try:
            return run(work, group, systemd, scenario)
        finally:
            for folder, _, _ in os.walk(group, topdown=False):
                remove(folder)


def write_units(work: Path, scenario: str) -> None:
    """Write the unit under test, its drop-in, and targets that hold nothing else."""
    units = work / "units"
    units.mkdir()
    for target in TARGETS:
        wants = "Wants=logagent.service driver.service\n" if target == "default" else ""
        (units / f"{target}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}")
    shutil.copy(ROOT / "systemd" / "logagent.service", units)
    (work / "service.py").write_text(SERVICE)
    command = f"{sys.executable} /run/bench/service.py"
    if scenario == "agent":
        command = f"{sys.executable} -P -m logagent run --format jsonl --no-group"
        (work / "driver.py").write_text(DRIVER.replace("{python}", sys.executable))
        (units / "driver.service").write_text(
            "[Unit]\nDefaultDependencies=no\n"
            f"[Service]\nType=exec\nExecStart={sys.executable} /run/bench/driver.py\n"
            f"Environment=PYTHONPATH={ROOT / 'agent'}\n"
            "StandardError=append:/run/bench/driver-errors\n"
        )
    # The interpreter may live below /root, which ProtectHome=yes hides.
    paths = {sys.prefix, sys.base_prefix, str(ROOT)} - {"/usr"}
    shown = "\n".join(f"BindReadOnlyPaths={each}" for each in sorted(paths))
    drop_in = units / "logagent.service.d"
    drop_in.mkdir()
    (drop_in / "bench.conf").write_text(
        "[Service]\n"
        f"ExecStart=\nExecStart={command}\n"
        f"Environment=PYTHONPATH={ROOT / 'agent'} OPENBLAS_NUM_THREADS=1\n"
        f"WatchdogSec={WATCHDOG_SECONDS}\nRestartSec=100ms\n"
        f"ProtectHome=tmpfs\n{shown}\n"
        "StandardOutput=append:/run/bench/output\nStandardError=append:/run/bench/output\n"
    )


def run(work: Path, group: Path, systemd: str, scenario: str) -> int:
    master, slave = pty.openpty()
    for each in ("upper", "below"):
        (work / each).mkdir()
    environment = {
        **os.environ,
        "WORK": str(work),
        "CONSOLE": os.ttyname(slave),
        "SYSTEMD": systemd,
        "UPPER": str(work / "upper"),
        "BELOW": str(work / "below"),
    }
    command = ["unshare", "--kill-child=KILL", "--fork", "--pid", "--mount", "--mount-proc"]
    command += ["--cgroup", "--uts", "--ipc", "--net", "bash", "-c", INSIDE]
    # Enter the cgroup first: it becomes the root of the one the new systemd sees.
    join = f'echo $$ > {shlex.quote(str(group))}/cgroup.procs && exec "$@"'
    command = ["bash", "-c", join, "bash", *command]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    os.set_blocking(master, False)
    said = b""
    timeouts = 0
    output = work / ("output" if scenario == "sandbox" else "driver")
    until = time.monotonic() + DEADLINE_SECONDS
    try:
        while time.monotonic() < until and process.poll() is None:
            try:
                said += os.read(master, 65536)
            except BlockingIOError:
                time.sleep(0.05)
            *lines, said = said.split(b"\n")
            for line in lines:
                print(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line.decode(errors="replace")))
                timeouts += b"Watchdog timeout" in line
            told = output.read_text() if output.exists() else ""
            if told.count("ready ") > RESTARTS or "Error" in told or told.endswith("end\n"):
                break
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    print(told)
    if scenario == "agent":
        for each in ("driver-errors", "output"):
            if not told.endswith("end\n") and (work / each).exists():
                print((work / each).read_text()[-3000:])
        return 0 if '"missing": []' in told and timeouts else 1
    ready = [float(each) for each in re.findall(r"^ready (.*)", told, re.MULTILINE)]
    hangs = [float(each) for each in re.findall(r"^hangs (.*)", told, re.MULTILINE)]
    away = [round(back - gone, 2) for gone, back in zip(hangs, ready[1:], strict=False)]
    print(json.dumps({"watchdog_timeouts": timeouts, "hang_to_ready_seconds": away}))
    return 0 if len(away) >= RESTARTS and timeouts >= RESTARTS else 1


def remove(folder: str, seconds: float = 5.0) -> None:
    """Remove a cgroup; it is busy until the last process in it is gone."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
