"""Syslog: what is sent arrives as lines; what is lost is told."""

from __future__ import annotations

import contextlib
import itertools
import math
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.errors import ConfigError
from logagent.inputs import Batch, syslog_sockets
from logagent.inputs.syslog import SyslogListener
from logagent.inputs.syslog_messages import Framer, line_of
from logagent.inputs.syslog_sockets import parse_address

Make = Callable[..., SyslogListener]


class Reports(list[tuple[str, str]]):
    def __call__(self, kind: str, message: str) -> None:
        self.append((kind, message))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def make(reports: Reports) -> Iterator[Make]:
    made: list[SyslogListener] = []

    def listener(**options: object) -> SyslogListener:
        made.append(SyslogListener(reports, **options))  # type: ignore[arg-type]
        return made[-1]

    yield listener
    for each in made:
        each.close()


@pytest.fixture
def connect() -> Iterator[Callable[[SyslogListener], socket.socket]]:
    opened: list[socket.socket] = []

    def sender(listener: SyslogListener) -> socket.socket:
        opened.append(socket.create_connection(listener.addresses["tcp"], timeout=5))
        return opened[-1]

    yield sender
    for each in opened:
        each.close()


def taken(listener: SyslogListener) -> list[bytes]:
    lines: list[bytes] = []
    for batch in listener.poll(0.0):
        lines += batch.block.lines()
        listener.accepted(batch)
    return lines


def wait(listener: SyslogListener, lines: int) -> list[bytes]:
    """Poll whenever a descriptor wakes us, until there are so many lines."""
    got: list[bytes] = []
    until = time.monotonic() + 10
    while len(got) < lines:
        assert time.monotonic() < until, got
        ready = select.poll()
        for fd in listener.descriptors():
            ready.register(fd, select.POLLIN)
        ready.poll(100)
        got += taken(listener)
    return got


def wait_for(listener: SyslogListener, key: str, value: int) -> None:
    """Poll until a counter of the TCP side has a value."""
    until = time.monotonic() + 10
    while listener.status()[0][key] != value:
        assert time.monotonic() < until
        assert [] == taken(listener)


