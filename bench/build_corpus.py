"""Makes a folder of logs of any number of lines for `build_scale.py`, and their labels.

    python bench/build_corpus.py DIR --lines 10000000 [--data ../shared/data] [--seed 0]

DIR/logs has one sub-folder a system: the 16 loghub samples and the raw HDFS lines of
`sequences/hdfs_lines_2pct.tsv.gz`, each repeated until it has its share. Each copy of a line is
made anew, so that de-duplication has work to do:

* every time stamp, process id, identifier and number is a fresh one (`freshen.py`);
* a host's name is one of `HOSTS` of its system, where the sample has one;
* in one line of `FREE_TEXT` a word is replaced by one that was never seen, as names of users and
  files are: each such line is a template of its own, so 10 million lines have some 100,000.

A system's lines lie in three files, the oldest compressed. DIR/labels.tsv has labels of a line of
every template that this knows of: those of the repository by EventId (all but BGL and
Thunderbird), alert tags (those two), and for the lines of `sequences/` those of the HDFS sample
with the same template, else normal. A copy has the label of its original.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import re
import string
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from freshen import Source, Template, compile_line
from logagent.normalise import templates
from measure import ROOT, BenchError, main
from workloads import SYSTEMS

HOSTS = 6  # of each system
FREE_TEXT = 100  # lines
SPLITS = (0.4, 0.8, 1.0)  # of a system's lines: end of the compressed file, of the old, of the new
_HOST = re.compile(
    rb"\b(?:combo|LabSZ|tbird-\w+|[a-z]n\d{2,3}|node-[DR]?\d+|calvisitor[-\d]*"
    rb"|authorMacBook-Pro|mesos-slave-\d+|MININT\w*)\b"
)
_WORD = re.compile(rb"(?<![\w.@/])[a-z]{4,12}(?![\w.@/])")


class Line:
    """One sample line, ready to be made again."""

    def __init__(self, text: bytes, label: int, hosts: list[bytes]) -> None:
        self.label = label
        self.forms: list[Template] = [
            compile_line(_HOST.sub(host, text), ids=True) for host in hosts
        ] if _HOST.search(text) else [compile_line(text, ids=True)]  # fmt: skip
        self.told = [False] * len(self.forms)


def samples(data: Path) -> Iterator[tuple[str, list[tuple[bytes, int]]]]:
    """Yield each system with its sample lines and their labels."""
    by_event: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (ROOT / "labels" / "loghub_llm.tsv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            mean = (int(row["label_explicit"]) + int(row["label_operator"])) / 2
            by_event[row["domain"]][row["event_id"]].append(mean)
    hdfs: dict[bytes, int] = {}
    for name in SYSTEMS:
        folder = data / "loghub" / name
        log = next(folder.glob("*.log"), None)
        if log is None:
            raise BenchError(f"no loghub sample of {name} below --data")
        lines = [line for line in log.read_bytes().replace(b"\r\n", b"\n").split(b"\n") if line]
        if name in ("BGL", "Thunderbird"):
            split = [line.partition(b" ") for line in lines]
            yield name, [(rest, int(tag != b"-")) for tag, _, rest in split]
            continue
        structured = next(folder.glob("*structured*.csv"))
        with structured.open(newline="", encoding="utf-8", errors="replace") as file:
            events = [row["EventId"] for row in csv.DictReader(file)]
        rows = []
        for line, event in zip(lines, events, strict=False):
            votes = by_event[name].get(event, [0.0])
            rows.append((line, int(sum(votes) / len(votes) >= 0.5)))
        if name == "HDFS":
            masked = templates([line for line, _ in rows]).templates
            hdfs = {key: label for key, (_, label) in zip(masked, rows, strict=True)}
        yield name, rows
    path = data / "sequences" / "hdfs_lines_2pct.tsv.gz"
    found = []
    with gzip.open(path, "rb") as file:
        for row in file:
            _, _, when, level, component, text = row.rstrip(b"\n").split(b"\t", 5)
            day, clock = when.split(b" ")
            stamp = day[2:].replace(b"-", b"") + b" " + clock.replace(b":", b"")
            found.append(stamp + b" 143 " + level + b" " + component + b" " + text)
    masked = []
    for at in range(0, len(found), 20_000):
        masked += templates(found[at : at + 20_000]).templates
    rows = [(line, hdfs.get(key, 0)) for line, key in zip(found, masked, strict=True)]
    yield "HDFS-sessions", rows[::5]  # 44,516 of 222,579 forms: each takes a millisecond to make


def make(target: Path, lines: int, data: Path, seed: int) -> None:
    """Write the folder, or leave it as it is if it is there whole."""
    done = target / f"done-{lines}-{seed}"
    if done.exists():
        return
    rng = random.Random(seed)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 8))) for _ in range(64)]
    labels: list[tuple[int, bytes]] = []
    everything = list(samples(data))
    shares = [1] * len(SYSTEMS) + [4]
    for (name, rows), share in zip(everything, shares, strict=True):
        hosts = [f"{word}".encode() for word in rng.sample(words, HOSTS)]
        forms = [Line(text, label, hosts) for text, label in rows]
        write(target / "logs" / name, forms, lines * share // sum(shares), rng, labels)
    table = b"".join(b"%d\t%b\n" % row for row in labels)
    (target / "labels.tsv").write_bytes(table)
    done.touch()


def write(
    folder: Path, forms: list[Line], lines: int, rng: random.Random, labels: list[tuple[int, bytes]]
) -> None:
    """Write one system's logs; add a labelled line for each template."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Source(rng.randrange(1 << 30))
    names = [folder / "app.log.2.gz", folder / "app.log.1", folder / "app.log"]
    written = 0
    for name, share in zip(names, SPLITS, strict=True):
        opened = gzip.open(name, "wb", 1) if name.suffix == ".gz" else name.open("wb")  # noqa: SIM115  # below
        with opened as file:
            batch = []
            while written < int(lines * share):
                form = forms[written % len(forms)]
                host = rng.randrange(len(form.forms))
                line = form.forms[host].render(source)
                if rng.randrange(FREE_TEXT) == 0:
                    line = _strange(line, rng)
                    labels.append((form.label, line))
                elif not form.told[host]:
                    form.told[host] = True
                    labels.append((form.label, line))
                batch.append(line)
                written += 1
                if len(batch) == 10_000:
                    file.write(b"\n".join(batch) + b"\n")
                    batch.clear()
            if batch:
                file.write(b"\n".join(batch) + b"\n")


def _strange(line: bytes, rng: random.Random) -> bytes:
    """Replace a word of the second half by one that nobody has seen."""
    found = list(_WORD.finditer(line, len(line) // 3))
    if not found:
        return line
    place = rng.choice(found)
    word = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(6, 12))).encode()
    return line[: place.start()] + word + line[place.end() :]


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("target", type=Path, metavar="DIR")
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    make(options.target, options.lines, options.data, options.seed)


if __name__ == "__main__":
    main(_main)
