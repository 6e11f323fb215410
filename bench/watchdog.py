"""Does systemd kill and restart the agent when its loop hangs, and does its sandbox let it work?

Starts a systemd of its own, as PID 1 of new namespaces, with the unit of systemd/ and a service in
place of `logagent run` that scores a line on both backends, tries what the sandbox must refuse,
says READY=1 and WATCHDOG=1 with `logagent.service.notify`, and then stops itself (SIGSTOP), as
good as a loop that hangs. Prints what the service found, what systemd said, and how long it took.

Needs root, systemd, util-linux and a cgroup hierarchy of version 2; installs nothing. The memory
and processor limits of the unit are not exercised: the hierarchy may have no controllers.

    python bench/watchdog.py
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

INSIDE = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/bench && mount --bind "$WORK" /run/bench
mount --bind "$CONSOLE" /dev/console
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$UPPER,workdir=$BELOW" /etc
echo "a line" > /var/log/bench.log && chgrp adm /var/log/bench.log && chmod 640 /var/log/bench.log
mkdir -p /etc/logagent && chmod 777 /etc/logagent
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys
exec env -i container=bench PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/bench/units \
  "$SYSTEMD" --system --log-target=console --log-level=info --show-status=no --log-color=no
"""


def main() -> int:
    systemd = next(filter(os.path.exists, SYSTEMD), None)
    hierarchy = next((each for each in CGROUPS if (each / "cgroup.controllers").exists()), None)
    if os.geteuid() or systemd is None or hierarchy is None or shutil.which("unshare") is None:
        print("needs root, systemd, unshare and cgroups of version 2", file=sys.stderr)
        return 2
    group = hierarchy / "logagent-bench"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        work.chmod(0o755)
        write_units(work)
        group.mkdir(exist_ok=True)
        try:
            return run(work, group, systemd)
        finally:
            for folder, _, _ in os.walk(group, topdown=False):
                remove(folder)


def write_units(work: Path) -> None:
    """Write the unit under test, its drop-in, and targets that hold nothing else."""
    units = work / "units"
    units.mkdir()
    for target in TARGETS:
        wants = "Wants=logagent.service\n" if target == "default" else ""
        (units / f"{target}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}")
    shutil.copy(ROOT / "systemd" / "logagent.service", units)
    (work / "service.py").write_text(SERVICE)
    # The interpreter may live below /root, which ProtectHome=yes hides.
    paths = {sys.prefix, sys.base_prefix, str(ROOT)} - {"/usr"}
    shown = "\n".join(f"BindReadOnlyPaths={each}" for each in sorted(paths))
    drop_in = units / "logagent.service.d"
    drop_in.mkdir()
    (drop_in / "bench.conf").write_text(
        "[Service]\n"
        f"ExecStart=\nExecStart={sys.executable} /run/bench/service.py\n"
        f"Environment=PYTHONPATH={ROOT / 'agent'} OPENBLAS_NUM_THREADS=1\n"
        f"WatchdogSec={WATCHDOG_SECONDS}\nRestartSec=100ms\n"
        f"ProtectHome=tmpfs\n{shown}\n"
        "StandardOutput=append:/run/bench/output\nStandardError=append:/run/bench/output\n"
    )


def run(work: Path, group: Path, systemd: str) -> int:
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
    output = work / "output"
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
            if told.count("ready ") > RESTARTS or "Error" in told:
                break
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
    print(told)
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
    sys.exit(main())
