"""What the combined labelling strategy costs and gives beside its two parents.

    python bench/combined.py [--data DIR] [--systems odd|even|all] [--json FILE] [--plot FILE]

No model is asked: every annotator here is a SIMULATION with stated errors. Two kinds of them:

* ``by template s``: `alpha.simulated`, 20 % of answers wrong, a share s of the lines with the
  error of their template. Evidence and asking again change nothing.
* ``helpful``, ``useless``, ``over``: `calibrate.simulated`, where prompts with evidence are
  answered otherwise. Lines of one template are read alike: the worst case for asking about several.

F1 counts lines. Ways: every line once; every template once; ALPHA (paper, belief); MaidLog's
calibration of all templates; the combined strategy with 1, 3 and 10 % of the lines as calls.
Seeds 10 to 14 and, by default, every second system; the method was made with the other half and
seeds 3 to 9. Its design was looked at on all sixteen.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from logagent_build.alpha import samples
from logagent_build.alpha.detectors import scores
from logagent_build.alpha.embeddings import MiniLM, embed, with_words
from logagent_build.alpha.loop import Settings as AlphaSettings
from logagent_build.alpha.loop import label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.simulated import ErrorModel
from logagent_build.alpha.simulated import Simulated as Plain
from logagent_build.calibrate.calibration import Calibration, Settings, run
from logagent_build.calibrate.combined import Combining, combine
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.queries import Query
from logagent_build.calibrate.simulated import MODES, Simulated, kinds

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(10, 15)
SHARES = (0.01, 0.03, 0.1)
ALPHA_SHARE = 0.03
ROUNDS = 12  # of the full calibration; its labels hardly change after
ANNOTATORS = ("by template 0", "by template 0.25", "by template 0.5", *MODES)


class Cached:
    """The encoder, each text once in a run of the benchmark."""

    name = MiniLM.name

    def __init__(self, cache: Path) -> None:
        self._encode = MiniLM()
        self._cache = cache
        self._known: dict[str, np.ndarray] = {}
        if cache.exists():
            kept = np.load(cache)
            self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts):
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._encode(new), strict=True))
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            np.savez(
                self._cache, texts=list(self._known), vectors=np.stack([*self._known.values()])
            )
        return np.stack([self._known[text] for text in texts])


class World:
    """The systems, their truth, and annotators of them."""

    def __init__(self, parts: list[samples.LabelledLines], cache: Path) -> None:
        encode = Cached(cache)
        self.entries = Entries.of({part.name: part.lines for part in parts}, encode)
        self.pools = [Pool.of(part.lines) for part in parts]
        self.truth = np.concatenate([part.truth for part in parts])
        offsets = np.cumsum([0] + [len(pool.templates) for pool in self.pools[:-1]])
        self.entry = np.concatenate(
            [pool.entry + start for pool, start in zip(self.pools, offsets, strict=True)]
        )
        self.lines = [shown(line) for part in parts for line in part.lines]
        self.whole = samples.joined("all", parts)
        self.pool = Pool.of(self.whole.lines)
        self.vectors = with_words(embed(self.pool.templates, encode), self.pool.templates)
        self._kinds = kinds(self.entries.vectors)

    def annotator(self, name: str, seed: int):
        truth = dict(zip(self.lines, self.truth.tolist(), strict=True))
        if name.startswith("by template"):
            plain = Plain(truth, ErrorModel(0.2, 0.2, float(name.rsplit(maxsplit=1)[-1])), seed)
            return lambda queries: plain([query.line for query in queries], ())
        first = [shown(line) for line in self.entries.lines]
        kind, vectors, stands = {}, {}, {}
        for line, at in zip(self.lines, self.entry.tolist(), strict=True):
            kind[line], vectors[line] = int(self._kinds[at]), self.entries.vectors[at]
            stands.setdefault(line, first[at])
        simulated = Simulated(truth, kind, vectors, MODES[name], seed)
        number: dict[str, int] = {}

        def ask(queries):  # another line of a template: the first, asked once more
            return simulated(
                [
                    dataclasses.replace(
                        query,
                        line=stands[query.line],
                        sample=query.sample
                        + (10 * (1 + number.setdefault(query.line, len(number)))
                           if stands[query.line] != query.line else 0),
                    )
                    for query in queries
                ]
            )  # fmt: skip

        return ask

    def f1(self, of_entries) -> float:
        return scores(np.asarray(of_entries, bool)[self.entry], self.truth).f1


def measure(world: World, name: str, seed: int) -> list[dict[str, Any]]:
    ask = world.annotator(name, seed)
    lines, n = len(world.lines), len(world.entries)
    rows: list[dict[str, Any]] = []

    def add(way: str, calls: int, f1: float, began: float, **more: Any) -> None:
        rows.append({"way": way, "calls": calls, "f1": f1, "s": time.monotonic() - began, **more})

    began = time.monotonic()
    said = np.array([bool(x.anomalous) for x in ask([Query(line) for line in world.lines])])
    add("every line once", lines, scores(said, world.truth).f1, began)
    began = time.monotonic()
    said = [bool(x.anomalous) for x in ask([Query(shown(x)) for x in world.entries.lines])]
    add("every template once", n, world.f1(said), began)
    for way in ("paper", "belief"):
        began = time.monotonic()
        calls = int(ALPHA_SHARE * lines)
        settings = AlphaSettings(calls, propagation=way, batch=max(25, calls // 10), seed=seed)
        found = label_pool(
            world.pool, world.vectors, lambda texts, _: ask([Query(x) for x in texts]), settings
        )
        add(f"ALPHA, {way}", found.calls, scores(found.of_lines, world.truth).f1, began)
    began = time.monotonic()
    calibration = Calibration(world.entries, Settings(rounds=ROUNDS, seed=seed))
    run(calibration, ask)
    add("full calibration", n + calibration.calls, world.f1(calibration.labels() >= 0.5), began)
    for share in SHARES:
        began = time.monotonic()
        got = combine(world.entries, ask, Combining(int(share * lines), seed=seed))
        expected = float((got.wrong * world.entries.count).sum()) / lines
        wrong = float((got.anomalous[world.entry] != world.truth).mean())
        add(f"combined, {share:.0%}", got.calls, world.f1(got.anomalous), began,
            expected_wrong=expected, wrong=wrong)  # fmt: skip
    return rows


def summed(rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    out = []
    for same in zip(*rows, strict=True):
        f1 = [row["f1"] for row in same]
        found = {
            "way": same[0]["way"],
            "calls": round(statistics.mean(row["calls"] for row in same)),
            "f1": round(statistics.mean(f1), 3),
            "f1_least": round(min(f1), 3),
            "f1_each": [round(x, 3) for x in f1],
            "seconds": round(statistics.mean(row["s"] for row in same), 1),
        }
        for key in ("expected_wrong", "wrong"):
            if key in same[0]:
                found[key] = round(statistics.mean(row[key] for row in same), 4)
        out.append(found)
    return out


def plot(found: dict[str, list[dict[str, Any]]], path: Path, lines: int) -> None:
    """Draw F1 against calls, a panel for each annotator."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(12, 7), sharey=True, layout="constrained")
    for panel, (name, rows) in zip(panels.flat, found.items(), strict=False):
        mine = [row for row in rows if row["way"].startswith("combined")]
        panel.plot([x["calls"] for x in mine], [x["f1"] for x in mine], "o-", label="combined")
        for row, mark in zip([x for x in rows if x not in mine], "s^vDP", strict=False):
            panel.plot(row["calls"], row["f1"], mark, label=row["way"])
        panel.set(xscale="log", xlabel=f"calls ({lines} lines)", ylabel="F1 of lines", title=name)
    panels.flat[0].legend(fontsize=8)
    figure.suptitle("Labels against calls. Simulated annotators, 20 % errors; no model was asked")
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--systems", choices=("odd", "even", "all"), default="odd")
    parser.add_argument("--annotators", default=",".join(ANNOTATORS))
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    parts = samples.read_samples(given.data, ROOT / "labels" / "loghub_llm.tsv")
    if not parts:
        sys.exit(f"{given.data}: no labelled data; give --data")
    parts = {"odd": parts[1::2], "even": parts[::2], "all": parts}[given.systems]
    began = time.monotonic()
    world = World(parts, given.cache / "bench-combined.npz")
    lines = len(world.lines)
    print(f"SIMULATION. {', '.join(part.name for part in parts)}: {lines} lines, "
          f"{len(world.entries)} templates, {world.truth.mean():.1%} anomalous\n")  # fmt: skip
    out: dict[str, Any] = {
        "simulation": True,
        "systems": [part.name for part in parts],
        "lines": lines,
        "templates": len(world.entries),
        "seeds": list(SEEDS[: given.seeds]),
        "annotators": {},
    }
    for name in given.annotators.split(","):
        rows = summed([measure(world, name, seed) for seed in SEEDS[: given.seeds]])
        out["annotators"][name] = rows
        print(f"## {name}\n\n| way | calls | of lines | F1 | least | wrong (expected) | s |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for row in rows:
            doubt = f"{row['wrong']:.2%} ({row['expected_wrong']:.2%})" if "wrong" in row else ""
            print(f"| {row['way']} | {row['calls']} | {row['calls'] / lines:.1%} | {row['f1']} "
                  f"| {row['f1_least']} | {doubt} | {row['seconds']} |")  # fmt: skip
        print(flush=True)
        out["seconds"] = round(time.monotonic() - began)
        if given.json:  # after each: what is there stays if the rest is stopped
            given.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
        if given.plot:
            plot(out["annotators"], given.plot, lines)
    print(f"{out['seconds']} s")


if __name__ == "__main__":
    main()
