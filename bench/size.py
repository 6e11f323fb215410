"""What an installation weighs: the wheel, the bundle in it, and everything it needs at run time.

    python bench/size.py

The wheel is built into a temporary folder. The installed size is that of the files which the
packages' own records name, in the environment of this Python: logagent's run-time dependencies
and theirs, without extras, as pip resolves them on this platform. Byte code is left out: it is
made after the installation, and not everywhere.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from measure import ROOT, BenchError, main, print_table, write_result
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MB = 1_000_000  # [bytes]
LARGEST = 10  # files of the wheel that are listed
BUILDERS = (
    [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"],
    [sys.executable, "-m", "build", "--wheel", "--outdir"],
    ["uv", "build", "--wheel", "--out-dir"],
)  # in this order, as the first needs no network


def build_wheel(folder: Path) -> Path:
    """The wheel of this work tree."""
    reasons = []
    for builder in BUILDERS:
        try:
            done = subprocess.run(
                [*builder, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            reasons.append(f"{builder[0]}: not installed")
            continue
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        reasons.append(f"{' '.join(builder[1:3])}: {done.stderr.strip()[-300:]}")
    raise BenchError("the wheel could not be built:\n" + "\n".join(reasons))


def wheel_facts(wheel: Path) -> dict[str, Any]:
    """Sizes of a wheel, packed and unpacked, and of the bundle and the largest files in it."""
    with zipfile.ZipFile(wheel) as archive:
        files = [one for one in archive.infolist() if not one.is_dir()]
    largest = sorted(files, key=lambda one: one.file_size, reverse=True)[:LARGEST]
    return {
        "file": wheel.name,
        "bytes": wheel.stat().st_size,
        "unpacked_bytes": sum(one.file_size for one in files),
        "files": len(files),
        "bundles": {one.filename: one.file_size for one in files if _is_bundle(one.filename)},
        "largest": [[one.filename, one.file_size] for one in largest],
    }


def _is_bundle(name: str) -> bool:
    return name.endswith((".bundle", ".msgpack")) or "/bundles/" in name


def closure(requirements: list[str]) -> dict[str, dict[str, Any]]:
    """Every distribution that these requirements bring in, with its version and size."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [(text, "") for text in requirements]
    while waiting:
        text, extra = waiting.pop()
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        if name in found and not wanted.extras:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise BenchError(f"{name} is needed but not installed here") from None
        found[name] = {"version": distribution.version, "bytes": installed_bytes(distribution)}
        for extra_wanted in ("", *wanted.extras):
            waiting += [(text, extra_wanted) for text in distribution.requires or []]
    return dict(sorted(found.items()))


def installed_bytes(distribution: importlib.metadata.Distribution) -> int:
    """The size of the files that a distribution's record names, byte code left out."""
    total = 0
    for file in distribution.files or []:
        path = Path(str(file.locate()))
        if path.suffix != ".pyc" and path.is_file():
            total += path.stat().st_size
    return total


def _run() -> None:
    parser = argparse.ArgumentParser(description="What an installation weighs.")
    parser.add_argument("--results", type=Path, help="folder for the result, for a trial run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheel_facts(build_wheel(Path(folder)))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs: list[str] = project["dependencies"]
    closures = {
        "with onnxruntime": closure([*needs, *project["optional-dependencies"]["onnxruntime"]]),
        "numpy backend only": closure(needs),
    }
    rows = [["wheel, packed", f"{wheel['bytes'] / MB:.2f}"]]
    rows.append(["wheel, unpacked", f"{wheel['unpacked_bytes'] / MB:.2f}"])
    rows += [[f"  {name}", f"{size / MB:.2f}"] for name, size in wheel["bundles"].items()]
    totals = {}
    for name, packages in closures.items():
        totals[name] = sum(one["bytes"] for one in packages.values()) + wheel["unpacked_bytes"]
        rows.append([f"installed, {name}", f"{totals[name] / MB:.1f}"])
    for name, one in closures["with onnxruntime"].items():
        rows.append([f"  {name} {one['version']}", f"{one['bytes'] / MB:.1f}"])
    print_table(("what", "MB"), rows)
    result = {"wheel": wheel, "installed_bytes": totals, "closures": closures}
    write_result("size", result, options.results)


if __name__ == "__main__":
    main(_run)