def send(listener: SyslogListener, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for data in datagrams:
            sender.sendto(data, listener.addresses["udp"])


def test_datagrams_become_lines(make: Make) -> None:
    listener = make(udp="0")
    send(
        listener, b"<13>Nov 22 10:00:00 gw sshd[1]: first\n", b"", b"<13>second\0", b"third\nfourth"
    )

    expected = [b"Nov 22 10:00:00 gw sshd[1]: first", b"second", b"third", b"fourth"]
    assert expected == wait(listener, 4)
    status = listener.status()[0]
    assert ("syslog:udp", 4, 4, 0) == tuple(
        status[key] for key in ("source", "lines", "datagrams", "dropped")
    )
    assert (False, {}) == (listener.ended(), listener.state())


def test_an_over_long_datagram_is_cut_and_counted_to_the_byte(make: Make, reports: Reports) -> None:
    listener = make(udp="0", max_message_bytes=100)
    send(listener, b"x" * 160, b"y" * 100)

    assert [b"x" * 100, b"y" * 100] == wait(listener, 2)
    status = listener.status()[0]
    assert (1, 60) == (status["cut_messages"], status["cut_message_bytes"])
    assert ["long-messages"] == reports.kinds()


def test_datagrams_the_kernel_drops_are_told(
    make: Make, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog_sockets, "RECEIVE_BUFFER_BYTES", 4096)
    listener = make(udp="0")
    if listener.status()[0]["dropped"] is None:
        pytest.skip("this kernel does not tell what it drops")
    send(listener, *[b"%03d " % number + b"x" * 500 for number in range(100)])

    got = len(wait(listener, 1))
    assert 0 < got < 100
    assert 100 - got == listener.status()[0]["dropped"]
    assert reports.kinds() == ["datagrams-dropped"]
    assert f"dropped {100 - got};" in reports[0][1]
    taken(listener)
    assert 1 == len(reports)  # told once


def test_one_poll_takes_a_bounded_number_of_datagrams(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog_sockets, "DATAGRAMS_PER_POLL", 3)
    listener = make(udp="0")
    send(listener, *[b"%d" % number for number in range(7)])

    assert [3, 3, 1, 0] == [len(taken(listener)) for _ in range(4)]


def test_a_batch_that_is_not_accepted_comes_again_and_nothing_more_is_read(make: Make) -> None:
    listener = make(udp="0", tcp="0")
    send(listener, b"one")
    ready = select.poll()
    ready.register(listener.descriptors()[0], select.POLLIN)
    ready.poll(5000)
    first = list(listener.poll(0.0))
    send(listener, b"two")

    assert first == list(listener.poll(0.0))
    assert 6.0 == listener.deadline(6.0)
    assert 1 == listener.status()[0]["datagrams"]
    assert 1 == len(listener.descriptors())  # TCP is still read
    listener.accepted(first[0])
    assert [b"two"] == wait(listener, 1)
    assert math.inf == listener.deadline(6.0)


def test_a_waiting_batch_holds_up_tcp_and_loses_nothing(
    make: Make, connect: Callable[[SyslogListener], socket.socket]
) -> None:
    listener = make(tcp="0")
    sender = connect(listener)
    wait_for(listener, "connections", 1)
    sender.sendall(b"line 000000\n")
    held: Batch | None = None
    until = time.monotonic() + 10
    while held is None:
        assert time.monotonic() < until
        held = next(iter(listener.poll(0.0)), None)
    sender.setblocking(False)
    data = b"".join(b"line %06d\n" % number for number in range(1, 100_000))
    sent = 0
    with contextlib.suppress(BlockingIOError):  # the buffers of both sockets are full
        while True:
            assert sent < 1 << 26
            sent += sender.send(data[sent % len(data) :])
            list(listener.poll(0.0))
    assert [held] == list(listener.poll(0.0))
    sender.setblocking(True)
    listener.accepted(held)
    repeated = data * (sent // len(data) + 1)
    lines = wait(listener, repeated[:sent].count(b"\n"))

    assert repeated[:sent].split(b"\n")[:-1] == lines


def test_counted_and_newline_messages_mix_on_one_connection(
    make: Make, connect: Callable[[SyslogListener], socket.socket]
) -> None:
    listener = make(tcp="0")
    sender = connect(listener)
    sender.sendall(b"<13>by newline\n11 <13>counted<13>again\n\n12 <13>two\nrows7 <13>end")

    assert [b"by newline", b"counted", b"again", b"two", b"rows", b"end"] == wait(listener, 6)


def test_the_end_of_a_connection_ends_its_last_message(
    make: Make, connect: Callable[[SyslogListener], socket.socket], reports: Reports
) -> None:
    listener = make(tcp="0")
    connect(listener).sendall(b"whole\npart")
    other = connect(listener)
    other.sendall(b"50 <13>broken off")
    assert [b"whole"] == wait(listener, 1)
    wait_for(listener, "connections", 2)
    for each in (other,):
        each.close()
    assert [b"broken off"] == wait(listener, 1)
    wait_for(listener, "connections", 1)
    assert ["long-messages"] == reports.kinds()


def test_too_many_connections_are_refused_and_told(
    make: Make, connect: Callable[[SyslogListener], socket.socket], reports: Reports
) -> None:
    listener = make(tcp="0", max_connections=2)
    first, second, third = (connect(listener) for _ in range(3))
    wait_for(listener, "refused", 1)
    assert b"" == third.recv(10)
    first.sendall(b"still here\n")
    second.sendall(b"me too\n")

    assert [b"me too", b"still here"] == sorted(wait(listener, 2))
    assert ["connections-refused"] == reports.kinds()
    first.close()
    wait_for(listener, "connections", 1)
    connect(listener).sendall(b"free again\n")
    assert [b"free again"] == wait(listener, 1)


def test_no_descriptor_left_puts_accepting_off(
    make: Make,
    connect: Callable[[SyslogListener], socket.socket],
    reports: Reports,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the listening socket, which stays readable, would wake us for ever."""

    class Exhausted:
        def __init__(self, real: socket.socket) -> None:
            self._real = real

        def accept(self) -> None:
            raise OSError(24, "Too many open files")

        def fileno(self) -> int:
            return self._real.fileno()

    listener = make(tcp="0")
    assert listener._tcp is not None
    real = listener._tcp._socket
    monkeypatch.setattr(listener._tcp, "_socket", Exhausted(real))
    assert [] == list(listener.poll(10.0))
    assert ([], 11.0) == (listener.descriptors(), listener.deadline(10.0))
    assert ["connections-refused"] == reports.kinds()

    monkeypatch.setattr(listener._tcp, "_socket", real)
    connect(listener).sendall(b"later\n")
    assert [] == list(listener.poll(10.5))
    until = time.monotonic() + 10
    while listener.status()[0]["lines"] == 0:
        assert time.monotonic() < until
        for batch in listener.poll(11.0):
            listener.accepted(batch)
    assert real.fileno() in listener.descriptors()
    assert math.inf == listener.deadline(11.0)


def test_a_reset_connection_is_only_closed(
    make: Make, connect: Callable[[SyslogListener], socket.socket], reports: Reports
) -> None:
    listener = make(tcp="0")
    sender = connect(listener)
    wait_for(listener, "connections", 1)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sender.close()

    wait_for(listener, "connections", 0)
    assert [] == reports


def test_closing_frees_the_port(make: Make) -> None:
    first = make(udp="0", tcp="0")
    udp, tcp = (f"127.0.0.1:{first.addresses[kind][1]}" for kind in ("udp", "tcp"))
    with pytest.raises(ConfigError, match="in use"):
        make(udp=udp)
    first.close()
    first.close()

    assert 2 == len(make(udp=udp, tcp=tcp).addresses)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("514", ("127.0.0.1", 514)),
        (":514", ("127.0.0.1", 514)),
        ("0.0.0.0:6514", ("0.0.0.0", 6514)),  # noqa: S104 - somebody asked for it
        ("[::1]:514", ("::1", 514)),
        ("gw.lan:1514", ("gw.lan", 1514)),
    ],
)
def test_only_a_named_host_leaves_loopback(text: str, expected: tuple[str, int]) -> None:
    assert expected == parse_address(text)


@pytest.mark.parametrize(
    "text", ["", "host", "::1:514", "host:70000", "host:", "1:2:3", "é:5", "x\x1b[2J"]
)
def test_a_wrong_address_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match="expected host:port") as caught:
        SyslogListener(Reports(), udp=text)
    assert str(caught.value).isprintable()


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0"):
        SyslogListener(Reports(), tcp="192.0.2.1:0")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (b"<34>Oct 11 22:14:15 gw su: failed", b"Oct 11 22:14:15 gw su: failed"),
        (b"<0>kernel panic\n\0", b"kernel panic"),
        (b"no priority at all", b"no priority at all"),
        (b"<1234>no priority either", b"<1234>no priority either"),
        (b"<13>", b""),
        (b"\n\0\n", b""),
        (
            b'<165>1 2003-10-11T22:14:15.003Z gw evntslog - ID47 [a@1 b="c"] \xef\xbb\xbfAn event',
            b"2003-10-11T22:14:15.003Z gw evntslog: An event",
        ),
        (b'<165>1 T h a 7 ID [x y="]\\""][z] text ] [', b"T h a[7]: text ] ["),
        (b'<165>1 T h a - ID47 [x y="z"]', b'T h a: ID47 [x y="z"]'),
        (b"<165>1 - - - - - - only text", b"only text"),
        (b"<165>1 - - - - - -", b""),
        (b"<165>1 T h a - - [never closed text", b"1 T h a - - [never closed text"),
        (b"<165>1 T h a 1 - - one\n  two", b"T h a[1]: one\n  two"),
    ],
)
def test_a_message_becomes_a_line(message: bytes, line: bytes) -> None:
    assert line == line_of(message)


def test_hostile_structured_data_takes_linear_time() -> None:
    """A second or more here would be a pattern that tries all ways to split it."""
    started = time.process_time()
    for data in (b"[" + b'"' * 8000, b"[]" * 4000 + b"x", b'[a="' + b"\\" * 8000):
        line_of(b"<1>1 a b c d e " + data)

    assert time.process_time() - started < 1


MESSAGES = st.lists(
    st.tuples(st.booleans(), st.binary(max_size=20).map(lambda data: data.replace(b"\0", b"\n")))
)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 200), max_size=8), st.integers(13, 40))
def test_any_chunking_of_a_stream_gives_the_same_messages(
    messages: list[tuple[bool, bytes]], cuts: list[int], limit: int
) -> None:
    stream, expected = b"", []
    for counted, text in messages:
        body = b"<13>" + (text if counted else text.replace(b"\n", b""))
        stream += b"%d %b" % (len(body), body) if counted else body + b"\n"
        expected.append(body[:limit])
    framer = Framer(limit)
    got: list[bytes] = []
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        got += framer.feed(stream[start:end])

    assert expected == got + framer.end()
    assert framer.cut_bytes == sum(
        max(0, len(text if counted else text.replace(b"\n", b"")) + 4 - limit)
        for counted, text in messages
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(13, 30))
def test_no_bytes_break_the_framer_or_the_lines(chunks: list[bytes], limit: int) -> None:
    framer = Framer(limit)
    for chunk in chunks:
        for message in framer.feed(chunk):
            assert 0 < len(message) <= limit
            line_of(message)
        assert len(framer._buffer) <= limit + 13
    framer.end()


def test_a_line_that_begins_with_a_number_is_no_count() -> None:
    framer = Framer(100)

    assert [b"12 monkeys", b"5 <b>"] == framer.feed(b"12 monkeys\n5 <b>\n")
    assert [b"123456789 <13>x"] == framer.feed(b"123456789 <13>x\n")


def test_an_endless_line_holds_one_message() -> None:
    framer = Framer(1000)
    got: list[bytes] = []
    for _ in range(100):
        got += framer.feed(b"z" * 4096)
        assert len(framer._buffer) <= 1000
    got += framer.feed(b"\nnext\n")

    assert [b"z" * 1000, b"next"] == got
    assert (1, 100 * 4096 - 1000) == (framer.cut_messages, framer.cut_bytes)


def test_a_limit_that_could_cut_a_count_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 13"):
        Framer(12)
