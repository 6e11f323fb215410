"""What ALPHA's labels are worth, on the labelled lines that are there.

    python bench/alpha.py [--data DIR] [--only propagation,noise,detectors,size] [--results DIR]

Prints Markdown, and writes bench/results/alpha.json, part by part: parts that were not run stay.
Four parts, each with its target:

* propagation: representatives get their true labels; lines misclassified per 1,000;
* noise: a simulated annotator with 20 % errors; F1 of ALPHA's labels against labelling every
  line once;
* detectors: SVM and LR on propagated labels against true ones (the paper's Table III);
* size: 100,000 lines end to end, in time and memory.

The data: BGL and Thunderbird with experts' tags, and fourteen loghub systems with recorded labels
of a language model. `mix` draws 5,000 lines from all sixteen systems: far more kinds of lines than
the paper's one system has.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from logagent_build.alpha import samples, tables
from logagent_build.alpha.curves import known_labels, misclassified
from logagent_build.alpha.detectors import scores
from logagent_build.alpha.embeddings import MiniLM, embed, with_words
from logagent_build.alpha.loop import Settings, label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.simulated import ErrorModel, Simulated
from measure import RESULTS, machine_facts, public_command, write_result

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(10, 15)  # 0 to 2 were looked at while the method was made
SAMPLE = 5000
SHARE = 0.05  # of the lines, asked at most: the target's
MORE = 0.1
ABOUT = {
    "size": "time and memory; a simulated annotator, no model was asked",
    "propagation": "lines asked get their true labels; no model was asked",
    "figure_7a": "lines asked get their true labels; no model was asked",
    "noise": "a simulated annotator, wrong about 20 % of the lines; no model was asked",
    "detectors": "true labels, and a simulated annotator, wrong about 20 % of the lines",
}
PARTS = ("propagation", "noise", "detectors", "size")
RIGHT = ErrorModel()


class Cached:
    """The encoder, each text once in a run of the benchmark."""

    def __init__(self) -> None:
        self._encode = MiniLM()
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts):
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def drawn(parts: list[samples.LabelledLines]) -> dict[str, list[samples.LabelledLines]]:
    """Samples by name: experts' tags, the mix of all, and one without the largest of them."""
    everything = samples.joined("mix", parts)
    found = {"mix": [everything.sample(SAMPLE, seed) for seed in SEEDS]}
    experts = [part for part in parts if part.name in ("bgl", "thunderbird")]
    if experts:
        both = samples.joined("BGL + Thunderbird", experts)
        found[both.name] = [both.sample(SAMPLE, seed) for seed in SEEDS]
    return found


def labelled(encode, part, calls, errors, seed, **settings):
    pool = Pool.of(part.lines)
    vectors = with_words(embed(pool.templates, encode), pool.templates)
    who = Simulated(known_labels(part.lines, part.truth), errors, seed)
    return label_pool(pool, vectors, who, Settings(calls, seed=seed, **settings)), who


def propagation(encode, parts) -> list[dict[str, Any]]:
    out = []
    ways = (
        ("paper, m = 1", SHARE, {"propagation": "paper", "m": 1}),
        ("paper, m = 5", SHARE, {"propagation": "paper"}),
        ("belief", SHARE, {}),
        ("belief", MORE, {}),
    )
    for name, drawings in drawn(parts).items():
        for way, share, settings in ways:
            rows = []
            for seed, part in zip(SEEDS, drawings, strict=True):
                found, _ = labelled(
                    encode, part, int(share * len(part.lines)), RIGHT, seed, **settings
                )
                wrong = int((found.of_lines != part.truth).sum())
                rows.append((wrong, found.calls, len(part.lines), found.clustering.k))
            lines = rows[0][2]
            out.append(
                {
                    "sample": name,
                    "lines": lines,
                    "way": way,
                    "k": [row[3] for row in rows],
                    "asked": round(statistics.mean(row[1] for row in rows) / lines, 4),
                    "wrong": [row[0] for row in rows],
                    "wrong_per_1000": round(
                        1000 * statistics.mean(row[0] for row in rows) / lines, 2
                    ),
                }
            )
    return out


def noise(encode, parts) -> list[dict[str, Any]]:
    out = []
    for name, drawings in drawn(parts).items():
        for shared in (0.0, 0.25, 0.5):
            for way, settings in (("paper", {"propagation": "paper"}), ("belief", {})):
                once, mine, asked = [], [], []
                for seed, part in zip(SEEDS, drawings, strict=True):
                    calls = int(SHARE * len(part.lines))
                    errors = ErrorModel(0.2, 0.2, shared)
                    found, who = labelled(encode, part, calls, errors, seed, **settings)
                    every = [each.anomalous for each in who([shown(x) for x in part.lines], ())]
                    once.append(scores(np.array(every, bool), part.truth).f1)
                    mine.append(scores(found.of_lines, part.truth).f1)
                    asked.append(found.calls / len(part.lines))
                out.append(
                    {
                        "sample": name,
                        "by_template": shared,
                        "way": way,
                        "asked": round(statistics.mean(asked), 4),
                        "f1_every_line_once": round(statistics.mean(once), 3),
                        "f1_alpha": round(statistics.mean(mine), 3),
                        "gain": round(statistics.mean(mine) - statistics.mean(once), 3),
                    }
                )
    return out


