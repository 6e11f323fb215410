"""Who labels the templates of a folder: known labels, a simulation, or a language model.

    labels:FILE            what a file says, line by line, else by template
    simulated:FILE,…       the same with stated errors; always called a simulation
    http(s)://… batch:FILE recorded:STORE     a language model, through `annotate`

Lines of a folder are rarely those of the file, number by number; so known labels, and simulations
over them, go by template where the line itself is not known.

Guarantees: with a language model, replies are stored before they are used and a budget holds, over
all runs of one build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from logagent.errors import ConfigError

from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.labellers import Known, read_labelled
from logagent_build.alpha.pool import shown
from logagent_build.alpha.simulated import ErrorModel, Simulated
from logagent_build.annotate import prompt_files
from logagent_build.annotate.budget import Account
from logagent_build.annotate.choice import Choice, opened
from logagent_build.annotate.labelling import Example as Shot
from logagent_build.annotate.labelling import Options, first_prompts, label
from logagent_build.annotate.protocol import Prompt
from logagent_build.calibrate.asking import Asking, Prompts
from logagent_build.calibrate.entries import Entries
from logagent_build.calibrate.queries import AskQueries, Query
from logagent_build.calibrate.simulated import Errors, kinds
from logagent_build.calibrate.simulated import Simulated as OfQueries

__all__ = ["Asker", "asker"]

_ERRORS = {"normal": "wrong_normal", "anomalous": "wrong_anomalous", "template": "by_template"}
_LEAST_RATE = 1e-6  # of errors: the simulation of queries draws from a normal distribution
Spending = Callable[[Account], None]
"""Told what was paid so far."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody to ask."""

    lines: LabelLines
    """Answers about lines."""
    queries: Callable[[Entries], AskQueries]
    """Given the entries, who answers questions about them with evidence."""
    name: str
    """For records."""
    simulation: bool
    account: Account | None = None
    """None where nothing is paid."""
    prompts: Callable[[Sequence[str], bool], list[Prompt]] | None = None
    """What is asked first about lines, one by one or many together: for an estimate."""


@contextmanager
def asker(
    choice: Choice,
    prompt: str,
    *,
    spending: Spending = lambda _account: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Iterator[Asker]:
    """Open whom `choice` names.

    Args:
        choice: see `annotate.choice`; here ``labels:FILE`` as well.
        prompt: name of a prompt, or a .toml.
        spending: told of what was paid, as replies come.
        say: hears what people should know meanwhile.

    Raises:
        LogagentError, OSError, ValueError: there is none like this, or it cannot be opened.
    """
    kind, _, rest = choice.who.partition(":")
    if kind == "labels":
        known = Known(read_labelled(Path(rest)))
        name = f"labels of {Path(rest).name}"
        yield Asker(known, lambda _entries: _unmoved(known), name, False)
        return
    if kind == "simulated":
        simulated = _ByTemplate(rest)
        yield Asker(simulated, simulated.queries, simulated.name, True)
        return
    asked = prompt_files.load(prompt)
    with opened(choice, say) as found:

        def ask(lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
            spending(found.account)
            labels = label(
                lines,
                found.annotator,
                asked,
                [Shot(line, anomalous) for line, anomalous in examples],
                options=Options(),
                progress=lambda _done, _all: spending(found.account),
            )
            found.account.refresh()
            spending(found.account)
            return [Answer(each.anomalous, each.reason) for each in labels]

        evidence = Prompts.load(prompt)
        queries = Asking(
            found.annotator, evidence, arrived=lambda _done, _all: spending(found.account)
        )

        def prompts(lines: Sequence[str], alone: bool) -> list[Prompt]:
            if alone:
                return [queries.prompt(Query(line)) for line in lines]
            return first_prompts(lines, asked, options=Options())

        name = f"{found.annotator.model}, prompt {asked.name} {asked.version}"
        simulation = found.annotator.model.startswith("simulated")
        yield Asker(ask, lambda _entries: queries, name, simulation, found.account, prompts)


def _unmoved(labeller: LabelLines) -> AskQueries:
    """Return who answers queries by their line alone: evidence does not change what is known."""

    def ask(queries: Sequence[Query], /) -> Sequence[Answer]:
        return labeller([query.line for query in queries], [])

    return ask


class _ByTemplate:
    """A simulation over known labels that also answers for lines of known templates."""

    def __init__(self, spec: str) -> None:
        file, *given = spec.split(",")
        values: dict[str, float] = {}
        for pair in given:
            key, _, value = pair.partition("=")
            if key not in (*_ERRORS, "seed"):
                raise ConfigError(f"simulated: {key!r} is none of {', '.join(_ERRORS)}, seed")
            try:
                values[key] = float(value)
            except ValueError:
                raise ConfigError(f"simulated: {key}: {value!r} is no number") from None
        seed = values.pop("seed", 0.0)
        if not seed.is_integer():
            raise ConfigError(f"simulated: seed: {seed} is no whole number")
        self._seed = int(seed)
        self._errors = ErrorModel(**{_ERRORS[key]: value for key, value in values.items()})
        self._known = Known(read_labelled(Path(file)))
        self.name = Simulated({}, self._errors, self._seed).name

    def __call__(self, lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
        """Answer from the truth of each line, or of its template, with the errors stated."""
        truth = {
            line: answer.anomalous
            for line, answer in zip(lines, self._known(lines, examples), strict=True)
            if answer.anomalous is not None
        }
        return Simulated(truth, self._errors, self._seed)(lines, examples)

    def queries(self, entries: Entries) -> AskQueries:
        """Return the simulation of `calibrate.simulated` over every line kept of the entries.

        ``template`` is the share of lines whose error is that of their kind.
        """
        kind = kinds(entries.vectors)
        lines = [(shown(line), at) for at, each in enumerate(entries.variants) for line in each]
        answers = self._known([line for line, _ in lines], [])
        truth = {
            line: answer.anomalous
            for (line, _), answer in zip(lines, answers, strict=True)
            if answer.anomalous is not None
        }
        errors = self._errors
        return OfQueries(
            truth,
            {line: int(kind[at]) for line, at in lines},
            {line: entries.vectors[at] for line, at in lines},
            Errors(_rate(errors.wrong_normal), _rate(errors.wrong_anomalous), errors.by_template),
            self._seed,
        )


def _rate(given: float) -> float:
    return min(max(given, _LEAST_RATE), 1 - _LEAST_RATE)
