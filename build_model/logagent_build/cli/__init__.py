"""`logagent-build`: one command per stage, from files to files. Nothing else here knows typer."""

# The order of the help.
from logagent_build.cli import building, training, labelling, calibrating  # isort: skip
from logagent_build.cli import clustering, synthesizing  # isort: skip
from logagent_build.cli import sequences_building, sequence_voting, sequencing  # isort: skip
from logagent_build.cli.base import app

__all__ = [
    "app",
    "building",
    "calibrating",
    "clustering",
    "labelling",
    "main",
    "sequence_voting",
    "sequences_building",
    "sequencing",
    "synthesizing",
    "training",
]


def main() -> None:
    """Entry point."""
    app()
