"""`logagent-build alpha` and `review`: from files to files.

    alpha    logs → labels.tsv, record.json, clusters.json, review.html, plots (*.svg)
    review   clusters.json → review.html

Guarantees: files are replaced when the work is done, never half written; the record says how every
label came about, how many lines were asked for what, and whether a simulation was asked. Whatever a
labeller raises comes through: with a store of answers behind it, the same command goes on.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from logagent import files

from logagent_build.alpha import curves, plane
from logagent_build.alpha.clusters import candidates, choose_k, cluster
from logagent_build.alpha.corrections import read_review, template_key
from logagent_build.alpha.embeddings import Encode, MiniLM, embed, with_words
from logagent_build.alpha.labeller import Example, LabelLines
from logagent_build.alpha.labellers import read_labelled
from logagent_build.alpha.loop import Labelled, Once, Settings, label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.refinement import SHOTS, TIMES, Refined, refine
from logagent_build.alpha.review import UNSURE, Place, Reviewable, apply, rows
from logagent_build.alpha.review_page import page
from logagent_build.annotate.log_lines import Own, places
from logagent_build.annotate.outputs import writable

__all__ = ["OUTPUTS", "Request", "label_logs", "review_again"]

DEFAULT_SHARE, DEFAULT_MOST = 0.05, 1000
"""Lines asked by default: 5 % of the log, at most 1,000."""
REFINEMENT_CALLS = 600
"""Lines asked by default to refine examples: 200 of the validation set, thrice."""
_PLOTS = ("elbow.svg", "silhouette.svg", "epsilon.svg", "clusters.svg")
OUTPUTS = ("labels.tsv", "record.json", "clusters.json", "review.html", *_PLOTS)
"""Names of what is written into the folder."""
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What `alpha` is asked for."""

    path: Path
    """Log file, or folder of logs."""
    out: Path
    """Folder to write to; made if it is not there."""
    calls: int | None = None
    """Most lines asked; None: see `DEFAULT_SHARE`."""
    m: int = 5
    k: int | None = None
    propagation: str = "belief"
    validation: Path | None = None
    """Lines that people labelled: for refinement, and the ε curve."""
    refinement_calls: int = REFINEMENT_CALLS
    """Most lines asked to refine the examples, beside `calls`; 0: none."""
    batch: int | None = None
    """Lines of a turn, see `loop.Settings`."""
    review: Path | None = None
    """Corrections from the review page."""
    cache: Path | None = None
    seed: int = 0
    own: Own = dataclasses.field(default_factory=Own)
    """Files that are no logs, besides the outputs."""


