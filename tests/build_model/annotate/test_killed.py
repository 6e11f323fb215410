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
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from .server import Exchange, serving

KILLS = int(os.environ.get("LOGAGENT_KILLS", "2"))
LINES = 40 * (KILLS + 2)
DEADLINE = 120.0  # [s] a loaded machine is slow


def slowly(exchange: Exchange) -> None:
    threading.Event().wait(0.03)  # a reply is under way when the kill comes
    exchange.good()


@pytest.mark.slow
def test_a_killed_labelling_asks_nothing_again_and_loses_no_label(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = random.Random(1)
    under_way = 0
    with serving() as server:
        server.always = slowly
        command = [sys.executable, str(Path(__file__).with_name("killed.py")), server.url]
        command += [str(tmp_path / "store"), str(out), str(LINES)]
        start = {"start_new_session": True, "stderr": subprocess.DEVNULL}
        for _ in range(KILLS):
            wanted = sum(server.answered.values()) + source.randrange(1, 12)
            process = subprocess.Popen(command, **start)
            deadline = time.monotonic() + DEADLINE
            while sum(server.answered.values()) < wanted and process.poll() is None:
                assert time.monotonic() < deadline
                threading.Event().wait(source.random() * 0.02)
            assert process.poll() is None, "it ended before it was killed"
            under_way += server.at_once
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(command, check=True, timeout=DEADLINE, **start)

    asked = sum(server.asked.values())
    print(f"{KILLS} kills, {under_way} under way, {asked} requests")  # noqa: T201  # for docs
    assert {1} == set(server.asked.values())
    assert {1} == set(server.answered.values())
    assert 0 < under_way
    assert "".join(str(int(bool(n % 3))) for n in range(LINES)) == out.read_text()
