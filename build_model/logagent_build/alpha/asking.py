"""Language models as labellers and explainers, through the annotator package.

Guarantees: the store of replies stands in front of every model, so the same command goes on where
it was stopped and pays nothing twice; budgets, retries and batch files are the annotator's. What
was asked and paid can be told at any time (`Bill`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from logagent_build.alpha.explain import PROMPT, Ask, Prompt
from logagent_build.alpha.labeller import Answer, Example, LabelLines
from logagent_build.alpha.labellers import by_name
from logagent_build.annotate import labelling, prompt_files, protocol
from logagent_build.annotate.budget import Account
from logagent_build.annotate.choice import Choice, Opened, opened

__all__ = ["Bill", "Shown", "explainer", "labeller"]

Shown = Callable[[int, int, Account], None]
"""Told prompts answered, prompts known of, and what was paid."""
Bill = Callable[[], dict[str, Any]]
"""Tells for records what was asked and paid: in all runs on this output together."""
_FREE = ("labels", "simulated")  # annotators that ask nobody


def _silent(_done: int, _known: int, _account: Account) -> None:
    return None


@contextmanager
def labeller(
    choice: Choice,
    prompt: str,
    thinking_tokens: int,
    say: Callable[[str], None],
    shown: Shown = _silent,
) -> Iterator[tuple[LabelLines, str, Bill]]:
    """Open a labeller of lines; yields it with the name for records, and its bill.

    Args:
        choice: whom to ask; ``labels:FILE`` and ``simulated:FILE,…``, too.
        prompt: name or file of a prompt.
        thinking_tokens: [tokens] a reply may be longer by.
        say: hears what people should know meanwhile, such as an endpoint that does not answer.
        shown: told how far it is, and what was paid.

    Raises:
        LogagentError, OSError, ValueError: there is none like this, or it cannot be opened.
    """
    if choice.who.partition(":")[0] in _FREE:
        yield *by_name(choice.who), _nothing
        return
    file = prompt_files.load(prompt)
    options = labelling.Options(thinking_tokens=thinking_tokens)
    counts: Counter[str] = Counter()
    with opened(choice, say) as found:
        before = 0  # prompts of earlier turns

        def ask(lines: Sequence[str], examples: Sequence[Example], /) -> list[Answer]:
            nonlocal before
            few_shot = [labelling.Example(line, anomalous) for line, anomalous in examples]
            turn = 0

            def progress(done: int, known: int) -> None:
                nonlocal turn
                turn = known
                shown(before + done, before + known, found.account)

            labels = labelling.label(
                lines,
                found.annotator,
                file,
                few_shot,
                options=options,
                counts=counts,
                progress=progress,
            )
            before += turn
            return [Answer(each.anomalous, each.reason) for each in labels]

        def bill() -> dict[str, Any]:
            versioned = {"name": file.name, "version": file.version, "sha256": file.digest}
            counted = {"prompts": counts["prompts"], "counts": dict(sorted(counts.items()))}
            return {"prompt": versioned} | counted | _paid(found)

        yield ask, f"{found.annotator.model}, prompt {file.name} {file.version}", bill


@contextmanager
def explainer(
    choice: Choice,
    prompt: str,
    thinking_tokens: int,
    say: Callable[[str], None],
    shown: Shown = _silent,
) -> Iterator[tuple[Ask, str, Bill]]:
    """Open an explainer of alerts; yields it with the name for reports, and its bill.

    Raises:
        LogagentError, OSError: there is none like this, or it cannot be opened.
    """
    file = prompt_files.load(prompt or PROMPT, "explain")
    with opened(choice, say) as found:
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
                    file.tokens_fixed + thinking_tokens,
                    tag=f"explain {file.name} {file.version}",
                )
                for each in prompts
            ]
            answered = 0

            def arrived(_index: int, _outcome: protocol.Outcome) -> None:
                nonlocal answered
                answered += 1
                shown(answered, len(made), found.account)

            outcomes = found.annotator.ask(made, arrived)
            return [each.text if isinstance(each, protocol.Reply) else None for each in outcomes]

        yield ask, found.annotator.model, lambda: {"prompts": asked} | _paid(found)


def _nothing() -> dict[str, Any]:
    return {"prompt": None, "prompts": 0, "paid": None}


def _paid(found: Opened) -> dict[str, Any]:
    found.account.refresh()
    account = found.account
    return {
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        }
    }
