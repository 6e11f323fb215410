"""`logagent model`."""

from __future__ import annotations

import json
from typing import Any

import typer

from logagent.bundle import DEFAULT_BUNDLE, Bundle
from logagent.cli.base import app, guarded
from logagent.cli.options import BundleOption
from logagent.errors import EXIT_OK
from logagent.report import size_text
from logagent.sanitise import printable

__all__ = ["model_app"]

model_app = typer.Typer(help="Look at the model bundle.", no_args_is_help=True)
app.add_typer(model_app, name="model")


@model_app.command("info")
def model_info(bundle: BundleOption = None) -> None:
    """Print what a bundle is: format, parts, thresholds, and how it was made, as JSON."""

    def show() -> int:
        loaded = Bundle.load(bundle or DEFAULT_BUNDLE)
        manifest = loaded.manifest
        facts: dict[str, Any] = {
            "path": str(loaded.path),
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
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=True))
        return EXIT_OK

    guarded(show)


@model_app.command("verify")
def model_verify(bundle: BundleOption = None) -> None:
    """Check a bundle's checksums and that the model loads; exit with 3 if it does not."""

    def verify() -> int:
        from logagent.kinds import Kinds
        from logagent.scorer import Scorer

        loaded = Bundle.load(bundle or DEFAULT_BUNDLE)
        scorer = Scorer(loaded)
        Kinds(loaded).of(scorer.embedding.embed([b"a line"])[0])
        size = size_text(sum(loaded.sizes().values()))
        typer.echo(f"{printable(str(loaded.path))}: good ({size}, backend {scorer.backend.name})")
        return EXIT_OK

    guarded(verify)
