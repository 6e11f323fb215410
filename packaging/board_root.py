"""A Debian system of another architecture in a folder, and programs run in it.

Guarantees: the handler that lets this kernel start the other architecture's programs is registered
under a name of its own and taken away again; one that was there before is left alone. What is
mounted in the folder is unmounted, also after an error.
Leaves to others: what is installed there and what is run.

Needs root, mmdebstrap and, for another architecture than the machine's, qemu-user-static.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["ARCHITECTURES", "BoardError", "chroot", "emulation", "make_root", "mounted"]

BINFMT = Path("/proc/sys/fs/binfmt_misc")
HANDLERS = Path("/usr/lib/binfmt.d")  # what qemu-user-static installs, in the kernel's own form
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "arm"}
"""Debian's name to qemu's."""


_CORE = """\
BogoMIPS\t: 108.00
Features\t: half thumb vfp neon vfpv3 tls vfpv4 idiva idivt vfpd32 fp asimd crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
"""A core of a Raspberry Pi 4, as /proc/cpuinfo there shows it to programs of both word sizes."""


class BoardError(Exception):
    """The proof cannot be made here, or it failed; the message says why."""


@contextmanager
def emulation(architecture: str) -> Iterator[None]:
    """Let this kernel start programs of an architecture (Debian's name) while within.

    Raises:
        BoardError: the user may not, or qemu-user-static is not installed.
    """
    machine = ARCHITECTURES[architecture]
    if machine == platform.machine():
        yield
        return
    handler = HANDLERS / f"qemu-{machine}.conf"
    if not handler.exists() or os.geteuid() != 0:
        raise BoardError(f"{architecture}: needs root and the package qemu-user-static")
    if not (BINFMT / "register").exists():
        _command("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    name = f"logagent-{machine}-{os.getpid()}"
    # The flag F in it opens qemu now, so that it need not be in the folder.
    line = handler.read_text("ascii").strip().replace(f":qemu-{machine}:", f":{name}:", 1)
    (BINFMT / "register").write_text(line, "ascii")
    try:
        yield
    finally:
        (BINFMT / name).write_text("-1", "ascii")


def make_root(
    folder: Path, architecture: str, suite: str, packages: Sequence[str], mirror: str | None
) -> None:
    """Install a Debian system into an empty or missing folder, with its maintainer scripts.

    Args:
        folder: where; it must not exist or be empty.
        architecture: Debian's name of it.
        suite: bookworm, trixie, …
        packages: those to install beyond apt and what it needs.
        mirror: address of a Debian mirror; none takes that of this machine's apt.

    Raises:
        BoardError: mmdebstrap is missing or failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise BoardError("needs the package mmdebstrap")
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".log")
    source = f"deb {mirror or _mirror()} {suite} main"
    with log.open("wb") as told:
        done = subprocess.run(
            # The check looks for a handler under qemu's own name.
            ["mmdebstrap", "--mode=root", "--skip=check/qemu", "--variant=apt",
             f"--architectures={architecture}", f"--include={','.join(packages)}",
             # A mirror of a testing release may lag; signatures are checked all the same.
             "--aptopt=Acquire::Check-Valid-Until false",
             suite, str(folder), source],
            stdout=told, stderr=told, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if done.returncode:
        raise BoardError(f"mmdebstrap failed: {log.read_text('utf-8', 'replace')[-1500:]}")


def _mirror() -> str:
    """Return the first mirror that this machine's apt uses, else Debian's."""
    told = ""
    with suppress(OSError):
        told = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN) $(SITE)", "Created-By: Packages"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
    sites = [line.split()[1] for line in told.splitlines() if line.startswith("Debian ")]
    return next((site for site in sites if "security" not in site), "http://deb.debian.org/debian")


@contextmanager
def mounted(folder: Path, architecture: str) -> Iterator[None]:
    """Have /proc in the folder while within, as programs expect it; mmdebstrap made /dev.

    /sys and /proc/cpuinfo would be those of this machine's processor, and onnxruntime for arm64,
    which looks into both, crashes on them. It is shown a board's instead.

    Raises:
        BoardError: it cannot be mounted.
    """
    mounts = [(["-t", "proc", "proc"], "proc")]
    if ARCHITECTURES[architecture] != platform.machine():
        mounts.append((["--bind", str(_pretend_board(folder))], "proc/cpuinfo"))
    done: list[Path] = []
    try:
        for how, where in mounts:
            _command("mount", *how, str(folder / where))
            done.append(folder / where)
        yield
    finally:
        for target in reversed(done):
            subprocess.run(["umount", "--lazy", str(target)], check=False)


def _pretend_board(folder: Path) -> Path:
    """Write what a board's kernel would tell of its processor; return what /proc/cpuinfo shows."""
    processors = folder / "sys/devices/system/cpu"
    processors.mkdir(parents=True, exist_ok=True)
    for name in ("present", "possible"):
        (processors / name).write_text("0-3\n", "ascii")
    board = folder / "etc/cpuinfo"
    board.write_text("".join(f"processor\t: {number}\n{_CORE}\n" for number in range(4)), "ascii")
    return board


def chroot(folder: Path, *command: str) -> list[str]:
    """Return the command line that runs a command in the folder, as root, with a plain environment.

    It starts in /work of the folder. The process keeps its id from the start to the command, so it
    can be signalled.
    """
    environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
    inside = ["/bin/sh", "-c", 'cd /work && exec "$@"', "sh", *command]
    return ["env", "-i", *environment, "chroot", str(folder), *inside]


def _command(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BoardError(f"{' '.join(command)}: {done.stderr.strip()}")
