"""`logagent-build vote`: a language model's votes on sequences, resumable, with their cost.

    sequences, examples, corrections → LLMVoter (annotator ← budget ← store) → votes, record

Guarantees: whatever stops it, the same command goes on; what was paid is in the store beside the
output. The output is replaced when all votes are known, never half written. All sequences are one
exchange of batch files; meanings of templates, where they are asked for, are one before it. What
both may cost is told before either is asked. A simulation says so in the record, and needs a label
for every sequence.

The cache of FlexLog (§3.2) is the store of replies, where its key is the whole prompt, so that no
vote of another model, of other examples or of other meanings is taken for this one's; equal
sequences of a run are one. Its update and delete are `corrections`.
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
from logagent_build.annotate.protocol import Annotator, Prompt
from logagent_build.annotate.recorded import Recorded, Store
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm import describing
from logagent_build.sequences.llm.corrections import corrected, read_corrections
from logagent_build.sequences.llm.few import drawn, votes_in_rounds
from logagent_build.sequences.llm.retrieval import GIVEN, Rarity, given_meanings
from logagent_build.sequences.llm.sequence_files import SequenceFile, read_sequences
from logagent_build.sequences.llm.sequence_keys import keys
from logagent_build.sequences.llm.simulated import SimulatedSequences, read_errors
from logagent_build.sequences.llm.voter import LLMVoter, Options
from logagent_build.sequences.llm.votes import Vote, record_beside, write_votes

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
    """Sequences: those with a label to choose examples from, all for which events are rare."""
    meanings: Sequence[str] = ("system-calls",)
    """``system-calls``, ``ask`` (the model, for the rest), ``none``, or paths of tables."""
    options: Options = field(default_factory=Options)
    adapter: Path | None = None
    """Of a model ``local:FOLDER``."""
    review: Path | None = None
    """Sequences labelled by people: they win, and are not asked about."""
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
    record_path = record_beside(request.out)
    _check_outputs(request, record_path)
    file = prompt_files.load(request.prompt, "sequence")
    asked = read_sequences(request.sequences)
    examples = read_sequences(request.examples) if request.examples else None
    corrections = read_corrections(request.review)
    order = keys(asked.data)
    rest = asked.data.only([at for at, key in enumerate(order) if key not in corrections])
    if request.most is not None and not request.in_rounds:
        rest = drawn(rest, request.most, request.options.seed)
    known = given_meanings(source for source in request.meanings if source != _ASK)
    counts: Counter[str] = Counter()
    with _annotator(request, asked, examples, file, say) as chosen:
        lacking = _lacking(request, asked.data, known) if len(rest) else []
        meant = describing.expected(lacking, chosen.annotator.model, chosen.store)
        first = describing.first_prompts(lacking)
        first += _voter(request, chosen.annotator, file, examples, known | meant).prompts(
            rest if request.most is None else drawn(rest, request.most, request.options.seed)
        )
        expected = money.estimate(first, chosen.account.price)
        say(_estimate(len(rest), first, chosen, expected))
        if only_estimate:
            return {"estimate": dataclasses.asdict(expected)}
        if lacking:
            known |= describing.describe(lacking, chosen.annotator, counts=counts)
        voter = _voter(request, chosen.annotator, file, examples, known)
        votes = _votes(rest, voter, request, shown, chosen.account)
        votes = corrected(order, corrections, votes)
        counts.update(voter.counts)
        chosen.account.refresh()
        record = _record(request, file, chosen, counts) | {
            "sequences": len(order),
            "distinct": len(set(order)),
            "cache": _cache(votes, counts["answered before"]),
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
    if most is None or not request.in_rounds:
        return voter.votes(data, lambda done, known: shown(done, known, account))

    def ask(few: Sequences) -> list[Vote]:
        nonlocal before
        votes = voter.votes(few, lambda done, _known: shown(before + done, most, account))
        before += len(few)
        return votes

    return votes_in_rounds(data, most, request.options.seed, ask)


def _check_outputs(request: Request, record: Path) -> None:
    """Refuse what cannot be written, or would be written over something that is read."""
    tables = [Path(each) for each in request.meanings if each not in (*GIVEN, _ASK)]
    read = (request.sequences, request.examples, request.review, Path(request.prompt), *tables)
    request.choice.check((request.out, record), read)


def _annotator(
    request: Request,
    asked: SequenceFile,
    examples: SequenceFile | None,
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
    # What stays of long sequences depends on the examples.
    voter = _voter(request, nobody, file, examples)
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


def _voter(
    request: Request,
    annotator: Annotator,
    file: prompt_files.PromptFile,
    examples: SequenceFile | None,
    meanings: dict[str, str] | None = None,
) -> LLMVoter:
    """Return a fitted voter. Which events are rare, sequences without a label tell, too."""
    voter = LLMVoter(annotator, request.options, meanings, file)
    if examples is None:
        return voter
    labelled = examples.labelled() if request.options.shots else examples.data.only([])
    return voter.fit(labelled, Rarity(examples.data))


def _lacking(request: Request, data: Sequences, known: dict[str, str]) -> list[str]:
    """Return the events that the model is to be asked the meanings of; none if none is shown.

    Those of all sequences: a correction changes no prompt, so nothing is paid anew for it.
    """
    if _ASK not in request.meanings or not request.options.meanings:
        return []
    return sorted(set(data.vocabulary) - known.keys())


def _cache(votes: Sequence[Vote], before: int) -> dict[str, int]:
    """Return what §3.2 counts: sequences looked up, and how many needed no request of this run."""
    reviewed = len({vote.sequence for vote in votes if vote.how == "reviewed"})
    distinct = len({vote.sequence for vote in votes})
    return {
        "queries": len(votes),
        "hits_equal": len(votes) - distinct,
        "hits_reviewed": reviewed,
        "hits_answered_before": before,
        "misses": distinct - reviewed - before,
    }


def _estimate(
    sequences: int, first: Sequence[Prompt], chosen: Opened, expected: money.Estimate
) -> str:
    store, model = chosen.store, chosen.annotator.model
    known = 0 if store is None else sum(store.get(each.key(model)) is not None for each in first)
    dollars = (
        "; no price is known, tokens are counted only"
        if expected.dollars is None
        else f", at most about {money.shown(expected.dollars)}"
    )
    return (
        f"{sequences:,} sequences: {expected.requests:,} requests"
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
    """Compare the model's votes with labels; a refused sequence is predicted normal."""
    of = {vote.sequence: bool(vote.anomalous) for vote in votes if vote.how != "reviewed"}
    names = keys(asked.data)
    said = np.array([of.get(name, False) for name in names], dtype=np.bool_)
    truth = asked.data.anomalous
    known = asked.known & np.array([name in of for name in names], dtype=np.bool_)
    if not known.any():
        return None
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
