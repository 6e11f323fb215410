"""A calibration on disk: one folder, that may be moved to another machine between two rounds.

    entries.msgpack       what is labelled: templates, lines, vectors; written once
    calibration.msgpack   settings, answers, whose they are, rounds, the verifier if it goes on;
                          after each round
    replies.sqlite        what was paid for (`annotate.recorded`)

Guarantees: each file is replaced whole, and `calibration.msgpack` holds all that changes, so that
a process killed at any moment leaves the state after some round; each has a checksum, and the
state that of its entries, so that what was damaged or mixed up is refused. What is drawn in a
round depends on the seed and its number, so no state of random numbers is kept. Files hold log
lines: they are made readable for their owner alone. Leaves replies to their store.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from logagent import files
from logagent.errors import StateError

from logagent_build.calibrate.calibration import Calibration, Settings
from logagent_build.calibrate.candidates import Portions
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.evidence import Evidence
from logagent_build.calibrate.label_cache import LabelCache
from logagent_build.calibrate.rounds import Quality, Round
from logagent_build.calibrate.stopping import Rule
from logagent_build.calibrate.verifier import Verifying

__all__ = ["ENTRIES", "STATE", "Origin", "exists", "load", "origin", "save", "save_entries"]

ENTRIES, STATE = "entries.msgpack", "calibration.msgpack"
_FORMAT = 2
_ARRAYS = {"domain": np.int64, "count": np.int64, "vectors": np.float32}
_TEXTS = ("variants", "before", "after")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the labels of a calibration come from."""

    models: tuple[str, ...] = ()
    """Who answered, in the order they came."""
    prompts: Mapping[str, Any] = field(default_factory=dict)
    """As `asking.Prompts.record` tells them."""
    initial: str | None = None
    """File of the initial labels; None: asked for."""
    initial_sha256: str | None = None


def exists(folder: Path) -> bool:
    """Tell whether a folder holds a calibration."""
    return (folder / ENTRIES).is_file()


def save_entries(
    folder: Path,
    entries: Entries,
    truth: np.ndarray[Any, Any] | None,
    known: np.ndarray[Any, Any] | None,
) -> None:
    """Write what is labelled, and the truth where it is known.

    Raises:
        OSError: it cannot be written.
    """
    held: dict[str, Any] = {
        "templates": entries.templates,
        "names": entries.names,
        "shape": list(entries.vectors.shape),
        "truth": None if truth is None else truth.astype(np.uint8).tobytes(),
        "known": None if known is None else known.astype(np.uint8).tobytes(),
    }
    for name in _TEXTS:
        held[name] = [list(each) for each in getattr(entries, name)]
    for name, kind in _ARRAYS.items():
        little = np.dtype(kind).newbyteorder("<")
        held[name] = getattr(entries, name).astype(little).tobytes()
    files.replace(folder / ENTRIES, _packed(held), mode=0o600)


def save(folder: Path, calibration: Calibration, origin: Origin) -> None:
    """Write a calibration between two rounds.

    Raises:
        OSError: it cannot be written.
    """
    held = {
        "entries": hashlib.sha256((folder / ENTRIES).read_bytes()).digest(),
        "origin": dataclasses.asdict(origin),
        "settings": dataclasses.asdict(calibration.settings),
        "cache": calibration.cache.as_dict(),
        "rounds": [dataclasses.asdict(each) for each in calibration.rounds],
        "verifier": calibration.verifier_state(),
    }
    files.replace(folder / STATE, _packed(held), mode=0o600)


