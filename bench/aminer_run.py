"""aminer (logdata-anomaly-miner) over a syslog file, without installing it.

    python bench/aminer_run.py FILE --lines 20000 100000

Fetches the Debian packages with `apt-get download` into the work folder, unpacks them with
`dpkg -x` into a temporary folder, and runs the parent and its child as Debian ships them, in
offline mode, pinned to one core. The configuration is the one of a careful user: a parser for
time, host, program, process id and message; detectors for new parser paths, for new program
names and for the entropy of the message.

aminer needs about five seconds to start, so a speed is the slope between two prefixes of the
file. Needs Linux, root (aminer drops to `nobody` and insists on it) and Debian's apt; where
one of them is missing, `prepare` raises with the reason and the benchmarks leave aminer out.
"""

from __future__ import annotations

import argparse
import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from measure import WORK, BenchError, last_core, main, run

PACKAGES = (
    "logdata-anomaly-miner", "python3-cerberus", "python3-tz", "python3-yaml", "python3-pylibacl",
    "python3-pkg-resources", "python3-dateutil", "python3-six",
)  # fmt: skip
LIBRARY = "usr/lib/logdata-anomaly-miner"
INSTALLED_PATH = "'/usr/lib/logdata-anomaly-miner'"  # what aminer.py puts on its module path
INTERPRETER = "/usr/bin/python3"  # the one that the packages' compiled modules are for
USER = "nobody"
PREFIXES = (20_000, 100_000)  # [lines] far enough apart that start-up cancels out
_CONFIG = """\
LearnMode: True
AminerUser: '{user}'
AminerGroup: '{group}'
Core.PersistenceDir: '{folder}/state'
Core.LogDir: '{folder}/log'
LogResourceList: ['file://{log}']
Parser:
  - {{id: time, type: DateTimeModelElement, name: time, date_format: '%b %d %H:%M:%S'}}
  - {{id: sp, type: FixedDataModelElement, name: sp, args: ' '}}
  - {{id: host, type: DelimitedDataModelElement, name: host, delimiter: ' '}}
  - {{id: sp2, type: FixedDataModelElement, name: sp2, args: ' '}}
  - {{id: progp, type: DelimitedDataModelElement, name: prog, delimiter: '['}}
  - {{id: lb, type: FixedDataModelElement, name: lb, args: '['}}
  - {{id: pid, type: DecimalIntegerValueModelElement, name: pid}}
  - {{id: rb, type: FixedDataModelElement, name: rb, args: ']: '}}
  - {{id: msg1, type: AnyByteDataModelElement, name: msg}}
  - {{id: withpid, type: SequenceModelElement, name: p, args: [progp, lb, pid, rb, msg1]}}
  - {{id: progn, type: DelimitedDataModelElement, name: prog, delimiter: ':'}}
  - {{id: colon, type: FixedDataModelElement, name: colon, args: ': '}}
  - {{id: msg2, type: AnyByteDataModelElement, name: msg}}
  - {{id: nopid, type: SequenceModelElement, name: n, args: [progn, colon, msg2]}}
  - {{id: tag, type: FirstMatchModelElement, name: tag, args: [withpid, nopid]}}
  - {{id: START, start: True, type: SequenceModelElement, name: model,
     args: [time, sp, host, sp2, tag]}}
Input: {{timestamp_paths: "/model/time"}}
Analysis:
  - {{type: NewMatchPathDetector, learn_mode: True}}
  - {{type: NewMatchPathValueDetector, paths: ["/model/tag/p/prog"], learn_mode: True,
     persistence_id: p}}
  - {{type: NewMatchPathValueDetector, paths: ["/model/tag/n/prog"], learn_mode: True,
     persistence_id: n}}
  - {{type: EntropyDetector, paths: ["/model/tag/p/msg"], prob_thresh: 0.05, learn_mode: True,
     persistence_id: e}}
EventHandlers: [{{id: stpe, json: true, type: StreamPrinterEventHandler}}]
"""


@dataclass(frozen=True, slots=True)
class Aminer:
    """An unpacked aminer, ready to run."""

    version: str
    folder: Path
    """Holds the modules; may be read by everyone, as the child runs as another user."""

    def command(self, config: Path) -> list[str]:
        """The command that follows logs as configured."""
        return [str(self.folder / "root" / LIBRARY / "aminer.py"), "--config", str(config)]


