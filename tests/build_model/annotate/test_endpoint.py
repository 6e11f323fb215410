"""An endpoint asked over real HTTP, which answers well, badly, late, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="asking endpoints needs the [build] extra")

from logagent_build.annotate.endpoint import Endpoint, Settings
from logagent_build.annotate.errors import AnnotatorError
from logagent_build.annotate.protocol import Failure, Message, Outcome, Prompt, Reply
from logagent_build.annotate.retrying import retry_after

from .server import Exchange, Server, serving

SECRET = "sk-very-secret-key"


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
        return event.is_set()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(server: Server, clock: Clock) -> Iterator[Callable[..., Endpoint]]:
    made: list[Endpoint] = []

    def make(**given: Any) -> Endpoint:
        given = {"concurrency": 1, "key": SECRET, "base_url": server.url, "model": "m"} | given
        made.append(Endpoint(Settings(**given), clock=clock, wait=clock.wait))
        return made[-1]

    yield make
    for each in made:
        each.close()


def prompts(*texts: str, schema: dict[str, Any] | None = None) -> list[Prompt]:
    return [Prompt((Message("user", text),), 0.0, 50, schema) for text in texts]


def says(text: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.good(text)


def fails(status: int, message: str = "trouble", **more: Any) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.error(status, message, **more)


def texts(outcomes: list[Outcome]) -> list[str]:
    return [each.text if isinstance(each, Reply) else each.reason for each in outcomes]


def test_replies_come_in_the_order_of_the_prompts_and_are_told_as_they_arrive(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    server.always = lambda exchange: exchange.good(f"re: {exchange.prompt}")
    told: dict[int, Outcome] = {}
    asked = prompts(*map(str, range(20)))
    outcomes = endpoint(concurrency=4).ask(asked, told.__setitem__)

    assert [f"re: {number}" for number in range(20)] == texts(outcomes)
    assert outcomes == [told[number] for number in range(20)]
    assert 4 >= server.most_at_once


def test_a_reply_says_what_it_cost(server: Server, endpoint: Callable[..., Endpoint]) -> None:
    server.script = [says("12345678")]
    (reply,) = endpoint().ask(prompts("x" * 40))

    assert isinstance(reply, Reply)
    assert ("fake-1", 10, 2, "stop", False) == (
        reply.model,
        reply.input_tokens,
        reply.output_tokens,
        reply.finish_reason,
        reply.recorded,
    )
    assert SECRET in server.headers[0]["authorization"]


def test_retry_after_holds_back_everything(
    server: Server, endpoint: Callable[..., Endpoint], clock: Clock
) -> None:
    server.script = [fails(429, "slow down", Retry_After="37"), says("a"), says("b")]

    assert ["a", "b"] == texts(endpoint().ask(prompts("1", "2")))
    assert 37 <= clock.now - 1000 < 40


def test_retry_after_may_be_a_date(
    server: Server, endpoint: Callable[..., Endpoint], clock: Clock
) -> None:
    server.script = [fails(503, Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"), says("a")]

    assert ["a"] == texts(endpoint(patience_seconds=1e11).ask(prompts("1")))
    assert 1e8 < clock.now


def test_nobody_waits_longer_than_the_patience_for_a_quota(
    server: Server, endpoint: Callable[..., Endpoint], clock: Clock
) -> None:
    server.always = fails(429, "daily quota", Retry_After="40000")
    with pytest.raises(AnnotatorError, match=r"come back in 40000 s.*daily quota.*again then"):
        endpoint().ask(prompts("1", "2"))

    assert 1000 == clock.now


def test_an_endpoint_that_refuses_every_prompt_is_not_asked_all_of_them(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    server.always = fails(400, "unknown field temperatur")
    with pytest.raises(AnnotatorError, match=r"refuses every request.*temperatur"):
        endpoint().ask(prompts(*map(str, range(500))))

    assert 30 > sum(server.asked.values())


@pytest.mark.parametrize(
    "trouble",
    [
        fails(500),
        fails(502),
        fails(529),
        lambda exchange: exchange.drop(),
        lambda exchange: exchange.send(200, b'{"choices": [{"mess'),
        lambda exchange: exchange.send(200, b"<html>login</html>", "text/html"),
        lambda exchange: exchange.send(200, b'{"choices": []}'),
        lambda exchange: exchange.send(200, b'{"choices": [{"message": {"content": 7}}]}'),
        lambda exchange: exchange.send(200, b"null"),
        lambda exchange: exchange.send(200, b"[" * 200_000),
    ],
    ids=["500", "502", "529", "dropped", "cut", "html", "empty", "number", "null", "deep"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_may_pass_is_asked_again(
    server: Server,
    endpoint: Callable[..., Endpoint],
    trouble: Callable[[Exchange], None],
    stream: bool,
) -> None:
    server.script = [trouble, trouble, says("at last")]

    assert ["at last"] == texts(endpoint(stream=stream).ask(prompts("1")))
    assert 3 == sum(server.asked.values())


def test_waits_grow(server: Server, endpoint: Callable[..., Endpoint], clock: Clock) -> None:
    server.script = [fails(500)] * 5 + [says("a")]
    endpoint().ask(prompts("1"))

    assert 5 == len(clock.waits)
    assert all(0.75 * 2**n <= wait <= 1.25 * 2**n for n, wait in enumerate(clock.waits))


def test_a_slow_reply_is_asked_again(server: Server, endpoint: Callable[..., Endpoint]) -> None:
    done = threading.Event()
    server.script = [lambda _exchange: done.wait(20) and None, says("quick")]
    outcomes = endpoint(timeout_seconds=0.2).ask(prompts("1"))
    done.set()

    assert ["quick"] == texts(outcomes)


def test_streams_are_put_together(server: Server, endpoint: Callable[..., Endpoint]) -> None:
    server.script = [says("long " * 100)]
    (reply,) = endpoint(stream=True).ask(prompts("1"))

    assert isinstance(reply, Reply)
    assert ("long " * 100, "stop", 125) == (reply.text, reply.finish_reason, reply.output_tokens)


def test_a_stream_that_ends_early_is_no_reply(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "fake-1"}
    server.script = [
        lambda exchange: exchange.stream(head, "x" * 90, "stop", {}, drop=True),
        says("whole"),
    ]

    assert ["whole"] == texts(endpoint(stream=True).ask(prompts("1")))


def test_half_characters_in_a_reply_can_be_stored(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    body = b'{"choices": [{"message": {"content": "a\\ud800b"}, "finish_reason": "stop"}]}'
    server.script = [lambda exchange: exchange.send(200, body)]

    assert ["a?b"] == texts(endpoint().ask(prompts("1")))


def test_a_cut_reply_says_so(server: Server, endpoint: Callable[..., Endpoint]) -> None:
    server.script = [lambda exchange: exchange.good("half a", "length")]
    (reply,) = endpoint().ask(prompts("1"))

    assert isinstance(reply, Reply)
    assert "length" == reply.finish_reason


def test_an_endpoint_that_is_down_for_minutes_is_waited_for_aloud(
    server: Server, clock: Clock
) -> None:
    server.script = [fails(503)] * 12 + [says("back")]

    said: list[str] = []
    settings = Settings(server.url, "m", concurrency=1, patience_seconds=900)
    asking = Endpoint(settings, clock=clock, wait=clock.wait, say=said.append)
    outcomes = asking.ask(prompts("1"))
    asking.close()

    assert ["back"] == texts(outcomes)
    assert 300 < clock.now - 1000
    assert 3 <= len(said) <= 8
    assert "no answer for" in said[0]
    assert "HTTP 503" in said[0]


def test_an_endpoint_that_stays_down_ends_it_with_a_clear_word(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    server.always = fails(503)
    with pytest.raises(AnnotatorError, match=r"has not answered for .* HTTP 503.*again to go on"):
        endpoint(patience_seconds=60, concurrency=3).ask(prompts("1", "2", "3"))


def test_a_prompt_that_fails_while_others_succeed_stops_nobody(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    server.always = lambda e: e.error(500, "crash") if e.prompt == "poison" else e.good(e.prompt)
    outcomes = endpoint(concurrency=2).ask(prompts("poison", *map(str, range(30))))

    assert Failure("HTTP 500: Error code: 500", retryable=True).reason in texts(outcomes)[0]
    assert [*map(str, range(30))] == texts(outcomes)[1:]


def test_a_refused_prompt_is_a_failure_of_its_own(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    server.script = [fails(400, "content policy"), says("fine")]
    refused, fine = endpoint().ask(prompts("1", "2"))

    assert isinstance(refused, Failure)
    assert not refused.retryable
    assert "content policy" in refused.reason
    assert ["fine"] == texts([fine])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_all_ends_it_at_once_without_the_key(
    server: Server, endpoint: Callable[..., Endpoint], status: int
) -> None:
    server.always = fails(status, f"Incorrect API key provided: {SECRET}")
    with pytest.raises(AnnotatorError) as caught:
        endpoint().ask(prompts("1", "2"))

    assert 1 == sum(server.asked.values())
    assert SECRET not in str(caught.value)
    assert "***" in str(caught.value)
    assert 69 == caught.value.exit_code


def test_the_key_is_not_shown() -> None:
    settings = Settings("http://user:pass@host:81/v1?x=1", "m", key=SECRET)

    assert SECRET not in repr(settings)
    assert "http://host:81/v1" == settings.shown


SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_a_schema_is_sent_where_it_is_understood(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    endpoint().ask(prompts("1", schema=SCHEMA))

    assert SCHEMA == server.bodies[0]["response_format"]["json_schema"]["schema"]


def test_an_endpoint_without_schemas_is_asked_without(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    """And is not tried again for the next prompt."""

    def picky(exchange: Exchange) -> None:
        if "response_format" in exchange.body:
            exchange.error(400, "unknown field response_format")
        else:
            exchange.good("ok")

    server.always = picky

    assert ["ok", "ok"] == texts(endpoint().ask(prompts("1", "2", schema=SCHEMA)))
    assert ["json_schema", "json_object", None, None] == [
        body.get("response_format", {}).get("type") for body in server.bodies
    ]


def test_parameters_a_model_refuses_are_left_out(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    def picky(exchange: Exchange) -> None:
        if "max_tokens" in exchange.body:
            exchange.error(400, "use 'max_completion_tokens' instead", "max_tokens")
        elif "temperature" in exchange.body:
            exchange.error(400, "only the default is supported", "temperature")
        else:
            exchange.good("ok")

    server.always = picky

    assert ["ok", "ok"] == texts(endpoint().ask(prompts("1", "2")))
    assert 4 == len(server.bodies)
    assert 50 == server.bodies[-1]["max_completion_tokens"]


def test_requests_per_minute_are_kept(
    server: Server, endpoint: Callable[..., Endpoint], clock: Clock
) -> None:
    endpoint(requests_per_minute=60).ask(prompts(*map(str, range(66))))

    assert 59 <= clock.now - 1000 <= 61  # six at once, then one each second


def test_tokens_per_minute_are_kept(
    server: Server, endpoint: Callable[..., Endpoint], clock: Clock
) -> None:
    endpoint(tokens_per_minute=600).ask(prompts(*["x" * 30] * 11))

    assert 50 <= clock.now - 1000 <= 60  # 60 tokens each: six seconds, the first at once


def test_nothing_is_sent_after_stop_but_what_is_under_way_arrives(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    asking = endpoint(concurrency=2)

    def stops(exchange: Exchange) -> None:
        asking.stop()
        exchange.good("last")

    server.script = [stops]
    outcomes = asking.ask(prompts(*map(str, range(50))))

    assert "last" in texts(outcomes)
    assert 3 > sum(server.answered.values())
    assert sum(server.answered.values()) == sum(isinstance(each, Reply) for each in outcomes)


def test_what_cannot_be_stored_stops_the_asking(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    def full(_index: int, _outcome: Outcome) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        endpoint().ask(prompts(*map(str, range(50))), full)

    assert 1 == sum(server.asked.values())


def test_counts_that_no_database_takes_are_estimated(
    server: Server, endpoint: Callable[..., Endpoint]
) -> None:
    def boasts(exchange: Exchange) -> None:
        choice = {"message": {"content": "ok"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10**30, "completion_tokens": True}
        exchange.send(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    server.always = boasts
    (reply,) = endpoint().ask(prompts("abc"))

    assert isinstance(reply, Reply)
    assert (1, 1) == (reply.input_tokens, reply.output_tokens)


@pytest.mark.parametrize("value", ["1e300", "Fri, 31 Dec 9999 23:59:59 GMT", "inf"])
def test_a_wait_that_no_timer_takes_is_cut(value: str) -> None:
    assert 86400 <= retry_after({"retry-after": value}) <= threading.TIMEOUT_MAX / 2


def test_a_date_before_all_calendars_asks_for_no_wait() -> None:
    assert 0 == retry_after({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"})
