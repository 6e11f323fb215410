"""The journal's native protocol, against a socket that reads it as its documentation says."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.sinks import Alert, SinkError
from logagent.sinks.journal import MESSAGE_ID, JournalSink, _entry

from .fakes import alert


def fields(data: bytes) -> dict[str, bytes]:
    """Read one entry: systemd, "Native Journal Protocol", section Data Format."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, equals, value = data[at:end].partition(b"=")
        at = end + 1
        if not equals:
            (size,) = struct.unpack_from("<Q", data, at)
            value = data[at + 8 : at + 8 + size]
            assert b"\n" == data[at + 8 + size :][:1]
            at += 8 + size + 1
        assert name
        assert set(name) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
        assert name[:1] != b"_"
        assert name.decode() not in found
        found[name.decode()] = value
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "socket"))
        made.settimeout(5)
        yield made


def test_an_alert_has_fields_to_search_by(journal: socket.socket) -> None:
    record = {"id": "a", "host": "h", "score": 0.98, "source": "/var/log/x", "category": "disk"}
    one = Alert("a" * 16, json.dumps(record).encode(), "disk failed", 3)
    with closing(JournalSink(journal.getsockname())) as sink:
        sink.write(one)
        sink.sync()
    found = fields(journal.recv(65536))

    assert {
        "MESSAGE": b"disk failed",
        "PRIORITY": b"3",
        "SYSLOG_IDENTIFIER": b"logagent",
        "MESSAGE_ID": MESSAGE_ID.encode(),
        "LOGAGENT_ID": b"a" * 16,
        "LOGAGENT_HOST": b"h",
        "LOGAGENT_SCORE": b"0.98",
        "LOGAGENT_SOURCE": b"/var/log/x",
        "LOGAGENT_CATEGORY": b"disk",
        "LOGAGENT_RECORD": one.record,
    } == found


@given(text=st.text(max_size=200), id_=st.text(max_size=40), extra=st.text(max_size=200))
def test_whatever_an_alert_holds_no_field_is_forged(text: str, id_: str, extra: str) -> None:
    record = json.dumps({"host": extra, "template": "a\nPRIORITY=0\n" + extra}).encode()
    found = fields(_entry(Alert(id_, record, text, 4), whole=True))

    assert text.encode(errors="replace") == found["MESSAGE"]
    assert b"4" == found["PRIORITY"]
    assert 8 == len(found)


def test_a_record_of_another_time_is_sent_all_the_same(journal: socket.socket) -> None:
    with closing(JournalSink(journal.getsockname())) as sink:
        for record in (b"{", b"[]", b"null"):
            sink.write(Alert("a", record, "x", 99))
            assert record == fields(journal.recv(65536))["LOGAGENT_RECORD"]


def test_an_alert_too_long_for_a_datagram_goes_without_its_record(journal: socket.socket) -> None:
    with closing(JournalSink(journal.getsockname())) as sink:
        sink.write(alert(7, size=1 << 20))

    assert "LOGAGENT_RECORD" not in fields(journal.recv(65536))


def test_a_journal_that_is_behind_is_waited_for_and_no_longer(journal: socket.socket) -> None:
    with closing(JournalSink(journal.getsockname(), wait_seconds=0.01)) as sink:

        def fill() -> None:
            for number in range(100_000):
                sink.write(alert(number))

        with pytest.raises(SinkError, match=r"takes nothing now \(waited 0\.01 s\)"):
            fill()
        journal.recv(65536)
        sink.write(alert(1))


def test_a_journal_that_was_restarted_gets_the_next_alert(tmp_path: Path) -> None:
    address = str(tmp_path / "socket")
    with closing(JournalSink(address)) as sink:
        with pytest.raises(SinkError, match="No such file"):
            sink.write(alert(1))
        for number in (2, 3):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
                daemon.bind(address)
                sink.write(alert(number))
                assert alert(number).id.encode() == fields(daemon.recv(65536))["LOGAGENT_ID"]
            Path(address).unlink()