def detectors(encode, parts) -> list[dict[str, Any]]:
    out = []
    for part in (samples.joined("mix", parts), *(p for p in parts if p.name == "bgl")):
        sets = tables.split(part, least=15)
        if sets is None:
            continue
        every = samples.joined("all", [sets.train, sets.imbalanced, sets.balanced])
        truth = known_labels(every.lines, every.truth)
        calls = max(20, int(SHARE * len(sets.train.lines)))
        rows = tables.compare(
            sets,
            encode,
            Simulated(truth, RIGHT),
            Simulated(truth, ErrorModel(0.2, 0.2, 0.0)),
            Settings(calls),
            name="ALPHA, simulated annotator, 20 % errors",
        )
        out += [
            {
                "sample": part.name,
                "train": len(sets.train.lines),
                "labels": row.source,
                "test": row.test,
                "model": row.model,
                "f1": round(row.f1, 4),
                "asked": row.asked,
            }
            for row in rows
        ]
    return out


def figure_7a(encode, parts) -> list[dict[str, Any]]:
    both = [part for part in parts if part.name in ("bgl", "thunderbird")]
    part = samples.joined("BGL + Thunderbird", both)
    truth = known_labels(part.lines, part.truth)
    right = Simulated(truth, RIGHT)
    curve = misclassified(
        part.lines, part.truth, (100, 500, 1000, 2000, 4000), encode, right, right, Settings(200)
    )
    return [
        {"lines": each.lines, "k": each.k, "nearest": each.nearest, "voted": each.voted,
         "belief": each.belief, "asked": each.calls}
        for each in curve
    ]  # fmt: skip


def size(data: Path, parts, lines: int = 100_000) -> dict[str, Any]:
    """One run of the whole command on 100,000 lines; memory is that of this process."""
    from logagent_build.alpha.command import Request, label_logs

    everything = samples.joined("mix", parts)
    rows = list(zip(everything.lines, everything.truth.tolist(), strict=True))
    more = data / "sequences" / "hdfs_lines_2pct.tsv.gz"
    if more.is_file():  # labels of sessions stand for those of lines: it is about size only
        import gzip

        with gzip.open(more, "rt", encoding="utf-8", errors="replace") as file:
            for row in file:
                cells = row.rstrip("\n").split("\t")
                if len(cells) >= 6 and cells[0] in "01":
                    rows.append((" ".join(cells[2:]).encode(), cells[0] == "1"))
                if len(rows) == lines:
                    break
    whole = [rows[at % len(rows)] for at in range(lines)]
    truth = {shown(line): label for line, label in whole}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "mix.log"
        log.write_bytes(b"\n".join(line.replace(b"\r", b" ") for line, _ in whole) + b"\n")
        truth |= {shown(line): label for line, label in
                  ((line.replace(b"\r", b" "), label) for line, label in whole)}  # fmt: skip
        began, computed = time.monotonic(), time.process_time()
        who = Simulated(truth, ErrorModel(0.2, 0.2, 0.0))
        record = label_logs(Request(log, Path(folder) / "out"), who, who.name)
    return {
        "lines": record["lines"],
        "templates": record["templates"],
        "asked": record["calls"],
        "clusters": record["clusters"],
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(time.process_time() - computed, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def keep(folder: Path | None, name: str, rows: object) -> None:
    """Write a part into the results; the other parts stay as they were."""
    path = (folder or RESULTS) / "alpha.json"
    before = json.loads(path.read_text("utf-8"))["parts"] if path.is_file() else {}
    today = time.strftime("%Y-%m-%d", time.gmtime())
    part = {
        "of": ABOUT[name],
        "command": public_command(),
        "measured": today,
        "load_average": machine_facts()["load_average"],
        "rows": rows,
    }
    write_result("alpha", {"parts": before | {name: part}}, folder)


def table(rows: list[dict[str, Any]]) -> str:
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [", ".join(map(str, x)) if isinstance(x, list) else str(x) for x in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--results", type=Path, help="write the results elsewhere")
    given = parser.parse_args()
    wanted = given.only.split(",")
    parts = samples.read_samples(given.data, ROOT / "labels" / "loghub_llm.tsv")
    if not parts:
        sys.exit(f"{given.data}: no labelled data; give --data")
    encode = Cached()
    if "size" in wanted:  # first: the peak of memory is to be its own
        rows = size(given.data, parts)
        print("## 100,000 lines end to end\n\n" + table([rows]), flush=True)
        keep(given.results, "size", rows)
    if "propagation" in wanted:
        rows = propagation(encode, parts)
        print("## Propagation of true labels\n\n" + table(rows), flush=True)
        keep(given.results, "propagation", rows)
        rows = figure_7a(encode, parts)
        print("## Fig. 7a, true labels\n\n" + table(rows), flush=True)
        keep(given.results, "figure_7a", rows)
    if "noise" in wanted:
        rows = noise(encode, parts)
        title = "## Simulated annotator, 20 % errors (a simulation)\n\n"
        print(title + table(rows), flush=True)
        keep(given.results, "noise", rows)
    if "detectors" in wanted:
        rows = detectors(encode, parts)
        print("## Detectors (Table III)\n\n" + table(rows), flush=True)
        keep(given.results, "detectors", rows)


if __name__ == "__main__":
    main()
