"""kill -9 of a labelling, again and again, while a real server answers.

The server counts: a request that it answered must never come again. `LOGAGENT_KILLS=20` makes it
as many as the project's target says; the suite does with fewer.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from .server import Exchange, serving

KILLS = int(os.environ.get("LOGAGENT_KILLS", "2"))
LINES = 40 * (KILLS + 2)
DEADLINE = 120.0  # [s] a loaded machine is slow


class Gate:
    """Answers a number of requests, and holds the next ones back until it is opened."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.reached, self.opened = threading.Event(), threading.Event()
        self.held = 0

    def __call__(self, exchange: Exchange) -> None:
        with exchange.server.lock:
            self.answers -= 1
            last, held = self.answers == 0, self.answers < 0
            self.held += held
        if held:
            self.opened.wait(DEADLINE)
        exchange.good()
        if last:
            self.reached.set()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


@pytest.mark.slow
def test_a_killed_labelling_asks_nothing_again_and_loses_no_label(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = random.Random(1)
    under_way = 0
    with serving() as server:
        command = [sys.executable, str(Path(__file__).with_name("killed.py")), server.url]
        command += [str(tmp_path / "store"), str(out), str(LINES)]
        start = {"start_new_session": True, "stderr": subprocess.DEVNULL}
        for number in range(KILLS):
            server.always = gate = Gate(source.randrange(1, 12))
            process = subprocess.Popen(command, **start)
            assert gate.reached.wait(DEADLINE)
            if number % 2:  # every other kill comes right after an answer
                until(lambda gate=gate: gate.held > 0)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            under_way += gate.held
            gate.opened.set()
        server.always = None
        subprocess.run(command, check=True, timeout=DEADLINE, **start)

    asked = sum(server.asked.values())
    print(f"{KILLS} kills, {under_way} under way, {asked} requests")  # noqa: T201  # for docs
    assert {1} == set(server.asked.values())
    assert {1} == set(server.answered.values())
    assert 0 < under_way
    assert "".join(str(int(bool(n % 3))) for n in range(LINES)) == out.read_text()