def load(folder: Path, settings: Settings | None = None) -> Calibration:
    """Read a calibration, to go on with it.

    Args:
        folder: that `save_entries` wrote to, and perhaps `save`.
        settings: that the calibration must have, but for `calls`, which may be others now; None:
            whatever it has.

    Raises:
        StateError: there is none, it is damaged or of another version, or its settings differ.
    """
    held = _read(folder / ENTRIES)
    try:
        entries, truth, known = _entries(held)
        if not (folder / STATE).is_file():
            if settings is None:
                raise StateError(f"{folder}: holds lines, but no calibration was begun")
            return Calibration(entries, settings, truth, known)
        raw = _read(folder / STATE)
        if raw["entries"] != hashlib.sha256((folder / ENTRIES).read_bytes()).digest():
            raise StateError(f"{folder}: {STATE} is not of the lines in {ENTRIES}")
        was = _settings(raw["settings"])
        if settings is not None:
            _same(folder, was, settings)
        made = Calibration(entries, settings or was, truth, known)
        made.restore(
            LabelCache.from_dict(raw["cache"]),
            [_round(each) for each in raw["rounds"]],
            raw["verifier"],
        )
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise StateError(f"{folder}: damaged, or of another version ({error!r})") from None
    return made


def origin(folder: Path) -> Origin:
    """Return where the labels of a folder come from; of one that was not begun, nowhere.

    Raises:
        StateError: it is damaged, or of another version.
    """
    if not (folder / STATE).is_file():
        return Origin()
    try:
        raw = dict(_read(folder / STATE)["origin"])
        return Origin(**(raw | {"models": tuple(raw["models"])}))
    except (KeyError, ValueError, TypeError) as error:
        raise StateError(f"{folder}: damaged, or of another version ({error!r})") from None


def _packed(held: Mapping[str, Any]) -> bytes:
    body: bytes = msgpack.packb(held)
    whole = {"format": _FORMAT, "sha256": hashlib.sha256(body).digest(), "held": body}
    packed: bytes = msgpack.packb(whole)
    return packed


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = msgpack.unpackb(path.read_bytes())
    except FileNotFoundError:
        raise StateError(f"{path}: is not there") from None
    except Exception as error:  # msgpack raises what it likes on damaged data
        raise StateError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise StateError(f"{path}: not the state of a calibration of this version")
    body = raw.get("held")
    if not isinstance(body, bytes) or hashlib.sha256(body).digest() != raw.get("sha256"):
        raise StateError(f"{path}: damaged: its checksum is another")
    held: dict[str, Any] = msgpack.unpackb(body)
    return held


def _entries(
    held: Mapping[str, Any],
) -> tuple[Entries, np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]:
    texts = {name: [tuple(each) for each in held[name]] for name in _TEXTS}
    arrays = {
        name: np.frombuffer(held[name], np.dtype(kind).newbyteorder("<")).astype(kind)
        for name, kind in _ARRAYS.items()
    }
    vectors = arrays["vectors"].reshape(held["shape"])
    if len(held["templates"]) != len(arrays["domain"]) or len(vectors) != len(arrays["domain"]):
        raise ValueError("lengths differ")
    entries = Entries(
        list(held["templates"]),
        arrays["domain"],
        list(held["names"]),
        texts["variants"],
        texts["before"],
        texts["after"],
        arrays["count"],
        vectors,
    )
    truth, known = (
        None if held[name] is None else np.frombuffer(held[name], np.uint8).astype(np.bool_)
        for name in ("truth", "known")
    )
    return entries, truth, known


def _settings(raw: Mapping[str, Any]) -> Settings:
    made = dict(raw)
    made["portions"] = Portions(**raw["portions"])
    made["verifying"] = Verifying(
        **(raw["verifying"] | {"hidden": tuple(raw["verifying"]["hidden"])})
    )
    made["evidence"] = Evidence(**(raw["evidence"] | {"kinds": tuple(raw["evidence"]["kinds"])}))
    made["stopping"] = None if raw["stopping"] is None else Rule(**raw["stopping"])
    return Settings(**made)


def _same(folder: Path, was: Settings, now: Settings) -> None:
    for each in dataclasses.fields(Settings):
        before, after = getattr(was, each.name), getattr(now, each.name)
        if each.name != "calls" and before != after:
            raise StateError(
                f"{folder}: its calibration has {each.name} {before}, not {after}; "
                "give the same options, or another folder"
            )


def _round(raw: Mapping[str, Any]) -> Round:
    found = raw["quality"]
    return Round(**(dict(raw) | {"quality": None if found is None else Quality(**found)}))
