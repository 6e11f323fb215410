"""When the loop of the agent has something to do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from logagent.service.agent import Agent


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(None, {"state.dir": str(tmp_path), "state.save_seconds": 10.0})


def test_positions_that_have_not_moved_are_never_due(agent: Agent) -> None:
    agent._next_save = 100.0
    assert math.inf == agent._save_due()


def test_positions_behind_an_alert_are_due_after_the_interval(agent: Agent) -> None:
    agent._next_save = 100.0
    agent.changed = agent._alerted = True
    assert 100.0 == agent._save_due()


def test_positions_without_an_alert_are_due_later_and_wake_nobody_before(agent: Agent) -> None:
    """The loop waits for this very moment: a time in the past would keep it awake until then."""
    agent._next_save = 100.0
    agent.changed = True
    assert 150.0 == agent._save_due()
