"""The process that asks: what it hides, what it survives, what it tells."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from logagent.errors import StateError
from logagent_build.annotate.courier import Courier
from logagent_build.annotate.endpoint import Settings
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.protocol import Failure, Message, Outcome, Prompt, Reply
from logagent_build.annotate.recorded import Store

from .server import Exchange, Server, serving

pytestmark = pytest.mark.slow  # each courier takes a second to start
SECRET = "sk-very-secret"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt((Message("user", text),), 0.0, 50, {"a": None}, "tag", 1) for text in texts]


def courier(server: Server, store: Path, **given: object) -> Courier:
    given = {"concurrency": 2, "key": SECRET, "patience_seconds": 0} | given
    return Courier(Settings(server.url, "m", **given), store, "r")  # type: ignore[arg-type]  # as given


def test_outcomes_come_as_from_the_endpoint_itself_and_are_stored(
    server: Server, tmp_path: Path
) -> None:
    server.always = lambda e: e.error(400, "no") if e.prompt == "bad" else e.good(f"re: {e.prompt}")
    asking = courier(server, tmp_path / "s")
    told: dict[int, Outcome] = {}
    first = asking.ask(prompts("a", "bad", "ü\x00"), told.__setitem__)
    second = asking.ask(prompts("b"))
    asking.close()

    assert ["re: a", "re: ü\x00"] == [each.text for each in first if isinstance(each, Reply)]
    assert isinstance(first[1], Failure)
    assert first == [told[number] for number in range(3)]
    assert ["re: b"] == [each.text for each in second if isinstance(each, Reply)]
    with Store(tmp_path / "s") as store:
        assert 3 == store.spent("r", "m").requests


def test_the_key_is_in_no_list_of_processes(server: Server, tmp_path: Path) -> None:
    asking = courier(server, tmp_path / "s")
    asking.ask(prompts("a"))
    process = asking._process
    assert process is not None
    seen = b"".join(
        Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")
    )
    asking.close()

    assert b"courier" in seen
    assert SECRET.encode() not in seen
    assert f"Bearer {SECRET}" == server.headers[0]["authorization"]


def test_a_killed_courier_is_one_clear_word_and_the_next_goes_on(
    server: Server, tmp_path: Path
) -> None:
    asking = courier(server, tmp_path / "s", concurrency=1)

    def kills(exchange: Exchange) -> None:
        assert asking._process is not None
        os.kill(asking._process.pid, signal.SIGKILL)

    server.script = [lambda e: e.good("one"), kills]
    with pytest.raises(AnnotatorError, match=r"ended \(exit code -9\).*again to go on"):
        asking.ask(prompts(*"abcdef"))
    again = asking.ask(prompts(*"abcdef"))
    asking.close()

    assert 6 == sum(isinstance(each, Reply) for each in again)
    assert {1} == set(server.answered.values())


def test_what_ends_the_courier_is_raised_here(server: Server, tmp_path: Path) -> None:
    server.always = lambda exchange: exchange.error(401, "no")
    refused = courier(server, tmp_path / "s")
    with pytest.raises(AnnotatorError, match="HTTP 401"):
        refused.ask(prompts("a"))
    (tmp_path / "s").write_text("no database" * 200)
    (tmp_path / "s-wal").unlink(missing_ok=True)
    spoilt = courier(server, tmp_path / "s")
    with pytest.raises(StateError, match="cannot be used"):
        spoilt.ask(prompts("a"))


def test_one_courier_at_a_time_asks_for_a_store(server: Server, tmp_path: Path) -> None:
    """The second waits, and finds what the first was told."""
    hold, asked = threading.Event(), threading.Event()

    def slowly(exchange: Exchange) -> None:
        asked.set()
        hold.wait(60)
        exchange.good("slow")

    server.script = [slowly]
    one = courier(server, tmp_path / "s")
    first = threading.Thread(target=lambda: one.ask(prompts("a")))
    first.start()
    assert asked.wait(60)
    said: list[str] = []

    def release(text: str) -> None:
        said.append(text)
        hold.set()
        first.join()
        one.close()

    two = Courier(Settings(server.url, "m"), tmp_path / "s", "r", release)
    (outcome,) = two.ask(prompts("a"))
    two.close()

    assert isinstance(outcome, Reply)
    assert ("slow", True) == (outcome.text, outcome.recorded)
    assert 1 == len(said)
    assert 1 == sum(server.asked.values())
