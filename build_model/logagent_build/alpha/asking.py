"""Language models as labellers and explainers, through the annotator package.

Guarantees: the store of replies stands in front of every model, so the same command goes on where
it was stopped and pays nothing twice; budgets, retries and batch files are the annotator's. What
was asked and paid can be told at any time (`Bill`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logagent_build.alpha.explain import PROMPT, Ask, Prompt
from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.labellers import by_name
from logagent_build.annotate import choice, labelling, prompt_files, protocol
from logagent_build.annotate.budget import Account
from logagent_build.annotate.log_lines import Own

__all__ = ["Bill", "Shown", "Who", "explainer", "labeller", "own_files"]

Shown = Callable[[int, int, Account], None]
"""Told prompts answered, prompts known of, and what was paid."""
Bill = Callable[[], dict[str, Any]]
"""Tells for records what was asked and paid: in all runs on this output together."""
_FREE = ("labels", "simulated")  # annotators that ask nobody


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
    """Further fields of `annotate.endpoint.Settings`."""
    thinking_tokens: int = 0
    """[tokens] A reply may be longer by."""

    @property
    def choice(self) -> choice.Choice:
        """The same, as the annotator package has it."""
        return choice.Choice(
            self.spec,
            str(self.store.absolute()),
            self.store,
            self.model,
            self.budget,
            self.prices,
            self.responses,
            self.key_env,
            self.key_file,
            self.settings,
        )


def own_files(who: Who, outputs: Sequence[Path], inputs: Sequence[Path | None]) -> Own:
    """Return which files are no logs: see `annotate.choice.own_files`."""
    return choice.own_files(who.choice, outputs, inputs)


def _silent(_done: int, _known: int, _account: Account) -> None:
    return None


@contextmanager
def labeller(
    who: Who, say: Callable[[str], None], shown: Shown = _silent
) -> Iterator[tuple[LabelLines, str, Bill]]:
    """Open a labeller of lines; yields it with the name for records, and its bill.

    Args:
        who: whom to ask.
        say: hears what people should know meanwhile, such as an endpoint that does not answer.
        shown: told how far it is, and what was paid.

    Raises:
        LogagentError, OSError, ValueError: there is none like this, or it cannot be opened.
    """
    if who.spec.partition(":")[0] in _FREE:
        yield *by_name(who.spec), _nothing
        return
    prompt = prompt_files.load(who.prompt)
    options = labelling.Options(thinking_tokens=who.thinking_tokens)
    counts: Counter[str] = Counter()
    with choice.opened(who.choice, say) as opened:
        before = 0  # prompts of earlier turns

        def ask(lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
            nonlocal before
            few_shot = [labelling.Example(line, anomalous) for line, anomalous in examples]
            turn = 0

            def progress(done: int, known: int) -> None:
                nonlocal turn
                turn = known
                shown(before + done, before + known, opened.account)

            labels = labelling.label(
                lines,
                opened.annotator,
                prompt,
                few_shot,
                options=options,
                counts=counts,
                progress=progress,
            )
            before += turn
            return [Answer(each.anomalous, each.reason) for each in labels]

        def bill() -> dict[str, Any]:
            versioned = {"name": prompt.name, "version": prompt.version, "sha256": prompt.digest}
            counted = {"prompts": counts["prompts"], "counts": dict(sorted(counts.items()))}
            return {"prompt": versioned} | counted | _paid(opened)

        yield ask, f"{opened.annotator.model}, prompt {prompt.name} {prompt.version}", bill


@contextmanager
def explainer(
    who: Who, say: Callable[[str], None], shown: Shown = _silent
) -> Iterator[tuple[Ask, str, Bill]]:
    """Open an explainer of alerts; yields it with the name for reports, and its bill.

    Raises:
        LogagentError, OSError: there is none like this, or it cannot be opened.
    """
    file = prompt_files.load(who.prompt or PROMPT, "explain")
    with choice.opened(who.choice, say) as opened:
        asked = 0

        def ask(prompts: Sequence[Prompt]) -> list[str | None]:
            nonlocal asked
            asked += len(prompts)
            made = [
                protocol.Prompt(
                    (
                        protocol.Message("system", each.system),
                        protocol.Message("user", each.user),
                    ),
                    file.temperature,
                    file.tokens_fixed + who.thinking_tokens,
                    tag=f"explain {file.name} {file.version}",
                )
                for each in prompts
            ]
            answered = 0

            def arrived(_index: int, _outcome: protocol.Outcome) -> None:
                nonlocal answered
                answered += 1
                shown(answered, len(made), opened.account)

            outcomes = opened.annotator.ask(made, arrived)
            return [each.text if isinstance(each, protocol.Reply) else None for each in outcomes]

        yield ask, opened.annotator.model, lambda: {"prompts": asked} | _paid(opened)


def _nothing() -> dict[str, Any]:
    return {"prompt": None, "prompts": 0, "paid": None}


def _paid(opened: choice.Opened) -> dict[str, Any]:
    opened.account.refresh()
    account = opened.account
    return {
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        }
    }
