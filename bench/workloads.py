"""The logs that the benchmarks read: made from a seed, the same bytes every time.

    python bench/workloads.py                      all workloads in their standard size
    python bench/workloads.py mixed --bytes 10MB   one of them, cut at the first line end there
    python bench/workloads.py random --lines 10000
    python bench/workloads.py --list

| name      | lines come from                              | fresh in each copy            |
|-----------|----------------------------------------------|-------------------------------|
| mixed     | the 16 loghub samples, one after the other   | time stamps, process ids      |
| mixed_ids | the same                                     | every identifier as well      |
| openstack | the OpenStack sample                         | every identifier              |
| proxifier | the Proxifier sample                         | every identifier              |
| linux     | the Linux sample (syslog, for aminer)        | time stamps, process ids      |
| corpora   | this repository's corpora/*.tsv, third column| time stamps, process ids      |
| random    | words of a random vocabulary, no digits      | no two lines are equal        |

Guarantees: a file is complete when it has its name; a manifest beside it states recipe, seed,
size and SHA-256, and a file whose manifest matches is not made again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import string
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from freshen import Source, compile_line
from measure import ROOT, WORK, BenchError, main

RECIPE_VERSION = 1  # raise when the same seed gives other bytes, so that old files are remade
SEED = 20240304
MB = 1_000_000  # [bytes]
SYSTEMS = (
    "Android", "Apache", "BGL", "HDFS", "HPC", "Hadoop", "HealthApp", "Linux", "Mac", "OpenSSH",
    "OpenStack", "Proxifier", "Spark", "Thunderbird", "Windows", "Zookeeper",
)  # fmt: skip
VOCABULARY_WORDS = 20_000  # as many as a busy log has, and squared enough for all lines
WORDS_PER_LINE = (5, 12)
LETTERS_PER_WORD = (3, 10)
_NO_LOGHUB = (
    "the loghub samples are not here; clone https://github.com/logpai/loghub and name its folder "
    "by --loghub DIR or LOGAGENT_LOGHUB, or use this repository's own logs with --from-corpora"
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one workload is made."""

    systems: tuple[str, ...] = ()
    """Loghub samples, in order; none for corpora and random."""
    ids: bool = False
    """Whether every identifier is fresh, not only time stamps and process ids."""
    bytes_limit: int = 0
    """Standard size, ends at the first line end at or after it; 0 for none."""
    lines_limit: int = 0
    """Standard number of lines; 0 for none."""


RECIPES: dict[str, Recipe] = {
    "mixed": Recipe(SYSTEMS, bytes_limit=200 * MB),
    "mixed_ids": Recipe(SYSTEMS, ids=True, bytes_limit=200 * MB),
    "openstack": Recipe(("OpenStack",), ids=True, bytes_limit=100 * MB),
    "proxifier": Recipe(("Proxifier",), ids=True, bytes_limit=100 * MB),
    "linux": Recipe(("Linux",), bytes_limit=20 * MB),
    "corpora": Recipe(bytes_limit=200 * MB),
    "random": Recipe(lines_limit=1_000_000),
}


@dataclass(frozen=True, slots=True)
class Workload:
    """A finished file and what its manifest says about it."""

    path: Path
    name: str
    lines: int
    bytes: int
    sha256: str


def fresh_lines(sample: Sequence[bytes], *, ids: bool, seed: int) -> Iterator[bytes]:
    """The sample's lines over and over, without end, each copy with fresh values."""
    if not sample:
        raise BenchError("the sample has no lines")
    source = Source(seed)
    templates = [compile_line(line, ids=ids) for line in sample]
    while True:
        for template in templates:
            yield template.render(source)


