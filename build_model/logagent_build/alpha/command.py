"""`logagent-build alpha`, `review` and `explain`: from files to files.

    alpha    logs → labels.tsv, record.json, clusters.json, review.html, elbow.svg, silhouette.svg
    review   clusters.json → review.html
    explain  alerts.jsonl → report as Markdown, JSON or HTML

Guarantees: files are replaced when the work is done, never half written; the record says how every
label came about, and whether a simulation was asked. Whatever a labeller raises comes through:
with a store of answers behind it, the same command goes on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from logagent import files
from logagent.paths import SourceProblem
from logagent.sanitise import printable
from logagent.sources import open_all

from logagent_build.alpha import curves, explain_report
from logagent_build.alpha.corrections import read_review
from logagent_build.alpha.embeddings import Encode, MiniLM, embed, with_words
from logagent_build.alpha.explain import MOST_GROUPS, Ask, Prompt, explain, prompt, read_alerts
from logagent_build.alpha.labeller import Example, LabelLines
from logagent_build.alpha.labellers import read_labelled
from logagent_build.alpha.loop import Settings, label_pool
from logagent_build.alpha.pool import Pool, shown
from logagent_build.alpha.refinement import SHOTS, Refined, refine
from logagent_build.alpha.review import Place, Reviewable, apply, rows
from logagent_build.alpha.review_page import page

__all__ = ["FORMATS", "Request", "explain_alerts", "label_logs", "replies_of", "review_again"]

FORMATS = ("markdown", "json", "html")
DEFAULT_SHARE, DEFAULT_MOST = 0.05, 1000
"""Lines asked by default: 5 % of the log, at most 1,000."""
_PLOTS = ("elbow.svg", "silhouette.svg", "epsilon.svg")
_OUTPUTS = ("labels.tsv", "record.json", "clusters.json", "review.html", *_PLOTS)
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
    batch: int | None = None
    """Lines of a turn, see `loop.Settings`."""
    review: Path | None = None
    """Corrections from the review page."""
    cache: Path | None = None
    seed: int = 0


def label_logs(
    request: Request,
    labeller: LabelLines,
    name: str,
    *,
    encode: Encode | None = None,
    progress: Progress = lambda _stage, _done: None,
    say: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Label the lines of a file or folder by ALPHA; return the record.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: there are no lines, or a file of labels or corrections is malformed.
    """
    began = time.time()
    lines, places = _read(request, say)
    request.out.mkdir(parents=True, exist_ok=True)  # now: labels may cost money
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
    validation = read_labelled(request.validation) if request.validation else []
    refined = _refined(validation, encoder, labeller, request.seed)
    examples: Sequence[Example] = refined.examples if refined else ()
    people = apply(pool, read_review(request.review)) if request.review else {}
    labelled = label_pool(
        pool, vectors, labeller, settings, examples=examples, reviewed=people, progress=progress
    )
    plots = {}
    if labelled.choice is not None:
        plots = {
            "elbow.svg": curves.elbow_plot(labelled.choice),
            "silhouette.svg": curves.silhouette_plot(labelled.choice),
        }
    swept = _epsilon(labelled, validation)
    if swept:
        note = name if name.startswith("simulated") else ""
        plots["epsilon.svg"] = curves.epsilon_plot(swept, note)
    seen = Reviewable.of(labelled, name, list(plots.values()))
    record = {
        "labeller": name,
        "simulation": name.startswith("simulated"),
        "settings": dataclasses.asdict(settings),
        "lines": len(lines),
        "templates": len(pool.templates),
        "reduction": round(pool.reduction, 4),
        "clusters": labelled.clustering.k,
        "choice": dataclasses.asdict(labelled.choice) if labelled.choice else None,
        "calls": labelled.calls,
        "anomalous_lines": int(labelled.of_lines.sum()),
        "doubtful_clusters": sum(each.doubtful for each in labelled.voted),
        "expected_wrong_lines": round(labelled.expected_wrong, 1),
        "reviewed_templates": len(people),
        "refinement": dataclasses.asdict(refined) if refined else None,
        "epsilon": [dataclasses.asdict(each) for each in swept],
        "seconds": round(time.time() - began, 1),
    }
    for file, svg in plots.items():
        files.replace(request.out / file, svg.encode())
    # Log lines may hold secrets: for the owner's eyes.
    files.replace(request.out / "clusters.json", seen.as_json().encode(), mode=0o600)
    files.replace(request.out / "review.html", page(seen).encode(), mode=0o600)
    table = "".join(rows(labelled, places)).encode()
    files.replace(request.out / "labels.tsv", table, mode=0o600)
    files.replace(request.out / "record.json", (json.dumps(record, indent=1) + "\n").encode())
    return record


