"""`logagent feedback` and `logagent ignore`."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from logagent.cli.base import app, guarded
from logagent.cli.options import ConfigOption, Format, StateDirOption

__all__ = ["feedback", "ignore_app"]


class _AddByDefault(TyperGroup):
    """`logagent ignore ID` is `logagent ignore add ID`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["add", *args]
        return super().parse_args(ctx, args)


ignore_app = typer.Typer(
    cls=_AddByDefault,
    help="Tell the agent which lines and sequences to leave out. `logagent ignore ID` is short for "
    "`logagent ignore add ID`.",
    no_args_is_help=True,
)
app.add_typer(ignore_app, name="ignore")

LineOption = Annotated[
    str | None,
    typer.Option("--line", metavar="TEXT", help="A raw line, in place of an id."),
]
TemplateOption = Annotated[
    str | None,
    typer.Option("--template", metavar="TEXT", help="A template, as records show it."),
]
RegexOption = Annotated[
    str | None,
    typer.Option(
        "--regex", metavar="RE", help="All anomalous lines in which this is found (Python's re)."
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="GLOB", help="Only lines or sessions of such sources."),
]
SequenceOption = Annotated[
    str | None,
    typer.Option(
        "--sequence", metavar="KIND", help="Sequences of this kind: `group` of their record."
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session", metavar="RE", help="All sequences of sessions in whose key this is found."
    ),
]
ForOption = Annotated[
    str, typer.Option("--for", metavar="TIME", help="How long: 30d, 12h, 2w, or never.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads it later.")
]


@app.command()
def feedback(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[ID] normal|anomalous",
            help="The id of an alert (or its group), and what its lines or sequences are.",
        ),
    ],
    line: LineOption = None,
    template: TemplateOption = None,
    sequence: SequenceOption = None,
    lasting: ForOption = "90d",
    reason: ReasonOption = "",
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Tell the agent that lines or sequences like an alert's are normal, or anomalous.

    Holds at once, without a restart, and goes before what the model says.
    """
    *ids, word = words
    verdict: Literal["normal", "anomalous"]
    if word == "normal":
        verdict = "normal"
    elif word == "anomalous":
        verdict = "anomalous"
    else:
        raise typer.BadParameter(
            "the last word must be normal or anomalous", param_hint="[ID] normal|anomalous"
        )
    given = _one_of(*ids, **{"--line": line, "--template": template, "--sequence": sequence})
    from logagent.alert_ids import is_id
    from logagent.teach_command import Meant, teach

    if ids and not is_id(ids[0]):
        raise typer.BadParameter(
            "an id has 16 hexadecimal digits; give a line with --line, a template with --template",
            param_hint="ID",
        )
    seconds = _seconds(lasting)
    meant = Meant(given, line, template, sequence=sequence)
    guarded(lambda: teach(config, state_dir, meant, verdict, lasting=seconds, reason=reason))


@ignore_app.command("add")
def ignore_add(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[ID|TEMPLATE]", help="The id of an alert, or a template."),
    ] = None,
    line: LineOption = None,
    template: TemplateOption = None,
    regex: RegexOption = None,
    sequence: SequenceOption = None,
    session: SessionOption = None,
    source: SourceOption = None,
    lasting: ForOption = "90d",
    reason: ReasonOption = "",
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Leave out lines or sequences like those of an alert, for a time."""
    options = {"--line": line, "--template": template, "--regex": regex}
    given = _one_of(
        *([] if what is None else [what]),
        **options | {"--sequence": sequence, "--session": session},
    )
    from logagent.teach_command import Meant, teach

    seconds = _seconds(lasting)
    meant = Meant(given, line, template, regex, sequence, session)
    guarded(
        lambda: teach(
            config, state_dir, meant, "normal", lasting=seconds, reason=reason, source=source
        )
    )


@ignore_app.command("test")
def ignore_test(
    paths: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Logs to try it on, as for scan.")
    ],
    line: LineOption = None,
    template: TemplateOption = None,
    regex: RegexOption = None,
    sequence: SequenceOption = None,
    session: SessionOption = None,
    source: SourceOption = None,
    output: Annotated[
        Format,
        typer.Option("--format", help="human on a terminal, JSON Lines otherwise, unless given."),
    ] = Format.auto,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what the entries in force would hide in these files, and a new one beside them."""
    options = {"--line": line, "--template": template, "--regex": regex}
    options |= {"--sequence": sequence, "--session": session}
    if any(value is not None for value in options.values()):
        _one_of(**options)
    elif source is not None:
        raise typer.BadParameter(
            "goes with --regex, --template, --line or --session", param_hint="--source"
        )
    human = sys.stdout.isatty() if output is Format.auto else output is Format.human

    def test() -> int:
        from logagent.ignore_test_command import try_overrides
        from logagent.teach_command import Meant

        meant = Meant(None, line, template, regex, sequence, session)
        return try_overrides(paths, config, state_dir, meant=meant, source=source, human=human)

    guarded(test)


@ignore_app.command("list")
def ignore_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, as JSON.")] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show all entries, those of feedback and those that have expired too."""

    def show() -> int:
        from logagent.teach_command import list_overrides

        return list_overrides(config, state_dir, as_json=as_json)

    guarded(show)


@ignore_app.command("remove")
def ignore_remove(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of entries, as listed.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Also all that have expired.")] = False,
    state_dir: StateDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove entries; the agent judges such lines by its model again."""
    if not ids and not expired:
        raise typer.BadParameter("give the ids of entries, or --expired", param_hint="ID")

    def cut() -> int:
        from logagent.teach_command import remove_overrides

        return remove_overrides(config, state_dir, ids or [], expired=expired)

    guarded(cut)


def _one_of(*words: str, **options: str | None) -> str | None:
    """Return the one word that was given; None if it was an option."""
    given = [*words, *(name for name, value in options.items() if value is not None)]
    if len(given) != 1:
        names = " or ".join(["an id", *options])
        raise typer.BadParameter(f"give one of {names}, and only one")
    return words[0] if words else None


def _seconds(text: str) -> float:
    from logagent.teach_command import lasting_seconds

    try:
        return lasting_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
