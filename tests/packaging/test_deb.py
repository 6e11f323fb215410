"""The Debian package: what it is made from agrees, it can be built, and what is in it is right."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import tokenizers
from logagent import __version__

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
DEBIAN = PACKAGING / "debian"
MAKE = PACKAGING / "make-deb"


def fields(text: str) -> dict[str, str]:
    """Read one paragraph of a control file, continued lines joined."""
    joined = re.sub(r"\n[ \t]+", " ", text.strip())
    return dict(line.split(": ", 1) for line in joined.splitlines())


def vendored() -> dict[str, tuple[str, int]]:
    """Return name → (version, number of hashes)."""
    text = (DEBIAN / "vendored.txt").read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {words[0].split("==")[0]: (words[0].split("==")[1], len(words) - 1) for words in lines}


def test_the_versions_taken_in_are_those_that_were_tested() -> None:
    tested = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text()))

    assert {"tokenizers", "typer", "annotated-doc"} == vendored().keys()
    assert {name: tested[name] for name in vendored()} == {
        name: version for name, (version, _) in vendored().items()
    }
    assert 3 == vendored()["tokenizers"][1]  # amd64, arm64, armhf


def test_what_the_agent_needs_comes_from_debian_or_is_taken_in() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=;\s]", each)[0] for each in project["dependencies"]}
    _, package = (DEBIAN / "control").read_text().split("\n\n", 1)
    told = fields(package)
    debian = re.findall(r"python3-([\w-]+)", told["Depends"] + told["Suggests"])

    assert needed <= {*debian, *vendored()}
    assert "onnxruntime" not in told["Depends"]  # Debian 12 has none
    assert not set(debian) & vendored().keys()


def test_the_architectures_are_those_of_the_wheels() -> None:
    _, package = (DEBIAN / "control").read_text().split("\n\n", 1)
    (listed,) = re.findall(r"declare -A platform=\((.*?)\)", MAKE.read_text())

    assert fields(package)["Architecture"].split() == re.findall(r"\[(\w+)\]", listed)


def test_the_launcher_finds_the_private_folder_first_and_nothing_of_the_user() -> None:
    lines = (DEBIAN / "launcher").read_text().splitlines()

    assert "#!/bin/sh" == lines[0]
    assert {"PYTHONPATH=/usr/lib/logagent", "PYTHONNOUSERSITE=1"} < set(lines)
    assert 'exec /usr/bin/python3 -P -m logagent "$@"' == lines[-1]


def test_purge_takes_the_state_that_the_unit_and_root_have() -> None:
    unit = (ROOT / "systemd" / "logagent.service").read_text()
    postrm = (DEBIAN / "logagent.postrm").read_text()

    assert "\nStateDirectory=logagent\n" in unit
    assert "rm -rf /var/lib/private/logagent /var/lib/logagent\n" in postrm
    assert postrm.index('if [ "$1" = purge ]') < postrm.index("rm -rf") < postrm.index("\nfi\n")


@pytest.mark.parametrize(
    ("arch", "name", "said"),
    [
        ("other", "x.abi3.so", "is not for"),
        ("own", "x.cpython-311.so", "is for one version of Python only"),
        ("own", "x.txt", "nothing compiled"),
        ("riscv64", "x.abi3.so", "no wheel for riscv64"),
    ],
)
def test_a_wrong_wheel_fails_the_build(tmp_path: Path, arch: str, name: str, said: str) -> None:
    machines = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
    own = machines.get(platform.machine())
    if shutil.which("readelf") is None or own is None:
        pytest.skip("no readelf, or no package for this machine")
    if arch in {"own", "other"}:
        arch = own if arch == "own" else next(each for each in machines.values() if each != own)
    compiled = Path(tokenizers.__file__).parent / "tokenizers.abi3.so"
    (tmp_path / "build").mkdir()
    shutil.copyfile(compiled, tmp_path / name)
    done = subprocess.run(
        [DEBIAN / "check-vendored", "."],
        cwd=tmp_path,
        env={**os.environ, "DEB_HOST_ARCH": arch},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 1 == done.returncode
    assert done.stderr.startswith("check-vendored: ")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["riscv64"], "no riscv64"),
        (["--revision", "1-2"], "--revision 1-2"),
        (["--reversion", "2"], "unknown option --reversion"),
    ],
)
def test_make_deb_says_what_it_does_not_do(arguments: list[str], said: str) -> None:
    if shutil.which("dpkg-architecture") is None:
        pytest.skip("dpkg-dev is not installed here")
    done = subprocess.run([MAKE, *arguments], capture_output=True, text=True, timeout=60)

    assert 1 == done.returncode
    assert done.stderr.startswith(f"make-deb: {said}")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package of this machine's architecture, or skip and say what is missing."""
    if shutil.which("dpkg-architecture") is None:
        pytest.skip("dpkg-dev is not installed here")
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: make-deb builds a commit")
    folder = tmp_path_factory.mktemp("deb")
    done = subprocess.run([MAKE, "--out", folder], capture_output=True, text=True, timeout=300)
    if "missing; run:" in done.stderr or "pip could not get" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert 0 == done.returncode, done.stderr
    (built,) = folder.glob("*.deb")
    return built


def asked(*command: object) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_the_package_is_small_and_of_this_version(package: Path) -> None:
    told = fields(asked("dpkg-deb", "-f", package, "Version", "Depends", "Installed-Size"))

    assert f"{__version__}-1" == told["Version"]
    assert package.stat().st_size < 5_000_000
    assert int(told["Installed-Size"]) < 16_000  # [KiB]
    assert not re.search(r"python3\.\d+|python3 \(<<", told["Depends"])  # any Python from 3.11 on


@pytest.mark.slow
def test_the_package_has_what_a_service_needs_and_no_more(package: Path) -> None:
    names = set(re.findall(r"(?m) \./(\S*[^/\s])$", asked("dpkg-deb", "-c", package)))

    assert {
        "etc/logagent/logagent.toml",
        "usr/bin/logagent",
        "usr/lib/logagent/logagent/data/default.bundle",
        "usr/lib/logagent/tokenizers/tokenizers.abi3.so",
        "usr/lib/systemd/system/logagent.service",
        "usr/share/doc/logagent/operations.md",
        "usr/share/man/man1/logagent-scan.1.gz",
        "usr/share/man/man5/logagent.toml.5.gz",
    } <= names
    modules = {name.split("/")[3] for name in names if name.startswith("usr/lib/logagent/")}
    assert {"logagent", "tokenizers", "typer", "annotated_doc"} == modules
    assert [] == [name for name in names if "__pycache__" in name or "/." in name]


@pytest.mark.slow
def test_lintian_has_nothing_against_it(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed here")
    done = subprocess.run(["lintian", package], capture_output=True, text=True, timeout=300)

    assert (0, "") == (done.returncode, done.stdout)