def _read(request: Request, say: Callable[[str], None]) -> tuple[list[bytes], list[Place]]:
    lines: list[bytes] = []
    places: list[Place] = []
    for line, place in _places(request, say):
        lines.append(line)
        places.append(place)
    if not lines:
        raise ValueError(f"{request.path}: no lines to label")
    return lines, places


def _places(request: Request, say: Callable[[str], None]) -> Iterator[tuple[bytes, Place]]:
    """Yield the lines of a file, or of all files of a folder, as the agent reads them."""

    def told(trouble: SourceProblem) -> None:
        say(printable(f"{trouble.source}: {trouble.message}"))

    out = os.path.abspath(request.out)
    for source in open_all([str(request.path)], on_problem=told):
        name = os.path.abspath(source.name)
        if os.path.dirname(name) == out and os.path.basename(name) in _OUTPUTS:
            continue  # of an earlier run
        folder = request.path.is_dir()
        file = os.path.relpath(source.name, request.path) if folder else request.path.name
        for block in source.blocks():
            for number, line in enumerate(block.lines(), block.first_line):
                if line:
                    yield line, Place(file, number)


def _refined(
    validation: Sequence[tuple[bytes, bool]], encode: Encode, labeller: LabelLines, seed: int
) -> Refined | None:
    """Refine few-shot examples if the validation set is large enough, with clusters of its own."""
    from logagent_build.alpha.clusters import candidates, choose_k, cluster  # noqa: PLC0415

    if len(validation) < 2 * SHOTS:
        return None
    pool = Pool.of([line for line, _ in validation])
    vectors = with_words(embed(pool.templates, encode), pool.templates, seed)
    tried = candidates(len(vectors), len(vectors) // 3)
    k = choose_k(vectors, pool.count, tried, seed=seed).k if tried else 1
    of = cluster(vectors, pool.count, k, seed=seed).of[pool.entry]
    lines = [shown(line) for line, _ in validation]
    return refine(lines, [label for _, label in validation], of, labeller, seed=seed)


def _epsilon(labelled: Any, validation: Sequence[tuple[bytes, bool]]) -> list[curves.Epsilon]:
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


def explain_alerts(
    alerts: Path,
    ask: Ask | None,
    name: str,
    form: str,
    *,
    most: int = MOST_GROUPS,
    say: Callable[[str], None] = lambda _text: None,
) -> str:
    """Return a root-cause report of an alert file.

    Args:
        alerts: JSON Lines of an agent.
        ask: whom; None returns the prompts as JSON Lines instead: to ask by hand.
        name: who answers, for the report.
        form: one of `FORMATS`.
        most: groups explained, gravest first.
        say: told of what was left out.

    Raises:
        OSError, ValueError: the file cannot be read, or holds no alerts; or `form` is unknown.
    """
    if form not in FORMATS:
        raise ValueError(f"format {form!r} is none of {', '.join(FORMATS)}")
    groups = read_alerts(alerts, problem=say)
    if len(groups) > most:
        say(f"{len(groups):,} groups; the {most:,} gravest are explained")
    if ask is None:
        made = ((group.key, prompt(group)) for group in groups[:most])
        return "".join(
            json.dumps({"group": key, "system": each.system, "user": each.user}) + "\n"
            for key, each in made
        )
    reports = explain(groups, ask, most=most)
    write = {
        "markdown": explain_report.as_markdown,
        "json": explain_report.as_json,
        "html": explain_report.as_html,
    }
    return write[form](reports, name)


def replies_of(path: Path) -> Ask:
    """Return an `Ask` that has the replies of a file: JSON Lines with ``group`` and ``reply``.

    The other half of asking by hand: prompts out, replies in. Groups without one get none.

    Raises:
        OSError: the file cannot be read.
        ValueError: a row is malformed; names file and line.
    """
    found: dict[str, str] = {}
    for number, row in enumerate(path.read_text("utf-8", errors="replace").split("\n"), 1):
        if not row.strip():
            continue
        try:
            record = json.loads(row)
            found[record["group"][:8]] = str(record["reply"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ValueError(f"{path}:{number}: no JSON with a group and a reply") from None

    def ask(prompts: Sequence[Prompt]) -> list[str | None]:
        # A prompt names its group by the mark of its fences.
        marks = [each.user.split("BEGIN ", 1)[1][:8] for each in prompts]
        return [found.get(mark) for mark in marks]

    return ask
