"""What MaidLog's calibration makes of labels, asked of a simulated annotator.

    python bench/calibration.py [--data DIR] [--only quality,stopping,prompts,detector] [--json F]

Prints Markdown. No language model is asked: whoever answers is `calibrate.simulated`, whose error
model its docstring states; a fifth of its plain answers are wrong, a fifth of the lines read as
their kind is. The lines: BGL and Thunderbird with experts' tags, fourteen loghub systems with a
language model's recorded labels; each template is an entry. Four parts:

* quality: labels before and after 42 rounds, candidates and support, calls (Fig. 5, Table III);
* stopping: what the stopping rule loses against the best round, in modes that do harm and do not;
* prompts: what each kind of evidence repairs and breaks, and the labels without it (Table IV);
* detector: trained on calibrated and on initial labels, scored on systems left out.

Seeds 0 and 1 were looked at while the method was made; the figures are of others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from logagent.normalise import templates
from logagent_build.alpha import samples
from logagent_build.alpha.embeddings import MiniLM
from logagent_build.alpha.pool import shown
from logagent_build.calibrate import simulated
from logagent_build.calibrate.calibration import Calibration, Settings, run
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.evidence import KINDS, Evidence
from logagent_build.calibrate.stopping import Rule
from logagent_build.corpora import Domain
from logagent_build.evaluate import auroc
from logagent_build.maidlog_detector import Settings as Training
from logagent_build.maidlog_detector import cells, fit
from logagent_build.splits import folds

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(10, 15)
HARMFUL = ("over", "corrupting")
ROUNDS = 42
PARTS = ("quality", "stopping", "prompts", "detector")
FOLDS = 5  # of systems left out together, a stand-in for leaving out one at a time
FEWEST = 5  # entries of either class a left-out system needs for an AUROC
EPOCHS, BATCH = 10, 200  # of the detector, each entry once; docs/maidlog.md has 60 and all lines


class Kept:
    """The encoder, each text once and for all."""

    name = MiniLM.name

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encode = MiniLM()
        self._known: dict[str, np.ndarray] = {}
        if path.exists():
            with np.load(path) as held:
                self._known = dict(zip(held["texts"].tolist(), held["vectors"], strict=True))

    def __call__(self, texts):
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= dict(zip(new, self._encode(new), strict=True))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            known = np.array(list(self._known))
            np.savez(self._path, texts=known, vectors=np.stack(list(self._known.values())))
        return np.stack([self._known[text] for text in texts])


def entries_of(data: Path, cache: Path) -> tuple[Entries, np.ndarray]:
    parts = samples.read_samples(data, ROOT / "labels" / "loghub_llm.tsv")
    if not parts:
        raise SystemExit(f"no labelled lines in {data}; give the folder with --data")
    found = Entries.of({part.name: part.lines for part in parts}, Kept(cache))
    truth = []
    for part in parts:
        masked = templates(part.lines).templates
        number = {key: at for at, key in enumerate(dict.fromkeys(masked))}
        of = np.array([number[key] for key in masked])
        truth.append(np.bincount(of, part.truth) / np.bincount(of) >= 0.5)
    return found, np.concatenate(truth)


class Asked:
    """Entries, their truth, and the kinds the simulation misreads together."""

    def __init__(self, entries: Entries, truth: np.ndarray) -> None:
        self.entries, self.truth = entries, truth
        self.lines = [shown(line) for line in entries.lines]
        self.kind = simulated.kinds(entries.vectors).tolist()

    def calibrated(self, errors, seed, **settings) -> Calibration:
        ask = simulated.Simulated(
            dict(zip(self.lines, self.truth.tolist(), strict=True)),
            dict(zip(self.lines, self.kind, strict=True)),
            dict(zip(self.lines, self.entries.vectors, strict=True)),
            errors,
            seed,
        )
        given = {"rounds": ROUNDS, "stopping": None, "seed": seed} | settings
        made = Calibration(self.entries, Settings(**given), self.truth)
        run(made, ask)
        return made


def summary(made: Calibration) -> dict[str, Any]:
    rows = made.rounds
    first, last = rows[0].quality, rows[-1].quality
    asked = rows[1:]
    return {
        "seed": made.settings.seed,
        "one_shot": vars_of(first),
        "calibrated": vars_of(last),
        "best_f1": max(row.quality.f1 for row in rows),
        "candidates_wrong": round(
            sum(r.candidates_wrong * r.asked for r in asked) / sum(r.asked for r in asked), 4
        ),
        "support_wrong": round(
            sum(r.support_wrong * r.support for r in asked) / sum(r.support for r in asked), 4
        ),
        "calls": made.calls,
        "calls_share": round(made.calls / len(made.entries), 3),
    }


def vars_of(found) -> dict[str, float]:
    return {name: round(getattr(found, name), 4) for name in found.__slots__}


def stopped(made: Calibration) -> dict[str, Any]:
    """Where the rule would have ended an endless run, and what its labels are worth."""
    rule = Rule()
    signals = [row.signal for row in made.rounds]
    ends = next((n for n in range(1, len(signals) + 1) if rule.ends(signals[:n])), len(signals))
    taken = rule.best(signals[:ends])
    f1 = [row.quality.f1 for row in made.rounds]
    return {
        "seed": made.settings.seed,
        "ended_after": ends - 1,
        "taken": taken,
        "f1_taken": round(f1[taken], 4),
        "best_round": int(np.argmax(f1)),
        "f1_best": round(max(f1), 4),
        "f1_last": round(f1[-1], 4),
        "lost": round(max(f1) - f1[taken], 4),
        "calls_spared": sum(row.asked for row in made.rounds[ends:]),
    }


def domains(entries: Entries, soft: np.ndarray, but: list[int]) -> list[Domain]:
    found = []
    for number, name in enumerate(entries.names):
        of = np.flatnonzero(entries.domain == number)
        if number in but:
            continue
        labels = soft[of].astype(np.float32)
        found.append(
            Domain(
                name,
                "calibrated",
                [entries.templates[at] for at in of],
                labels,
                np.ones(len(of), np.int64),
                labels[None],
                np.full(len(of), -1, np.int8),
            )
        )
    return found


def left_out(entries: Entries, truth: np.ndarray, soft: np.ndarray, seed: int) -> dict[str, float]:
    """AUROC, by entries, on each system of detectors that have not seen it; see `splits.folds`."""
    scale = np.float32(np.sqrt(entries.vectors.shape[1]))
    settings = replace(Training(), epochs=EPOCHS, batch_lines=BATCH)
    scores = {}
    for fold in folds(len(entries.names), FOLDS, 0):
        rest = np.flatnonzero(~np.isin(entries.domain, fold))
        sources = domains(entries, soft, fold)
        known = {entries.templates[at]: entries.vectors[at] * scale for at in rest}

        def embed(texts, known=known):
            return np.stack([known[text] for text in texts])

        score = fit(settings, cells(sources, embed), seed)
        for number in fold:
            of = np.flatnonzero(entries.domain == number)
            if min(truth[of].sum(), (~truth[of]).sum()) >= FEWEST:
                right = truth[of].astype(np.float64)
                found = score(entries.vectors[of] * scale)
                scores[entries.names[number]] = auroc(right, 1 - right, found)
    return scores


def detector(entries, truth, runs) -> dict[str, Any]:
    from scipy.stats import wilcoxon

    rows = []
    for made in runs:
        seed = made.settings.seed
        once = left_out(entries, truth, made.labels(0), seed)
        after = left_out(entries, truth, made.labels(), seed)
        rows.append({"seed": seed, "one_shot": once, "calibrated": after})
    gains = [mean(row["calibrated"].values()) - mean(row["one_shot"].values()) for row in rows]
    pairs = [
        row["calibrated"][name] - row["one_shot"][name] for row in rows for name in row["one_shot"]
    ]
    return {
        "rows": [
            {
                key: value if key == "seed" else {n: round(v, 4) for n, v in value.items()}
                for key, value in row.items()
            }
            for row in rows
        ],
        "epochs": EPOCHS,
        "folds": FOLDS,
        "one_shot": round(mean(mean(row["one_shot"].values()) for row in rows), 4),
        "calibrated": round(mean(mean(row["calibrated"].values()) for row in rows), 4),
        "gain_of_each_seed": [round(gain, 4) for gain in gains],
        "p_seeds": round(float(wilcoxon(gains, alternative="greater").pvalue), 5),
        "p_pairs": round(float(wilcoxon(pairs, alternative="greater").pvalue), 7),
        "pairs": len(pairs),
    }


def kinds_of(runs) -> dict[str, Any]:
    out = {}
    for kind in KINDS:
        rows = [row for made in runs for row in made.rounds[1:]]
        asked = sum(row.kinds.get(kind, 0) for row in rows)
        repaired = sum(row.repaired.get(kind, 0) for row in rows)
        broken = sum(row.broken.get(kind, 0) for row in rows)
        out[kind] = {"asked": asked, "repaired": repaired, "broken": broken}
    return out


def tables(found: dict[str, Any]) -> str:
    out = [f"Simulated annotator; {found['entries']:,} entries of {found['systems']} systems.", ""]
    if "quality" in found:
        out += [
            "| seed | F1 one-shot | F1 calibrated | by lines | candidates wrong | support wrong | "
            "calls |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in found["quality"]:
            a, b = row["one_shot"], row["calibrated"]
            out.append(
                f"| {row['seed']} | {a['f1']:.3f} | {b['f1']:.3f} | {a['line_f1']:.3f} → "
                f"{b['line_f1']:.3f} | {row['candidates_wrong']:.1%} | {row['support_wrong']:.2%} "
                f"| {row['calls']:,} |"
            )
        gain = mean(r["calibrated"]["f1"] - r["one_shot"]["f1"] for r in found["quality"])
        out += ["", f"Mean gain of F1: {gain:+.3f}.", ""]
    if "stopping" in found:
        out += [
            "| mode | seed | ended after | taken | F1 taken | best round | its F1 | lost | "
            "F1 of the last |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        out += [
            f"| {mode} | {r['seed']} | {r['ended_after']} | {r['taken']} | {r['f1_taken']:.3f} | "
            f"{r['best_round']} | {r['f1_best']:.3f} | {r['lost']:.3f} | {r['f1_last']:.3f} |"
            for mode, rows in found["stopping"].items()
            for r in rows
        ]
        out.append("")
    if "prompts" in found:
        out += ["| kind | asked | repaired | broken | F1 without it |", "|---|---|---|---|---|"]
        for kind, row in found["prompts"]["kinds"].items():
            without = found["prompts"]["without"].get(kind, float("nan"))
            out.append(
                f"| {kind} | {row['asked']:,} | {row['repaired']:,} | {row['broken']:,} | "
                f"{without:.3f} |"
            )
        out += ["", f"F1 with all three: {found['prompts']['with_all']:.3f}.", ""]
    if "detector" in found:
        d = found["detector"]
        out.append(
            f"Detector, systems left out: AUROC {d['one_shot']:.3f} on one-shot labels, "
            f"{d['calibrated']:.3f} on calibrated ones; gain of each seed "
            f"{', '.join(f'{x:+.3f}' for x in d['gain_of_each_seed'])}; Wilcoxon one-sided "
            f"p = {d['p_seeds']} over seeds, {d['p_pairs']} over {d['pairs']} seeds × systems."
        )
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache" / "calibration.npz")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(PARTS)}")
    torch.set_num_threads(1)
    began = time.monotonic()
    entries, truth = entries_of(args.data, args.cache)
    found: dict[str, Any] = {
        "simulation": True,
        "annotator": simulated.Simulated({}, {}, {}, simulated.HELPFUL).name,
        "entries": len(entries),
        "lines": int(entries.count.sum()),
        "systems": len(entries.names),
        "anomalous_entries": int(truth.sum()),
        "rounds": ROUNDS,
    }

    def told(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)
        found["seconds"] = round(time.monotonic() - began, 1)
        if args.json:
            args.json.write_text(json.dumps(found, indent=1) + "\n")

    if args.json and args.json.exists() and set(parts) != set(PARTS):  # what is not run again stays
        found = json.loads(args.json.read_text()) | found
    told("entries")
    asked = Asked(entries, truth)
    runs = []
    for seed in SEEDS:
        runs.append(asked.calibrated(simulated.HELPFUL, seed))
        told(f"helpful {seed}: F1 {runs[-1].rounds[-1].quality.f1:.3f}")
    if "quality" in parts:
        found["quality"] = [summary(made) for made in runs]
        told("quality")
    if "prompts" in parts:
        found["prompts"] = {
            "kinds": kinds_of(runs),
            "with_all": runs[0].rounds[-1].quality.f1,
            "without": {},
        }
        told("prompts")
    if "detector" in parts:
        found["detector"] = detector(entries, truth, runs)
        told(f"detector {found['detector']['gain_of_each_seed']}")
    if "stopping" in parts:
        found["stopping"] = {"helpful": [stopped(made) for made in runs]}
        for mode in HARMFUL:
            found["stopping"][mode] = []
            for seed in SEEDS:
                made = asked.calibrated(simulated.MODES[mode], seed)
                found["stopping"][mode].append(stopped(made))
                told(f"{mode} {seed}: {found['stopping'][mode][-1]}")
    for kind in KINDS if "prompts" in parts else ():
        others = Evidence(tuple(each for each in KINDS if each != kind))
        made = asked.calibrated(simulated.HELPFUL, SEEDS[0], evidence=others)
        found["prompts"]["without"][kind] = made.rounds[-1].quality.f1
        told(f"without {kind}")
    print(tables(found))


if __name__ == "__main__":
    main()