def random_lines(seed: int) -> Iterator[bytes]:
    """Lines of random words, no two equal: their first two words number them.

    The number of a line is spread over the vocabulary by an affine map modulo its size
    squared, which is one to one; after that many lines the generator ends.
    """
    rng = random.Random(seed)
    words = vocabulary(rng)
    pairs = VOCABULARY_WORDS**2
    step = 2 * rng.randrange(pairs // 10, pairs // 2) + 1
    while step % 5 == 0:  # 20,000 = 2^5 x 5^4, so odd and not a multiple of five is coprime
        step += 2
    shortest, longest = WORDS_PER_LINE
    for number in range(pairs):
        first, second = divmod(number * step % pairs, VOCABULARY_WORDS)
        more = int(rng.random() * (longest - shortest + 1)) + shortest - 2
        yield b" ".join((words[first], words[second], *rng.choices(words, k=more)))


def vocabulary(rng: random.Random) -> list[bytes]:
    """VOCABULARY_WORDS different words."""
    words: dict[bytes, None] = {}
    while len(words) < VOCABULARY_WORDS:
        letters = rng.choices(string.ascii_lowercase, k=rng.randint(*LETTERS_PER_WORD))
        words["".join(letters).encode("ascii")] = None
    return list(words)


def find_loghub(chosen: Path | None) -> Path:
    """The folder of loghub: chosen, else LOGAGENT_LOGHUB, else beside the repository."""
    if chosen is None and os.environ.get("LOGAGENT_LOGHUB"):
        chosen = Path(os.environ["LOGAGENT_LOGHUB"])
    folder = chosen or ROOT.parent / "shared" / "data" / "loghub"
    if not folder.is_dir():
        raise BenchError(_NO_LOGHUB)
    return folder


def loghub_sample(folder: Path, system: str) -> list[bytes]:
    """The 2,000 lines of one system."""
    path = folder / system / f"{system}_2k.log"
    if not path.is_file():
        raise BenchError(f"{system}/{path.name} is missing there: {_NO_LOGHUB}")
    return path.read_bytes().splitlines()


def corpora_sample(folder: Path = ROOT / "corpora") -> list[bytes]:
    """The lines of this repository's own corpora, in the order of file names."""
    lines: list[bytes] = []
    for path in sorted(folder.glob("*.tsv")):
        for row in path.read_bytes().splitlines():
            columns = row.split(b"\t", 2)
            if len(columns) == 3 and columns[2] and not row.startswith(b"#"):
                lines.append(columns[2])
    return lines


def lines_of(name: str, *, seed: int, loghub: Path | None) -> Iterator[bytes]:
    """The endless stream of a workload's lines (random ends after 400 million)."""
    recipe = RECIPES[name]
    if name == "random":
        return random_lines(seed)
    if name == "corpora":
        return fresh_lines(corpora_sample(), ids=recipe.ids, seed=seed)
    folder = find_loghub(loghub)
    sample = [line for system in recipe.systems for line in loghub_sample(folder, system)]
    return fresh_lines(sample, ids=recipe.ids, seed=seed)


def cut(lines: Iterable[bytes], *, bytes_limit: int = 0, lines_limit: int = 0) -> Iterator[bytes]:
    """Blocks of whole lines until a limit is reached, whichever comes first."""
    source = iter(lines)
    if lines_limit:
        source = islice(source, lines_limit)
    total = 0
    while batch := list(islice(source, 4096)):
        block = b"\n".join(batch) + b"\n"
        if bytes_limit and total + len(block) >= bytes_limit:
            end = block.index(b"\n", max(0, bytes_limit - total - 1)) + 1
            yield block[:end]
            return
        total += len(block)
        yield block


def make(
    name: str,
    *,
    work: Path = WORK,
    seed: int = SEED,
    bytes_limit: int = 0,
    lines_limit: int = 0,
    loghub: Path | None = None,
) -> Workload:
    """The workload's file, made when it is not there yet; no limit means standard size."""
    recipe = RECIPES[name]
    if not bytes_limit and not lines_limit:
        bytes_limit, lines_limit = recipe.bytes_limit, recipe.lines_limit
    size = f"{lines_limit}-lines" if lines_limit else f"{bytes_limit}-bytes"
    path = work / f"{name}-{size}.log"
    wanted = {
        "name": name, "recipe": RECIPE_VERSION, "seed": seed, "bytes_limit": bytes_limit,
        "lines_limit": lines_limit, **asdict(recipe), "systems": list(recipe.systems),
    }  # fmt: skip
    if name == "corpora":  # which change as the repository grows; the loghub samples do not
        wanted["sample"] = hashlib.sha256(b"\n".join(corpora_sample())).hexdigest()
    manifest = path.with_suffix(".json")
    if path.exists() and manifest.exists():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if found.get("wanted") == wanted and found["bytes"] == path.stat().st_size:
            return Workload(path, name, found["lines"], found["bytes"], found["sha256"])
    lines = lines_of(name, seed=seed, loghub=loghub)
    work.mkdir(parents=True, exist_ok=True)
    print(f"making {path.name}", file=sys.stderr, flush=True)
    made = _write(path, cut(lines, bytes_limit=bytes_limit, lines_limit=lines_limit), name)
    facts = {"lines": made.lines, "bytes": made.bytes, "sha256": made.sha256}
    manifest.write_text(json.dumps({"wanted": wanted, **facts}, indent=1) + "\n", encoding="utf-8")
    return made


def _write(path: Path, blocks: Iterable[bytes], name: str) -> Workload:
    digest = hashlib.sha256()
    lines = size = 0
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as target:
        for block in blocks:
            target.write(block)
            digest.update(block)
            lines += block.count(b"\n")
            size += len(block)
    temporary.replace(path)
    return Workload(path, name, lines, size, digest.hexdigest())


def parse_bytes(text: str) -> int:
    """A size such as 10MB or 1GB, in powers of ten; a plain number is bytes."""
    match = re.fullmatch(r"(\d+)\s*([kMG]?)B?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 10MB or 1GB")
    return int(match[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[match[2]]


def source_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where log lines come from."""
    parser.add_argument("--loghub", type=Path, help="folder of the loghub samples")
    parser.add_argument(
        "--from-corpora", action="store_true", help="this repository's own logs instead of loghub"
    )
    parser.add_argument("--seed", type=int, default=SEED)


def _run() -> None:
    parser = argparse.ArgumentParser(description="Make the logs that the benchmarks read.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--bytes", type=parse_bytes, default=0, help="size, such as 10MB or 1GB")
    parser.add_argument("--lines", type=int, default=0, help="number of lines")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for the files")
    parser.add_argument("--list", action="store_true", help="list the workloads and end")
    source_arguments(parser)
    options = parser.parse_args()
    if options.list:
        print("\n".join(RECIPES))
        return
    offered = ["corpora", "random"] if options.from_corpora else list(RECIPES)
    names = options.names or offered
    for name in names:
        if name not in RECIPES:
            raise BenchError(f"no workload {name!r}; there are {', '.join(RECIPES)}")
        made = make(
            name, work=options.work, seed=options.seed, bytes_limit=options.bytes,
            lines_limit=options.lines, loghub=options.loghub,
        )  # fmt: skip
        print(f"{made.path.name}: {made.lines} lines, {made.bytes} bytes, {made.sha256[:16]}")


if __name__ == "__main__":
    main(_run)