def label_logs(
    request: Request,
    labeller: LabelLines,
    name: str,
    *,
    encode: Encode | None = None,
    bill: Callable[[], Mapping[str, Any]] = dict,
    progress: Progress = lambda _stage, _done: None,
    say: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Label the lines of a file or folder by ALPHA; return the record.

    Args:
        request: what to label, and how.
        labeller: whom to ask.
        name: of the labeller, for the record.
        encode: the sentence encoder; by default all-MiniLM-L6-v2.
        bill: tells what was asked and paid, for the record.
        progress: told of the stages.
        say: told of files left out, and of the most that is going to be asked.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: there are no lines, or a file of labels or corrections is malformed.
    """
    began = time.time()
    for file in OUTPUTS:  # now: labels may cost money
        writable(request.out / file)
    corrections = read_review(request.review) if request.review else {}
    validation = read_labelled(request.validation) if request.validation else []
    left_out: Counter[str] = Counter()
    lines, stood = _read(request, say, left_out)
    pool = Pool.of(lines)
    say(f"{len(lines):,} lines, {len(pool.templates):,} templates ({pool.reduction:.1%} fewer)")
    encoder = encode or MiniLM()
    vectors = embed(
        pool.templates,
        encoder,
        cache=request.cache,
        progress=lambda done: progress("embedding", done),
    )
    vectors = with_words(vectors, pool.templates, request.seed)
    calls = request.calls or max(20, min(DEFAULT_MOST, int(DEFAULT_SHARE * len(lines))))
    settings = Settings(
        calls, request.m, request.k, request.propagation, batch=request.batch, seed=request.seed
    )
    drawn = _drawn(validation, request.refinement_calls, request.seed)
    most = TIMES * len({shown(line) for line, _ in drawn})
    say(
        f"at most {settings.most:,} lines are asked"
        + (f", and {most:,} more to refine examples ({len(drawn):,} lines thrice)" if most else "")
    )
    once = Once(labeller)
    refined = _refined(drawn, encoder, once, request.seed)
    examples: Sequence[Example] = refined.examples if refined else ()
    people = apply(pool, corrections)
    here = set(map(template_key, pool.templates))
    elsewhere = {key: label for key, label in corrections.items() if key not in here}
    labelled = label_pool(
        pool, vectors, labeller, settings, examples=examples, reviewed=people, progress=progress
    )
    swept = _epsilon(labelled, validation)
    plots = _plots(labelled, swept, vectors, request.seed, name)
    seen = Reviewable.of(labelled, name, list(plots.values()), elsewhere)
    record = {
        "labeller": name,
        "simulation": name.startswith("simulated"),
        "settings": dataclasses.asdict(settings),
        "lines": len(lines),
        "files_left_out": dict(left_out),
        "templates": len(pool.templates),
        "reduction": round(pool.reduction, 4),
        "clusters": labelled.clustering.k,
        "choice": dataclasses.asdict(labelled.choice) if labelled.choice else None,
        "calls": labelled.calls,
        "refinement_calls": once.calls,
        "calls_in_all": labelled.calls + once.calls,
        "anomalous_lines": int(labelled.of_lines.sum()),
        "doubtful_clusters": sum(each.doubtful for each in labelled.voted),
        "expected_wrong_lines": round(labelled.expected_wrong, 1),
        "reviewed_templates": len(people),
        "refinement": dataclasses.asdict(refined) if refined else None,
        "epsilon": [dataclasses.asdict(each) for each in swept],
        "seconds": round(time.time() - began, 1),
    } | dict(bill())
    for file, svg in plots.items():
        files.replace(request.out / file, svg.encode())
    # Log lines may hold secrets: for the owner's eyes.
    files.replace(request.out / "clusters.json", seen.as_json().encode(), mode=0o600)
    files.replace(request.out / "review.html", page(seen).encode(), mode=0o600)
    table = "".join(rows(labelled, stood)).encode()
    files.replace(request.out / "labels.tsv", table, mode=0o600)
    files.replace(request.out / "record.json", (json.dumps(record, indent=1) + "\n").encode())
    return record


def _plots(
    labelled: Labelled,
    swept: Sequence[curves.Epsilon],
    vectors: npt.NDArray[np.float32],
    seed: int,
    name: str,
) -> dict[str, str]:
    """Return the pictures there are, as SVG, by their files' names."""
    note = name if name.startswith("simulated") else ""
    found = {}
    if labelled.choice is not None:
        found["elbow.svg"] = curves.elbow_plot(labelled.choice)
        found["silhouette.svg"] = curves.silhouette_plot(labelled.choice)
    if swept:
        found["epsilon.svg"] = curves.epsilon_plot(swept, note)
    doubtful = labelled.wrong >= UNSURE
    drawn = plane.plot(vectors, labelled.anomalous, doubtful, labelled.pool.count, seed, note)
    if drawn:
        found["clusters.svg"] = drawn
    return found


def _read(
    request: Request, say: Callable[[str], None], left_out: Counter[str]
) -> tuple[list[bytes], list[Place]]:
    outputs = [request.out / name for name in OUTPUTS]
    own = dataclasses.replace(request.own, outputs=[*request.own.outputs, *outputs])
    lines: list[bytes] = []
    stood: list[Place] = []
    for found in places(request.path, own, say, left_out):
        lines.append(found.line)
        stood.append(Place(found.file, found.number))
    if not lines:
        raise ValueError(f"{request.path}: no lines to label")
    return lines, stood


def _drawn(
    validation: Sequence[tuple[bytes, bool]], calls: int, seed: int
) -> Sequence[tuple[bytes, bool]]:
    """Return the lines that examples are refined with: as many as may be asked, drawn; or none."""
    most = calls // TIMES
    if min(len(validation), most) < 2 * SHOTS:
        return []
    if len(validation) <= most:
        return validation
    kept = np.random.default_rng(seed).permutation(len(validation))[:most]
    return [validation[at] for at in np.sort(kept).tolist()]


def _refined(
    validation: Sequence[tuple[bytes, bool]], encode: Encode, labeller: LabelLines, seed: int
) -> Refined | None:
    """Refine few-shot examples, if there are lines for it, with clusters of their own."""
    if not validation:
        return None
    pool = Pool.of([line for line, _ in validation])
    vectors = with_words(embed(pool.templates, encode), pool.templates, seed)
    tried = candidates(len(vectors), len(vectors) // 3)
    k = choose_k(vectors, pool.count, tried, seed=seed).k if tried else 1
    of = cluster(vectors, pool.count, k, seed=seed).of[pool.entry]
    lines = [shown(line) for line, _ in validation]
    return refine(lines, [label for _, label in validation], of, labeller, seed=seed)


def _epsilon(labelled: Labelled, validation: Sequence[tuple[bytes, bool]]) -> list[curves.Epsilon]:
    """Sweep ε over the entries of the log that the validation set knows (Fig. 7b)."""
    if not validation:
        return []
    pool = labelled.pool
    number = {template: at for at, template in enumerate(pool.templates)}
    known = Pool.of([line for line, _ in validation])
    label = np.array([label for _, label in validation], np.float64)
    share = np.bincount(known.entry, label) / known.count
    count = np.zeros(len(pool.templates), np.int64)
    truth = np.zeros(len(pool.templates), np.bool_)
    for at, template in enumerate(known.templates):
        if template in number:
            count[number[template]] = known.count[at]
            truth[number[template]] = share[at] >= 0.5
    if not count.any():
        return []
    return curves.epsilon(labelled.clustering, labelled.anomalous, truth, count)


def review_again(folder: Path) -> Path:
    """Write the review page of a run again; return its path.

    Raises:
        OSError, ValueError: the run's files cannot be read.
    """
    seen = Reviewable.read(folder / "clusters.json")
    target = folder / "review.html"
    files.replace(target, page(seen).encode(), mode=0o600)
    return target
