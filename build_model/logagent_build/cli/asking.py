"""Options of every command that asks a language model: stated once, taken as one object.

A command has one parameter of type `Asking`; behind `with_asking` its help and its command line
have the fields of `Asking` in that parameter's place. So what one command takes all take, in one
order, with one help text and one default each. What differs between them stays in the command:
whom to ask (`--annotator`), where replies are kept, longer replies for models that think.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from logagent_build.annotate.choice import Choice

__all__ = ["Asking", "client", "replies_beside", "with_asking"]

_Limit = Annotated[float, typer.Option(min=0, help="0 is no limit.")]
_CONCURRENCY = 8  # requests at a time
_TIMEOUT = 300.0  # [s] a long reply of a slow model of one's own
_PATIENCE = 900.0  # [s] a server that is restarted, or loads a model


@dataclass(frozen=True, slots=True)
class Asking:
    """The model, the money, the key, and how hard an endpoint is asked."""

    model: Annotated[str, typer.Option(help="Model to ask for, as the endpoint names it.")] = ""
    budget: Annotated[
        float | None, typer.Option(min=0, help="US dollars that may be spent on this output.")
    ] = None
    prices: Annotated[
        Path | None, typer.Option(help="Prices of models (TOML), before the shipped ones.")
    ] = None
    responses: Annotated[
        list[Path] | None, typer.Option(help="Responses to a batch file. Repeat for several.")
    ] = None
    key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the key.")
    ] = None
    key_file: Annotated[Path | None, typer.Option(help="File that holds the key.")] = None
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = _CONCURRENCY
    requests_per_minute: _Limit = 0
    tokens_per_minute: _Limit = 0
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one reply.")] = _TIMEOUT
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for an endpoint that is down.")
    ] = _PATIENCE
    stream: Annotated[bool, typer.Option("--stream", help="Ask for replies in pieces.")] = False

    def choice(self, annotator: str, run: str, store: Path) -> Choice:
        """Return whom to ask, and for how much.

        Args:
            annotator: see `Choice.who`.
            run: what the budget is for, over all runs.
            store: where replies are kept.
        """
        choices = importlib.import_module("logagent_build.annotate.choice")
        made: Choice = choices.Choice(
            annotator,
            run,
            store,
            self.model,
            self.budget,
            self.prices,
            self.responses or (),
            self.key_env,
            self.key_file,
            {
                "concurrency": self.concurrency,
                "requests_per_minute": self.requests_per_minute,
                "tokens_per_minute": self.tokens_per_minute,
                "timeout_seconds": self.timeout,
                "patience_seconds": self.patience,
                "stream": self.stream,
            },
        )
        return made


def with_asking(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of `Asking` in the place of its `Asking`.

    typer reads signatures, so the one returned has them; `command` itself takes the object.

    Raises:
        ValueError: it has no such parameter, or several.
    """
    hints = get_type_hints(command, include_extras=True)
    (name,) = (name for name, hint in hints.items() if hint is Asking)
    of_fields = get_type_hints(Asking, include_extras=True)
    options = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=of_fields[each.name],
        )
        for each in fields(Asking)
    ]
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(command).parameters.values():
        parameters += options if each.name == name else [each.replace(annotation=hints[each.name])]

    @functools.wraps(command)
    def taking(**given: Any) -> None:
        asking = Asking(**{option.name: given.pop(option.name) for option in options})
        command(**given, **{name: asking})

    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {each.name: each.annotation for each in parameters}
    return taking


def client(annotator: str | None) -> tuple[str, ...]:
    """Return the modules that asking an annotator needs."""
    return ("openai",) if annotator is not None and annotator.startswith("http") else ()


def replies_beside(path: Path) -> Path:
    """Return where the replies to what makes a file, or is asked of one, are kept by default."""
    return path.with_name(f"{path.name}.replies.sqlite")
