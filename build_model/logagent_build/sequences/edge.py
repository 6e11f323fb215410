"""What the agent makes of a trained ensemble: its size, its time, and whether it agrees."""

from __future__ import annotations

import time
from typing import Any

import msgpack
import numpy as np
from logagent.sequences.ensemble import Ensemble

from logagent_build.sequences import choosing, export
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.training import Settings, train

__all__ = ["measured"]

EVENTS = 500  # of the sequence that is timed beside those of the test
REPEATED = 200  # times


def measured(full: Sequences, test: Sequences, labels: int, settings: Settings) -> dict[str, Any]:
    """Train, export, read as the agent does, and judge the test one by one.

    Returns:
        ``parameters``, ``bytes`` of the part, ``differ`` (verdicts that are not scikit-learn's, of
        all voters), ``milliseconds`` (median and 95th percentile of a sequence of the test; of
        those judged normal; of a normal one stretched to `EVENTS` events).
    """
    which = choosing.asked(full, labels, 0)
    left, hidden = choosing.rest(full, which), choosing.hidden(full, which)
    trained = train(full.only(which), settings, 0, left, hidden=hidden)
    packed = msgpack.packb(export.part(trained))
    ensemble = Ensemble.read(msgpack.unpackb(packed))
    voters = (*trained.others, trained.forest)
    expected = {voter.name: voter.predict(test) for voter in voters}
    judged, took = [], []
    for events in test.events:
        began = time.perf_counter()
        judged.append(ensemble.judge(events))
        took.append(1e3 * (time.perf_counter() - began))
    differ = sum(
        one.votes[name] != bool(said[at])
        for at, one in enumerate(judged)
        for name, said in expected.items()
    )
    normal = [at for at, one in enumerate(judged) if not one.anomalous]
    long = []
    for at in normal[:REPEATED]:
        events = np.resize(test.events[at], EVENTS).astype(np.int32)
        began = time.perf_counter()
        ensemble.judge(events)
        long.append(1e3 * (time.perf_counter() - began))
    return {
        "parameters": ensemble.parameters,
        "bytes": len(packed),
        "sequences": len(test),
        "differ": int(differ),
        "milliseconds": {
            "median": round(float(np.median(took)), 3),
            "95 %": round(float(np.percentile(took, 95)), 3),
            "median, normal": round(float(np.median([took[at] for at in normal])), 3),
            f"median, {EVENTS} events": round(float(np.median(long)), 3),
        },
    }
