"""Language models as labellers and explainers, through the annotator package.

One door to `logagent_build.annotate`: what else is in this package works without it. Guarantees:
the store of replies stands in front of every model, so the same command goes on where it was
stopped and pays nothing twice; budgets, retries and batch files are the annotator's.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logagent.errors import ConfigError

from logagent_build.alpha.explain import MOST_WORDS, Ask, Prompt
from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.labellers import by_name

__all__ = ["Who", "explainer", "labeller"]

_PACKAGE = "logagent_build.annotate"
_TEMPERATURE = 0.2  # of explanations: nearly the same again, yet no loops of small models
_TOKENS = 4 * MOST_WORDS  # of a reply: words of one to three tokens, and the list marks


@dataclass(frozen=True, slots=True)
class Who:
    """Whom to ask, as a command line says it."""

    spec: str
    """``labels:FILE``, ``simulated:FILE,…``, or what `annotate.choice.Choice.who` takes."""
    store: Path
    """Where replies are kept."""
    model: str = ""
    prompt: str = "logprompt"
    """Of labels: name or file of a prompt."""
    budget: float | None = None
    prices: Path | None = None
    responses: Sequence[Path] = ()
    key_env: str | None = None
    key_file: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@contextmanager
def labeller(who: Who, say: Callable[[str], None]) -> Iterator[tuple[LabelLines, str]]:
    """Open a labeller of lines; yields it with the name for records.

    Raises:
        LogagentError, OSError, ValueError: there is none like this, or it cannot be opened.
    """
    if who.spec.partition(":")[0] in ("labels", "simulated"):
        yield by_name(who.spec)
        return
    labelling, files = _module("labelling"), _module("prompt_files")
    prompt = files.load(who.prompt)
    with _opened(who, say) as annotator:

        def ask(lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
            few_shot = [labelling.Example(line, anomalous) for line, anomalous in examples]
            labels = labelling.label(lines, annotator, prompt, few_shot)
            return [Answer(each.anomalous, each.reason) for each in labels]

        yield ask, f"{annotator.model}, prompt {prompt.name} {prompt.version}"


@contextmanager
def explainer(who: Who, say: Callable[[str], None]) -> Iterator[tuple[Ask, str]]:
    """Open an explainer of alerts; yields it with the name for reports.

    Raises:
        LogagentError, OSError: there is none like this, or it cannot be opened.
    """
    protocol = _module("protocol")
    with _opened(who, say) as annotator:

        def ask(prompts: Sequence[Prompt]) -> list[str | None]:
            made = [
                protocol.Prompt(
                    (
                        protocol.Message("system", each.system),
                        protocol.Message("user", each.user),
                    ),
                    _TEMPERATURE,
                    _TOKENS,
                    tag="explain",
                )
                for each in prompts
            ]
            outcomes = annotator.ask(made)
            return [each.text if isinstance(each, protocol.Reply) else None for each in outcomes]

        yield ask, annotator.model


@contextmanager
def _opened(who: Who, say: Callable[[str], None]) -> Iterator[Any]:
    choice = _module("choice")
    chosen = choice.Choice(
        who.spec,
        str(who.store.absolute()),
        who.store,
        who.model,
        who.budget,
        who.prices,
        who.responses,
        who.key_env,
        who.key_file,
        who.settings,
    )
    with choice.opened(chosen, say) as found:
        yield found.annotator


def _module(name: str) -> Any:
    if importlib.util.find_spec(_PACKAGE) is None:
        raise ConfigError(
            "this build of logagent asks no language models; give labels:FILE or simulated:FILE"
        )
    return importlib.import_module(f"{_PACKAGE}.{name}")
