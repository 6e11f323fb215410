"""Stage 2: the templates of all systems to labels, kept as arrays and as a table for people.

    RUN/labels.npz     what training reads
    RUN/labels.tsv     label, probability of being wrong, lines, key for corrections, system, line

Guarantees: replies paid for are in RUN/replies.sqlite (or --store) before they are used, so
a run that was stopped, or waits for responses to a batch, goes on and pays nothing twice.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from logagent import files
from logagent.sanitise import printable

from logagent_build.alpha.corrections import template_key
from logagent_build.calibrate.entries import Entries
from logagent_build.folder.annotators import Asker
from logagent_build.folder.stages import Finished, RunFolder
from logagent_build.folder.strategies import Labels, Plan, label_entries

__all__ = ["OUTPUTS", "doubtful", "label", "stored"]

OUTPUTS = ("labels.npz", "labels.tsv")
_LONGEST = 2000  # [characters] of a line in the table
_HEADER = "label\twrong\tlines\ttemplate\tsystem\tline\n"


def label(
    run: RunFolder,
    inputs: str,
    entries: Entries,
    asker: Asker,
    plan: Plan,
    people: Mapping[str, bool],
    *,
    left_out: tuple[int, int] = (0, 0),
    progress: Callable[[str, float], None] = lambda _stage, _done: None,
) -> Finished:
    """Label all entries and finish the stage.

    Args:
        run: folder of the build.
        inputs: hash of what the labels depend on.
        entries: of all systems.
        asker: whom to ask.
        plan: how.
        people: corrections, by key.
        left_out: templates that were read and are no entries, and their lines: for the record.
        progress: told of the stages.

    Raises:
        LogagentError, ValueError: see `strategies.label_entries`.
        OSError: the run folder cannot be written.
    """
    labels, reviewed = label_entries(entries, asker, plan, people=people, progress=progress)
    packed = io.BytesIO()
    np.savez(
        packed,
        anomalous=labels.anomalous,
        soft=labels.soft,
        wrong=labels.wrong,
        numbers=np.array([labels.calls, labels.rounds, labels.unanswered]),
    )
    files.replace(run / OUTPUTS[0], packed.getvalue(), mode=0o600)
    table = _HEADER + "".join(_row(entries, labels, at) for at in range(len(entries)))
    files.replace(run / OUTPUTS[1], table.encode(), mode=0o600)
    account = asker.account
    facts: dict[str, Any] = {
        "annotator": asker.name,
        "simulation": asker.simulation,
        "strategy": plan.strategy,
        "calls_allowed": plan.calls,
        "calls": labels.calls,
        "rounds": labels.rounds,
        "unanswered": labels.unanswered,
        "templates": len(entries),
        "unlabelled_templates": int((labels.wrong >= 0.5).sum()),  # as likely wrong as right
        "lines": int(entries.count.sum()),
        "left_out_templates": left_out[0],
        "left_out_lines": left_out[1],
        "anomalous_templates": int(labels.anomalous.sum()),
        "anomalous_lines": int(entries.count[labels.anomalous].sum()),
        "expected_wrong_lines": round(float((labels.wrong * entries.count).sum()), 1),
        "reviewed_templates": reviewed,
        "paid": None
        if account is None
        else {
            "requests": account.requests,
            "input_tokens": account.input_tokens,
            "output_tokens": account.output_tokens,
            "dollars": account.dollars,
        },
    }
    return run.finish("label", inputs, OUTPUTS, facts)


def stored(run: RunFolder) -> Labels:
    """Return the labels of a finished stage.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    with np.load(run / OUTPUTS[0], allow_pickle=False) as arrays:
        calls, rounds, unanswered = (int(number) for number in arrays["numbers"])
        return Labels(
            arrays["anomalous"], arrays["soft"], arrays["wrong"], calls, rounds, unanswered
        )


def doubtful(entries: Entries, labels: Labels, most: int) -> list[int]:
    """Return the entries that a person should look at: where most lines may be wrong."""
    expected = labels.wrong * entries.count
    order = np.argsort(-expected, kind="stable")[:most]
    return [int(at) for at in order if labels.wrong[at] > 0]


def _row(entries: Entries, labels: Labels, at: int) -> str:
    cells = (
        int(labels.anomalous[at]),
        f"{labels.wrong[at]:.3f}",
        int(entries.count[at]),
        template_key(entries.templates[at]),
        entries.names[int(entries.domain[at])],
        printable(entries.variants[at][0], _LONGEST),
    )
    return "\t".join(map(str, cells)) + "\n"
