"""What `logagent model` says of bundles: which is in force, whether one is good, how two differ.

Guarantees: nothing on disk changes, and the running agent hears nothing of it.

Left to others: taking another bundle (`model_update`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.config import Config, load
from logagent.download import Missing, Source, source
from logagent.errors import EXIT_OK, BundleError
from logagent.inputs.listing import excluding
from logagent.kinds import Kinds
from logagent.model_store import InForce, Store, in_force
from logagent.report import size_text
from logagent.sanitise import printable
from logagent.service.parts import Model, open_model
from logagent.shadow import Comparison, compare, recent
from logagent.shadow_report import Progress, records, text_lines
from logagent.signature import SIGNATURE_FILE_BYTES, read_key, read_signature

__all__ = [
    "LARGEST_BUNDLE_BYTES",
    "check_signature",
    "compared",
    "info",
    "say",
    "sequences_trouble",
    "settings_of",
    "shadow",
    "shown",
    "try_model",
    "verify",
]

LARGEST_BUNDLE_BYTES: Final = 64 * 1024 * 1024
"""[bytes] The five parts of format 2 come to 37 MiB at most; the rest is for parts to come."""

# Every one is scored by a new model, which must give a score.
_LINES = (b"", b"error", b"kernel: Out of memory: Killed process * (*)", b"\xff\xfe", b"x " * 500)


def info(bundle: Path | None, config: Path | None, state_dir: Path | None) -> int:
    """Print what the bundle in force (or another) is, as JSON.

    Raises:
        LogagentError: configuration or bundle cannot be used.
    """
    found, behind = None, None
    if bundle is None:
        settings = settings_of(config, state_dir)
        found = in_force(settings)
        behind = None if settings.model.bundle else Store(settings.state.folder()).behind()
    loaded = _loaded(bundle or (found or InForce(DEFAULT_BUNDLE, "shipped")).path, found)
    manifest = loaded.manifest
    facts: dict[str, Any] = {
        "path": str(loaded.path),
        "why": found and found.why,
        "rollback_to": behind and str(behind.path),
        "name": manifest.name,
        "sha256": loaded.sha256,
        "parts": loaded.sizes(),
        "thresholds": manifest.thresholds,
        "embedding": manifest.embedding,
        "domains": manifest.domains,
        "categories": manifest.categories,
        "systems": manifest.systems,
        "record": manifest.record,
    }
    if "sequences" in facts["parts"]:
        facts["sequences"] = _sequences(loaded)
    say(json.dumps(facts, indent=2, ensure_ascii=True))
    return EXIT_OK


def _sequences(bundle: Bundle) -> dict[str, Any]:
    """Return what the part for sequences says of itself.

    Raises:
        BundleError: it cannot be used.
    """
    from logagent.sequences.onnx_voters import ONNX_PART  # noqa: PLC0415 - few bundles have one
    from logagent.sequences.part import SequenceModel  # noqa: PLC0415 - likewise

    model = SequenceModel.of(bundle)
    return {
        "onnx": ONNX_PART in bundle.sizes(),
        "voters": list(model.ensemble.voters),
        "known_events": model.vocabulary.known,
        "unknown_events": model.vocabulary.buckets,
        "parameters": model.ensemble.parameters,
        "rule": model.rule.part(),
        "record": dict(model.record),
    }


def verify(
    bundle: Path | None, key: Path | None, config: Path | None, state_dir: Path | None
) -> int:
    """Check a bundle, the one in force if none is named, and its signature if there is a key.

    Raises:
        LogagentError: it is not to be used.
    """
    settings = settings_of(config, state_dir)
    found = None if bundle else in_force(settings)
    path = bundle or (found or InForce(DEFAULT_BUNDLE, "shipped")).path
    named = key or (Path(settings.model.public_key) if settings.model.public_key else None)
    signed = ""
    if named is not None and (key or found is None or found.why == "configured"):
        origin = source(str(path))
        check_signature(origin, origin.read(LARGEST_BUNDLE_BYTES), named)
        signed = f", signed by {printable(str(named), 300)}"
    loaded = _loaded(path, found)
    model = open_model(settings, path)
    try_model(model, str(path))
    size = size_text(sum(loaded.sizes().values()))
    why = f"{found.why}, " if found else ""
    backend = f"backend {model.scorer.backend.name}"
    if (trouble := sequences_trouble(settings, model)) is not None:
        _note(f"sequences are enabled, and it cannot judge them: {printable(trouble, 500)}")
    say(f"{printable(str(path), 1000)}: good ({why}{size}, {backend}{signed})")
    return EXIT_OK


def shadow(
    bundle: Path,
    paths: tuple[str, ...],
    lines: int | None,
    config: Path | None,
    state_dir: Path | None,
    *,
    human: bool,
) -> int:
    """Print what another bundle would alert that the one in force does not, and the reverse.

    Raises:
        LogagentError: one of the two cannot be used.
    """
    settings = settings_of(config, state_dir)
    old = open_model(settings, in_force(settings).path)
    new = open_model(settings, bundle)
    result = compared(settings, paths, lines, old, new)
    for line in shown(result) if human else records(result):
        say(line)
    return EXIT_OK


def settings_of(config: Path | None, state_dir: Path | None) -> Config:
    """Return the configuration, with the state folder of a flag if it is given.

    Raises:
        ConfigError: it cannot be used.
    """
    return load(config, {"state.dir": None if state_dir is None else str(state_dir)})


def check_signature(origin: Source, data: bytes, key: Path) -> None:
    """Return if the signature beside a bundle is one of its bytes, by the key.

    Raises:
        BundleError: it is not, there is none, or nobody can tell.
    """
    public = read_key(key)
    beside = origin.beside(".sig")
    try:
        content = beside.read(SIGNATURE_FILE_BYTES)
    except Missing as error:
        raise BundleError(f"{origin.name}: not signed: {error}") from None
    public.verify(data, read_signature(content, beside.name), origin.name)


def _loaded(path: Path, found: InForce | None) -> Bundle:
    try:
        return Bundle.load(path)
    except BundleError as error:
        if found is None or found.why != "updated":
            raise
        raise BundleError(f"{error}; the agent uses the shipped bundle instead") from None


def try_model(model: Model, name: str) -> None:
    """Score some lines, and explain one.

    Raises:
        BundleError: what comes of it is no score.
    """
    scores = model.scorer.scores(_LINES)
    if not (np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()):
        raise BundleError(f"{printable(name, 300)}: gives scores that are not from 0 to 1")
    Kinds(model.scorer.bundle).of(model.scorer.embedding.embed([b"a line"])[0])


def sequences_trouble(settings: Config, model: Model) -> str | None:
    """Return why a model cannot judge sequences though they are enabled; None if all is well."""
    if not settings.sequences.enabled:
        return None
    from logagent.service.sequencing import make_sequences  # noqa: PLC0415 - few want it

    try:
        make_sequences(settings, model.scorer.bundle, "", lambda _kind, _text: None, None)
    except BundleError as error:
        return str(error)
    return None


def compared(
    settings: Config, paths: tuple[str, ...], lines: int | None, old: Model, new: Model
) -> Comparison:
    """Compare two models on files, those that are watched if none are named."""
    own = [str(settings.state.folder()), *filter(None, [settings.sinks.jsonl])]
    excluded = excluding(settings.watch.exclude, [os.path.abspath(path) for path in own])
    found = recent(paths or settings.watch.paths, excluded)
    if found.problems:
        _note(f"{found.problems:,} paths cannot be compared on: not there, not readable, no text")
    if found.left_out:
        _note(f"{found.left_out:,} files changed longer ago are left out")
    progress = Progress()
    try:
        return compare(found.files, old, new, lines=lines, seen=progress.seen)
    finally:
        progress.wipe()


def shown(result: Comparison) -> list[str]:
    """Return what a person reads of a comparison."""
    return list(text_lines(result, width=shutil.get_terminal_size((100, 24)).columns))


def say(line: str) -> None:
    """Print a line of results."""
    sys.stdout.write(line + "\n")


def _note(line: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"logagent: {line}\n")
