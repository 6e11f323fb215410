"""`logagent-build`: one command per stage, from files to files. Nothing else here knows typer."""

# The order of the help.
from logagent_build.cli import training, labelling, clustering, sequencing, sequences_building  # isort: skip
from logagent_build.cli.base import app

__all__ = [
    "app",
    "clustering",
    "labelling",
    "main",
    "sequences_building",
    "sequencing",
    "training",
]


def main() -> None:
    """Entry point."""
    app()