@contextmanager
def prepare(work: Path = WORK) -> Iterator[Aminer]:
    """Fetch once, unpack into a temporary folder that is gone afterwards."""
    if os.geteuid() != 0:
        raise BenchError("aminer: needs root, it starts as root and drops to another user")
    missing = [tool for tool in ("apt-get", "dpkg", "dpkg-deb") if shutil.which(tool) is None]
    if missing or not Path(INTERPRETER).exists():
        raise BenchError(f"aminer: no {', '.join(missing) or INTERPRETER}, so not a Debian system")
    packages = _fetch(work / "aminer")
    with tempfile.TemporaryDirectory(prefix="bench-aminer-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        for package in packages:
            _call("dpkg", "-x", str(package), str(folder / "root"))
        library = folder / "root" / LIBRARY
        for module in (folder / "root/usr/lib/python3/dist-packages").iterdir():
            (library / module.name).symlink_to(module)
        start = library / "aminer.py"
        text = start.read_text(encoding="utf-8")
        if INSTALLED_PATH not in text:
            raise BenchError("aminer: this version sets its module path in another way")
        start.write_text(text.replace(INSTALLED_PATH, repr(str(library))), encoding="utf-8")
        shown = _call("dpkg-deb", "-f", str(packages[0]), "Version")
        yield Aminer(shown.strip(), folder)


def _fetch(folder: Path) -> list[Path]:
    """The packages, downloaded when they are not there; the first is aminer itself."""
    folder.mkdir(parents=True, exist_ok=True)

    def found() -> list[Path]:
        return [path for name in PACKAGES for path in sorted(folder.glob(f"{name}_*.deb"))[-1:]]

    if len(found()) < len(PACKAGES):
        try:
            _call("apt-get", "download", *PACKAGES, cwd=folder)
        except BenchError as reason:
            raise BenchError(f"{reason}\naminer: `apt-get update` may help") from None
    if len(found()) < len(PACKAGES):
        raise BenchError("aminer: not all of its packages could be downloaded")
    return found()


def _call(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv[:2])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def configure(template: str, folder: Path, log: Path, **more: str) -> Path:
    """Write a configuration, and make the folders it names if they are not there."""
    user = pwd.getpwnam(USER)
    for name in ("state", "log"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        os.chown(folder / name, user.pw_uid, user.pw_gid)
    group = grp.getgrgid(user.pw_gid).gr_name
    config = folder / "bench.yml"
    text = template.format(user=USER, group=group, folder=folder, log=log, **more)
    config.write_text(text, encoding="utf-8")
    config.chmod(0o644)
    return config


def time_prefix(aminer: Aminer, log: Path, lines: int, core: int | None) -> dict[str, float]:
    """One run over the first lines of a log, learning from nothing."""
    with tempfile.TemporaryDirectory(prefix="bench-aminer-run-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        prefix = folder / "prefix.log"
        with log.open("rb") as source, prefix.open("wb") as target:
            target.writelines(islice(source, lines))
        prefix.chmod(0o644)
        config = configure(_CONFIG, folder, prefix)
        done = run([*aminer.command(config), "--offline-mode"], core=core)
        return {
            "lines": lines,
            "wall_seconds": done.wall_seconds,
            "cpu_seconds": done.user_seconds + done.system_seconds,  # parent and child
            "events": done.stdout.count(b'"AnalysisComponent"'),
        }


def slope(samples: Sequence[dict[str, float]], clock: str = "wall_seconds") -> float:
    """Lines per second between the shortest and the longest prefix, by one of the clocks."""
    first = min(samples, key=lambda sample: sample["lines"])
    last = max(samples, key=lambda sample: sample["lines"])
    return (last["lines"] - first["lines"]) / (last[clock] - first[clock])


def _run() -> None:
    parser = argparse.ArgumentParser(description="Lines per second of aminer over a syslog file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--lines", type=int, nargs=2, default=PREFIXES, help="two prefixes")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--core", type=int, default=last_core())
    options = parser.parse_args()
    with prepare(options.work) as aminer:
        samples = []
        for lines in options.lines:
            print(f"aminer {aminer.version}: {lines} lines", file=sys.stderr, flush=True)
            samples.append(time_prefix(aminer, options.file, lines, options.core))
    figures = {"version": aminer.version, "samples": samples, "lines_per_second": slope(samples)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(_run)
