"""A second bundle that is as good as the shipped one, for tests of going from one to the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from logagent.bundle import DEFAULT_BUNDLE, Bundle, write_bundle


def write_other(path: Path, name: str = "other", by: float = 0.0) -> str:
    """Write the shipped model under another name, its thresholds moved; return its SHA-256."""
    shipped = Bundle.load(DEFAULT_BUNDLE)
    thresholds = {
        key: min(max(value + by, 0.0), 1.0) for key, value in shipped.manifest.thresholds.items()
    }
    manifest = replace(shipped.manifest, name=name, thresholds=thresholds)
    parts = {part: bytes(shipped.part(part)) for part in shipped.sizes() if part != "manifest"}
    write_bundle(path, manifest, parts)
    return Bundle.load(path).sha256
