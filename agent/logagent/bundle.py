"""The one file a model travels in: read, verify and write it.

A bundle is a stream of msgpack objects (docs/bundle.md): first a header map, then one binary
object per part, in the header's order::

    {"logagent": "bundle", "format": [2, 0], "parts": [[name, bytes, sha256], …]}
    <manifest> <tokenizer> <table> <weights> <onnx>

Guarantees: nothing of a bundle is used before every size and every SHA-256 was checked; sizes are
checked before memory is taken; no code is ever loaded (no pickle). The file is mapped, not read:
its pages are shared and file-backed, so the 3 MB table costs no private memory. A bundle file is
therefore only ever replaced by renaming another over it (`write_bundle` does), never in place.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import msgpack

from logagent.errors import BundleError

__all__ = ["DEFAULT_BUNDLE", "FORMAT", "Bundle", "Manifest", "write_bundle"]

DEFAULT_BUNDLE = Path(__file__).parent / "data" / "default.bundle"
FORMAT = (2, 0)  # (major, minor): another major is refused, a newer minor only adds parts or keys

_HEADER_BYTES = 16 * 1024  # [bytes] largest header: a few hundred in practice
_PART_BYTES = {  # [bytes] largest size of each part this agent reads
    "manifest": 1 << 20,
    "tokenizer": 4 << 20,
    "table": 16 << 20,
    "weights": 8 << 20,
    "onnx": 8 << 20,
}
_OPTIONAL_PART_BYTES = {  # [bytes] likewise, of parts that a bundle may lack
    "sequences": 8 << 20,
    "sequences.onnx": 16 << 20,  # an ensemble of 400,000 parameters, trees node by node
}
_UNKNOWN_PART_BYTES = 16 << 20  # [bytes] a part of a newer minor format: skipped, but bounded
_MAX_PARTS = 32
_BIN32_HEAD = 5  # [bytes] msgpack: 0xc6 and a 32-bit big-endian length


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself; stored as JSON so that a person can read it."""

    name: str
    """Short name, e.g. ``default``."""
    normaliser: int
    """`logagent.normalise.NORMALISER_VERSION` the model was trained with."""
    embedding: dict[str, Any]
    """Shape of the embedding: `logagent.embedding.EmbeddingConfig`."""
    thresholds: dict[str, float]
    """Score at or above which a line is anomalous, by sensitivity: low, normal, high."""
    domains: list[str]
    """Names of the source systems, in the order of the detector's heads."""
    categories: list[str] = field(default_factory=list)
    """Kinds of anomaly that `logagent.kinds` tells apart; empty without that model."""
    systems: list[str] = field(default_factory=list)
    """Training systems that `logagent.kinds` tells apart; likewise."""
    record: dict[str, Any] = field(default_factory=dict)
    """How it was made: commit, data, seeds, configuration, scores, parity."""

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read a manifest; keys of a newer minor format are ignored.

        Raises:
            ValueError: not JSON, a key is missing or of the wrong type.
        """
        try:
            raw = json.loads(text)
        except RecursionError:
            raise ValueError("the manifest is nested too deeply") from None
        if not isinstance(raw, dict):
            raise ValueError("the manifest is not a JSON object")
        types: dict[str, type | tuple[type, ...]] = {
            "name": str,
            "normaliser": int,
            "embedding": dict,
            "thresholds": dict,
            "domains": list,
            "categories": list,
            "systems": list,
            "record": dict,
        }
        known = {item.name for item in fields(cls)}
        raw.setdefault("categories", [])
        raw.setdefault("systems", [])
        for name in known:
            if not isinstance(raw.get(name), types[name]) or isinstance(raw[name], bool):
                raise ValueError(f"the manifest has no usable {name!r}")
        thresholds = raw["thresholds"]
        if "normal" not in thresholds or not all(
            isinstance(value, float) and 0 <= value <= 1 for value in thresholds.values()
        ):
            raise ValueError("the manifest's thresholds are not scores in [0, 1]")
        for names in ("domains", "categories", "systems"):
            if not all(isinstance(name, str) for name in raw[names]):
                raise ValueError(f"the manifest's {names} are not names")
        return cls(**{name: raw[name] for name in known})


class Bundle:
    """A verified bundle. Memory: the header and the manifest; parts stay in the mapped file."""

    def __init__(
        self, path: Path, manifest: Manifest, parts: Mapping[str, memoryview], sha256: str
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        """SHA-256 over all the parts' SHA-256: the identity of the model."""
        self._parts = parts

    def part(self, name: str) -> memoryview:
        """Return a part's bytes (read-only, in the mapped file).

        Raises:
            BundleError: the bundle has no such part.
        """
        try:
            return self._parts[name]
        except KeyError:
            raise BundleError(f"bundle {self.path}: has no part {name!r}") from None

    def sizes(self) -> dict[str, int]:
        """Return the size of every part in bytes."""
        return {name: len(view) for name, view in self._parts.items()}

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Map a bundle file and verify all of it.

        Raises:
            BundleError: missing, unreadable, truncated, corrupt, oversized, of another format.
        """
        path = Path(path)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == 0:
                    raise BundleError(f"bundle {path}: the file is empty")
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise BundleError(f"bundle {path}: no such file") from None
        except (OSError, ValueError) as error:
            raise BundleError(f"bundle {path}: cannot be read: {error}") from None
        try:
            parts, digest = _verified_parts(view)
            manifest = Manifest.from_json(bytes(parts["manifest"]))
        except (ValueError, KeyError) as error:
            raise BundleError(f"bundle {path}: {error}") from None
        return cls(path, manifest, parts, digest)


def _read_header(view: memoryview) -> tuple[list[tuple[str, int, bytes]], int]:
    """Return the table of parts and where the first part starts."""
    unpacker = msgpack.Unpacker(
        raw=False,
        max_buffer_size=_HEADER_BYTES,
        max_array_len=_MAX_PARTS,
        max_map_len=16,
        max_str_len=64,
        max_bin_len=64,
        max_ext_len=0,
    )
    unpacker.feed(bytes(view[:_HEADER_BYTES]))
    try:
        header = unpacker.unpack()
    except Exception as error:  # msgpack raises several unrelated types on hostile bytes
        raise ValueError(f"not a bundle, or its header is corrupt ({error})") from None
    if not isinstance(header, dict) or header.get("logagent") != "bundle":
        raise ValueError("not a logagent bundle")
    version = header.get("format")
    if not isinstance(version, list) or len(version) != 2 or version[0] != FORMAT[0]:
        found = ".".join(map(str, version)) if isinstance(version, list) else repr(version)
        raise ValueError(
            f"format {found}, this agent reads format {FORMAT[0]}; "
            "install a matching logagent or build the bundle again"
        )
    parts: list[tuple[str, int, bytes]] = []
    entries = header.get("parts")
    for entry in entries if isinstance(entries, list) else ():
        match entry:
            case [str(name), int(size), bytes(digest)] if size >= 0 and len(digest) == 32:
                parts.append((name, size, digest))
            case _:
                raise ValueError("its header is corrupt (table of parts)")
    return parts, unpacker.tell()


def _verified_parts(view: memoryview) -> tuple[dict[str, memoryview], str]:
    table, at = _read_header(view)
    for name, size, _ in table:
        limit = (_PART_BYTES | _OPTIONAL_PART_BYTES).get(name, _UNKNOWN_PART_BYTES)
        if size > limit:
            raise ValueError(f"part {name!r} is oversized: {size} bytes, the limit is {limit}")
    expected = at + sum(_BIN32_HEAD + size for _, size, _ in table)
    if len(view) < expected:
        raise ValueError(f"truncated: {len(view)} bytes of {expected}")
    if len(view) > expected:
        raise ValueError(f"has {len(view) - expected} bytes after its end")
    parts: dict[str, memoryview] = {}
    whole = hashlib.sha256()
    for name, size, digest in table:
        if bytes(view[at : at + _BIN32_HEAD]) != b"\xc6" + size.to_bytes(4, "big"):
            raise ValueError(f"part {name!r} is corrupt (its head)")
        part = view[at + _BIN32_HEAD : at + _BIN32_HEAD + size]
        if hashlib.sha256(part).digest() != digest:
            raise ValueError(f"part {name!r} is corrupt (its SHA-256 differs)")
        parts[name] = part
        whole.update(digest)
        at += _BIN32_HEAD + size
    for name in _PART_BYTES:
        if name not in parts:
            raise ValueError(f"has no part {name!r}")
    return parts, whole.hexdigest()


def write_bundle(path: str | Path, manifest: Manifest, parts: Mapping[str, bytes]) -> None:
    """Write a bundle and put it in place atomically; the same input gives the same bytes.

    Args:
        path: where it goes.
        manifest: written as the part ``manifest``.
        parts: tokenizer, table, weights and onnx; `sequences` and `sequences.onnx` if there are.

    Raises:
        ValueError: a part is missing or larger than the agent would read.
        OSError: the file cannot be written; what stood there before is still there.
    """
    text = json.dumps(asdict(manifest), sort_keys=True, indent=1).encode()
    everything = {"manifest": text} | {name: parts[name] for name in sorted(parts)}
    for name, limit in _PART_BYTES.items():
        if name not in everything:
            raise ValueError(f"part {name!r} is missing")
        if len(everything[name]) > limit:
            raise ValueError(f"part {name!r} is larger than {limit} bytes")
    for name, limit in _OPTIONAL_PART_BYTES.items():
        if len(everything.get(name, b"")) > limit:
            raise ValueError(f"part {name!r} is larger than {limit} bytes")
    header = {
        "logagent": "bundle",
        "format": list(FORMAT),
        "parts": [
            [name, len(data), hashlib.sha256(data).digest()] for name, data in everything.items()
        ],
    }
    body = [msgpack.packb(header)]
    for data in everything.values():
        body += [b"\xc6" + len(data).to_bytes(4, "big"), data]
    from logagent.files import replace  # what only writers need stays out of the agent's memory

    replace(Path(path), b"".join(body))
