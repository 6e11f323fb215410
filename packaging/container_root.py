"""A Containerfile carried out in a folder, and what comes of it run as a container would be.

Guarantees: every step of the recipe is done, in its order, in a root folder of its own for each
stage; what runs afterwards is the recipe's user, as process 1, in a read-only root, with its
environment, and without network or capabilities.
Leaves to others: where base images come from.

Needs root. The caller has a mount namespace of its own, which takes all mounts away when it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from containerfile import Copy, Recipe, Run, Stage

__all__ = ["Base", "Container", "ContainerError", "build"]

Base = Callable[[str, Path], None]
"""Makes a base image of a name in a folder that does not exist yet."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LENT = Path("run/lent")
"""Where what only the building needs lies in a root: this machine's certificates and names."""


class ContainerError(Exception):
    """The recipe cannot be carried out here, or it failed; the message says why."""


def build(recipe: Recipe, context: Path, folder: Path, base: Base, wheels: Path | None) -> Path:
    """Carry a recipe out below `folder`; return the root of its image.

    Args:
        recipe: what to do.
        context: where COPY finds files.
        folder: gets a root per stage.
        base: makes base images.
        wheels: what pip may install, where there is no network; None: the index.

    Raises:
        ContainerError: a step failed.
    """
    images: dict[str, Path] = {}
    root = folder
    for number, stage in enumerate(recipe.stages):
        root = folder / f"stage-{number}"
        origin = images.get(stage.base)
        if origin is None:
            origin = folder / "image"
            if not origin.exists():
                base(stage.base, origin)
        _call("cp", "-a", "--reflink=auto", str(origin), str(root))
        _lend(root, wheels)
        try:
            for step in stage.steps:
                if isinstance(step, Run):
                    _run(root, step, wheels)
                else:
                    _copy(root, step, context, images)
        finally:
            _take_back(root)
        if stage.name:
            images[stage.name] = root
    return root


class Container:
    """The image of a recipe with its mounts: a state volume, logs, a place for temporary files."""

    def __init__(self, root: Path, image: Stage, folder: Path) -> None:
        """Mount `root` read-only below `folder`.

        Raises:
            ContainerError: it cannot be mounted.
        """
        self.image = image
        self.root = folder / "mounted"
        self.logs = folder / "logs"
        self.volume = folder / "volume"
        passwd = {
            line.split(":")[2]: line.split(":")
            for line in (root / "etc/passwd").read_text("utf-8").splitlines()
        }
        entry = passwd[image.user or "0"]
        groups = [
            line.split(":")[2]
            for line in (root / "etc/group").read_text("utf-8").splitlines()
            if entry[0] in line.split(":")[3].split(",")
        ]
        self.user = f"{entry[2]}:{entry[3]}"
        self.groups = ",".join([entry[3], *groups])
        for one in (self.root, self.logs):
            one.mkdir(parents=True)
        # An engine fills a new volume with what the image has at that place, owner included.
        (where,) = image.volumes
        _call("cp", "-a", str(root / where.lstrip("/")), str(self.volume))
        _call("mount", "--bind", str(root), str(self.root))
        self._mounted = [self.root]
        _call("mount", "-o", "remount,bind,ro", str(self.root))
        self._mount("-t", "tmpfs", "-o", "size=16m,mode=1777", "tmpfs", to="/tmp")  # noqa: S108 - of the container
        self._mount("-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", to="/dev")
        for name in ("null", "zero", "random", "urandom"):
            (self.root / "dev" / name).touch()
            self._mount("--bind", f"/dev/{name}", to=f"/dev/{name}")
        self._mount("--bind", str(self.volume), to=where)
        self._mount("--bind", str(self.logs), to="/var/log")
        self._mount("-o", "remount,bind,ro", to="/var/log")

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs a command in it, as process 1, without network."""
        environment = {"PATH": _PATH, "HOME": "/", **self.image.environment}
        pairs = [f"{name}={value}" for name, value in environment.items()]
        inside = ["chroot", f"--userspec={self.user}", f"--groups={self.groups}", str(self.root)]
        return [
            "unshare", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child",
            f"--mount-proc={self.root}/proc", "setpriv", "--no-new-privs",
            *inside, "env", "-i", *pairs, *words,
        ]  # fmt: skip

    def close(self) -> None:
        """Unmount all of it, so that the folder can be removed."""
        for target in reversed(self._mounted):
            subprocess.run(["umount", "--lazy", str(target)], check=False)
        self._mounted.clear()

    def _mount(self, *how: str, to: str) -> None:
        target = self.root / to.lstrip("/")
        _call("mount", *how, str(target))
        if target not in self._mounted:
            self._mounted.append(target)


def _run(root: Path, step: Run, wheels: Path | None) -> None:
    environment = {"PATH": _PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    environment |= {"TMPDIR": "/tmp"}  # noqa: S108 - of the root
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        if name in os.environ:
            environment[name] = os.environ[name]
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    if wheels is not None:
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"/{_LENT}/wheels"}
    elif (root / _LENT / "authorities.pem").exists():
        environment["PIP_CERT"] = f"/{_LENT}/authorities.pem"
    environment |= dict(step.environment)
    pairs = [f"{name}={value}" for name, value in environment.items()]
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc",
         "chroot", str(root), "env", "-i", *pairs, "/bin/sh", "-c",
         step.script],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        told = (done.stdout + done.stderr)[-2000:]
        raise ContainerError(f"RUN {step.script}\nexit code {done.returncode}: {told}")


def _copy(root: Path, step: Copy, context: Path, images: Mapping[str, Path]) -> None:
    target = root / step.target.lstrip("/")
    where = context if step.stage is None else images[step.stage]
    for pattern in step.sources:
        found = sorted(where.glob(pattern.lstrip("/")))
        if not found:
            raise ContainerError(f"COPY: nothing is {pattern}")
        for source in found:
            if step.target.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                _call("cp", "-a", str(source), str(target / source.name))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _call("cp", "-aT", str(source), str(target))


def _lend(root: Path, wheels: Path | None) -> None:
    lent = root / _LENT
    lent.mkdir(parents=True)
    if wheels is not None:
        shutil.copytree(wheels, lent / "wheels")
    for name in ("resolv.conf", "hosts"):
        own = root / "etc" / name
        if own.exists() or own.is_symlink():
            own.rename(lent / name)
        shutil.copyfile(f"/etc/{name}", own)
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        shutil.copyfile(authorities, lent / "authorities.pem")


def _take_back(root: Path) -> None:
    for name in ("resolv.conf", "hosts"):
        own = root / "etc" / name
        own.unlink(missing_ok=True)
        if (root / _LENT / name).exists():
            (root / _LENT / name).rename(own)
    shutil.rmtree(root / _LENT)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContainerError(f"{' '.join(command)}: {done.stderr.strip()}")
