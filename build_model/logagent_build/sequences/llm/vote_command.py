"""`logagent-build vote`: a language model's votes on sequences, resumable, with their cost.

    sequences, examples → LLMVoter (annotator ← budget ← store) → votes, record

Guarantees: whatever stops it, the same command goes on; what was paid is in the store beside the
output. The output is replaced when all votes are known, never half written. All sequences are one
exchange of batch files; meanings of templates, where they are asked for, are one before it. A
simulation says so in the record, and needs a label for every sequence.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate import budget as money
from logagent_build.annotate import prompt_files
from logagent_build.annotate.choice import Choice, Opened, opened
from logagent_build.annotate.label_command import Shown
from logagent_build.annotate.outputs import writable
from logagent_build.annotate.recorded import Recorded, Store
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm import describing
from logagent_build.sequences.llm.few import drawn, votes_on_few
from logagent_build.sequences.llm.retrieval import GIVEN, given_meanings
from logagent_build.sequences.llm.sequence_files import SequenceFile, read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.simulated import SimulatedSequences, read_errors
from logagent_build.sequences.llm.voter import LLMVoter, Options
from logagent_build.sequences.llm.votes import Vote, write_votes

__all__ = ["Request", "run"]

_ASK = "ask"


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    sequences: Path
    out: Path
    choice: Choice
    prompt: str = "flexlog"
    examples: Path | None = None
    """Labelled sequences to choose examples from."""
    meanings: Sequence[str] = ("system-calls",)
    """``system-calls``, ``ask`` (the model, for the rest), ``none``, or paths of tables."""
    options: Options = field(default_factory=Options)
    adapter: Path | None = None
    """Of a model ``local:FOLDER``."""
    most: int | None = None
    """How many distinct sequences are asked about, drawn at random; None: all."""
    in_rounds: bool = False
    """Whether these are those that look most anomalous so far."""


def run(
    request: Request, shown: Shown, say: Callable[[str], None], *, only_estimate: bool = False
) -> dict[str, Any]:
    """Ask for votes; return the record.

    Raises:
        LogagentError: it cannot be done, or not yet; see `annotate.errors`.
        OSError: a file cannot be written.
    """
    began = time.time()
    record_path = request.out.with_name(request.out.name + ".json")
    _check_outputs(request, record_path)
    file = prompt_files.load(request.prompt, "sequence")
    asked = read_sequences(request.sequences)
    few_shot = read_sequences(request.examples).labelled() if request.examples else None
    counts: Counter[str] = Counter()
    with _annotator(request, asked, few_shot, file, say) as chosen:
        meanings, first = _meanings(request, asked.data, chosen, counts, only_estimate)
        voter = LLMVoter(chosen.annotator, request.options, meanings, file)
        if few_shot is not None:
            voter.fit(few_shot)
        first += voter.prompts(_for_estimate(asked.data, request))
        expected = money.estimate(first, chosen.account.price)
        say(_estimate(asked.data, first, chosen, expected))
        if only_estimate:
            return {"estimate": dataclasses.asdict(expected)}
        votes = _votes(asked.data, voter, request, shown, chosen.account)
        chosen.account.refresh()
        record = _record(request, file, chosen, counts | voter.counts) | {
            "sequences": len(asked.data),
            "distinct": len({vote.sequence for vote in votes}),
            "votes": _summary(votes),
            "right": _right(asked, votes),
            "estimate": dataclasses.asdict(expected),
            "seconds": round(time.time() - began, 1),
        }
    write_votes(request.out, votes)
    files.replace(record_path, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _votes(
    data: Sequences, voter: LLMVoter, request: Request, shown: Shown, account: money.Account
) -> list[Vote]:
    """Ask about all sequences, or in rounds about a few."""
    most, before = request.most, 0
    if most is None:
        return voter.votes(data, lambda done, known: shown(done, known, account))

    def ask(few: Sequences) -> list[Vote]:
        nonlocal before
        votes = voter.votes(few, lambda done, _known: shown(before + done, most, account))
        before += len(few)
        return votes

    return votes_on_few(data, most, request.options.seed, ask, in_rounds=request.in_rounds)


def _for_estimate(data: Sequences, request: Request) -> Sequences:
    """Return what is asked about; of rounds, as many drawn at random."""
    most = request.most
    return data if most is None else drawn(data, most, request.options.seed)


def _check_outputs(request: Request, record: Path) -> None:
    """Refuse what cannot be written, or would be written over something that is read."""
    choice = request.choice
    kind, _, rest = choice.who.partition(":")
    tables = [Path(each) for each in request.meanings if each not in (*GIVEN, _ASK)]
    read = (request.sequences, request.examples, choice.prices, choice.key_file, *choice.responses)
    for path in (request.out, record, *([Path(rest)] if kind == "batch" else [])):
        writable(path, (*read, Path(request.prompt), *tables))


def _annotator(
    request: Request,
    asked: SequenceFile,
    few_shot: Sequences | None,
    file: prompt_files.PromptFile,
    say: Callable[[str], None],
) -> AbstractContextManager[Opened]:
    kind, _, rest = request.choice.who.partition(":")
    if kind == "local":
        return _local(Path(rest), request)
    if request.adapter is not None:
        raise ConfigError("an adapter goes with --annotator local:MODEL")
    if kind != "simulated":
        return opened(request.choice, say)
    if _ASK in request.meanings:
        raise ConfigError("a simulation knows no meanings: leave out --meanings ask")
    if not asked.known.all():
        raise ConfigError("a simulation needs the label of every sequence")
    account = money.Account(None, None)
    nobody = SimulatedSequences((), (), read_errors(rest))
    voter = LLMVoter(nobody, request.options, file=file)
    if few_shot is not None:
        voter.fit(few_shot)  # what stays of long sequences depends on it
    truth = asked.data.anomalous.tolist()
    made = SimulatedSequences(voter.texts(asked.data), truth, read_errors(rest))
    if made.torn:
        say(f"{made.torn:,} texts stand for sequences of both labels; the simulation takes them "
            "for anomalous")  # fmt: skip
    return nullcontext(Opened(money.Budgeted(made, account), account, None))


@contextmanager
def _local(model: Path, request: Request) -> Iterator[Opened]:
    from logagent_build.sequences.llm.lora import LocalModel  # noqa: PLC0415  # torch: slow

    if request.choice.budget is not None:
        raise ConfigError("a model on this machine costs nothing: leave out --budget")
    asked = LocalModel(model, request.adapter)
    account = money.Account(None, None)
    with Store(request.choice.store) as store:
        budgeted = money.Budgeted(asked, account)
        yield Opened(Recorded(store, budgeted, request.choice.run), account, store)


def _meanings(
    request: Request, data: Sequences, chosen: Opened, counts: Counter[str], only_estimate: bool
) -> tuple[dict[str, str], list[Any]]:
    """Return what events mean, and the prompts asked for it."""
    known = given_meanings(source for source in request.meanings if source != _ASK)
    if _ASK not in request.meanings:
        return known, []
    lacking = sorted({name for name in data.vocabulary if name not in known})
    prompts = describing.first_prompts(lacking)
    if not only_estimate:
        known |= describing.describe(lacking, chosen.annotator, counts=counts)
    return known, list(prompts)


def _estimate(
    data: Sequences, first: Sequence[Any], chosen: Opened, expected: money.Estimate
) -> str:
    store, model = chosen.store, chosen.annotator.model
    known = 0 if store is None else sum(store.get(each.key(model)) is not None for each in first)
    dollars = (
        "; no price is known, tokens are counted only"
        if expected.dollars is None
        else f", at most about {money.shown(expected.dollars)}"
    )
    return (
        f"{len(data):,} sequences: {expected.requests:,} requests"
        + (f", {known:,} of them answered before" if known else "")
        + f", about {expected.input_tokens:,} tokens asked and up to {expected.output_tokens:,} "
        f"answered{dollars}; unclear replies add some"
    )


def _summary(votes: Sequence[Vote]) -> dict[str, int]:
    said = Counter(
        "refused" if vote.anomalous is None else ("normal", "anomalous")[vote.anomalous]
        for vote in votes
    )
    return dict(sorted(said.items()))


def _right(asked: SequenceFile, votes: Sequence[Vote]) -> dict[str, int] | None:
    """Compare votes with the labels there are of what was asked; refused ones are normal."""
    if not asked.known.any():
        return None
    of = {vote.sequence: bool(vote.anomalous) for vote in votes}
    names = keys(asked.data)
    truth = asked.data.anomalous
    known = asked.known & np.array([name in of for name in names], bool)
    said = np.array([of.get(name, False) for name in names], bool)
    return {
        "true_positives": int((said & truth & known).sum()),
        "false_positives": int((said & ~truth & known).sum()),
        "false_negatives": int((~said & truth & known).sum()),
        "true_negatives": int((~said & ~truth & known).sum()),
    }


def _record(
    request: Request, file: prompt_files.PromptFile, chosen: Opened, counts: Counter[str]
) -> dict[str, Any]:
    account, model = chosen.account, chosen.annotator.model
    return {
        "model": model,
        "simulation": model.startswith("simulated"),
        "prompt": {"name": file.name, "version": file.version, "sha256": file.digest},
        "options": dataclasses.asdict(request.options),
        "most": request.most,
        "in_rounds": request.in_rounds,
        "meanings": list(request.meanings),
        "examples": str(request.examples) if request.examples else None,
        "paid": {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        },
        "counts": dict(sorted(counts.items())),
    }
