"""What Prometheus is told: by a file, and by answers that hold nobody up."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.config_sections import Prometheus
from logagent.service import prometheus as module
from logagent.service.metrics import AlertCounts, exposition
from logagent.service.prometheus import FILE_SECONDS, Metrics
from logagent.service.sequence_counters import grown
from logagent.sinks import Alert

STATUS: dict[str, Any] = {
    "version": "1.2.3",
    "lines": 1000,
    "bytes": 50_000,
    "anomalous_lines": 7,
    "own_lines": 1,
    "blocked": False,
    "lag_bytes": 12,
    "cache": {"fast_key_hits": 0.9, "loose_key_hits": 0.99},
    "memory": {"rss_anon_bytes": 20_000_000, "rss_bytes": 50_000_000},
    "model": {"name": 'site "a"\\', "sha256": "ab" * 32, "backend": "numpy"},
    "sinks": [
        {
            "name": "webhook",
            "state": "down",
            "delivered": 3,
            "spooled": 4,
            "spooled_bytes": 500,
            "dropped": 1,
            "damaged": 0,
            "rejected": 2,
        }
    ],
    "problems": {"sink-down": 1},
}


def alert(category: str = "storage", severity: int = 3) -> Alert:
    return Alert("a" * 16, json.dumps({"category": category}).encode(), "x", severity)


def parsed(data: bytes) -> dict[str, Any]:
    """Read with the parser of Prometheus' own client: sample with labels → value."""
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus_client")
    found: dict[str, Any] = {}
    for family in parser.text_string_to_metric_families(data.decode()):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            assert (sample.name, labels) not in found
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


SEQUENCES: dict[str, Any] = {
    "open": 5,
    "judged": 100,
    "anomalous": 4,
    "misses": 30,
    "lines": 1000,
    "unknown_lines": 7,
    "no_key": 40,
    "malformed_keys": 2,
    "evicted": 3,
    "truncated": 1,
    "late_lines": 0,
    "clock_jumps": 0,
    "unjudged_lines": 0,
    "ended": {"idle": 97, "evicted": 3},
    "told": 2,
    "kinds": 3,
    "kinds_held_back": 1,
    "kinds_forgotten": 0,
}


class Asked:
    """Metrics on a free port, served by hand."""

    def __init__(self, status: dict[str, Any] | None = None) -> None:
        self.status = dict(STATUS if status is None else status)
        self.reports: list[tuple[str, str]] = []
        self.metrics = Metrics(
            Prometheus(listen=":0"), lambda kind, message: self.reports.append((kind, message))
        )

    def serve(self) -> None:
        self.metrics.serve(time.monotonic(), lambda: self.status)

    def connect(self) -> socket.socket:
        asker = socket.create_connection(("127.0.0.1", self.metrics.port), 10)
        asker.setblocking(False)
        return asker

    def until(self, happened: Callable[[], Any]) -> Any:
        stop = time.monotonic() + 10
        while not (found := happened()):
            assert time.monotonic() < stop
            self.serve()
        return found

    def ask(self, request: bytes) -> tuple[str, bytes]:
        """Return the first line of the answer and its body."""
        with self.connect() as asker:
            asker.sendall(request)
            data = self.read(asker)
        head, _, body = data.partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0].decode(), body

    def read(self, asker: socket.socket) -> bytes:
        data = bytearray()

        def ended() -> bool:
            try:
                piece = asker.recv(65536)
            except BlockingIOError:
                return False
            data.extend(piece)
            return not piece

        self.until(ended)
        return bytes(data)


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.metrics.close()


def sequences(**more: Any) -> dict[str, Any]:
    return parsed(exposition(STATUS | more, AlertCounts(), 0.0, True))


def test_sequences_are_counted_while_they_are_wanted() -> None:
    found = sequences(sequences_enabled=True, sequences=SEQUENCES)

    assert (1, 5, 100, 4, 3, 30) == tuple(
        found[f"logagent_sequences_{name}"]
        for name in ("up", "open", "judged_total", "anomalous_total", "evicted_total",
                     "model_asked_total")
    )  # fmt: skip
    assert (2, 3, 1) == tuple(
        found[f"logagent_sequence_kinds{name}"] for name in ("_told_total", "", "_held_back")
    )
    assert 97 == found["logagent_sequences_ended_total{reason=idle}"]
    left = "logagent_sequence_lines_left_out_total"
    assert (40, 2) == (found[f"{left}{{reason=no_key}}"], found[f"{left}{{reason=malformed_key}}"])
    assert not [name for name in found if "taught" in name]  # not counted by this agent
    taught = sequences(sequences_enabled=True, sequences=SEQUENCES | {"taught": 6})
    assert 6 == taught["logagent_sequence_taught_total"]


def test_sequences_that_a_model_cannot_judge_are_down_and_unwanted_ones_not_there() -> None:
    found = sequences(sequences_enabled=True).items()

    assert [("logagent_sequences_up", 0)] == [each for each in found if "_sequence" in each[0]]
    assert not [name for name in sequences(sequences=SEQUENCES) if "_sequence" in name]


def test_counters_of_sequences_go_on_after_a_reload() -> None:
    fresh = SEQUENCES | {"open": 9, "judged": 1, "ended": {"idle": 1, "long": 2}, "new": 8}
    assert grown(SEQUENCES, {}) == SEQUENCES
    found = grown(fresh, SEQUENCES)

    assert (9, 3, 101, 8) == tuple(found[name] for name in ("open", "kinds", "judged", "new"))
    assert {"idle": 98, "evicted": 3, "long": 2} == found["ended"]


def test_alerts_of_sequences_are_a_category_of_their_own() -> None:
    counts = AlertCounts()
    record = b'{"kind":"sequence"}'
    counts.add([Alert("a" * 16, record, "x", 4), alert(""), alert("storage")])

    assert [("error", ""), ("error", "storage"), ("warning", "sequence")] == [
        (each["severity"], each["category"]) for each, _ in counts.samples()
    ]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_the_counters_are_what_the_parser_of_prometheus_reads(asked: Asked) -> None:
    asked.metrics.count([alert(), alert(), alert("network", 4)])
    line, body = asked.ask(get("/metrics"))
    found = parsed(body)

    assert "HTTP/1.1 200 OK" == line
    assert 1000 == found["logagent_lines_total"]
    assert 50_000 == found["logagent_bytes_total"]
    assert 7 == found["logagent_anomalous_lines_total"]
    assert 2 == found["logagent_alerts_total{category=storage,severity=error}"]
    assert 1 == found["logagent_alerts_total{category=network,severity=warning}"]
    assert 12 == found["logagent_lag_bytes"]
    assert (0, 4, 2) == tuple(
        found[f"logagent_sink_{name}{{sink=webhook}}"]
        for name in ("up", "spooled", "rejected_total")
    )
    assert 0.9 == found["logagent_cache_hit_ratio{key=fast}"]
    assert 20_000_000 == pytest.approx(found["logagent_memory_private_bytes"], rel=0.01)
    assert 1 == found["logagent_problems_total{kind=sink-down}"]
    assert 1 == found["logagent_healthy"]
    name = 'logagent_build_info{backend=numpy,model=site "a"\\,model_sha256=abababababab,version='
    assert 1 == found[f"{name}1.2.3}}"]


@given(text=st.text(max_size=60))
def test_any_name_is_a_label_the_parser_reads_back(text: str) -> None:
    counts = AlertCounts()
    counts.add([alert(text)])
    status = {"model": {"name": text}, "sinks": [{"name": text}], "problems": {text: 1}}
    data = exposition(status, counts, 0.0, True)

    assert all(line.startswith(("# ", "logagent_")) for line in data.decode().split("\n")[:-1])
    assert parsed(data)


def test_nobody_makes_series_without_end() -> None:
    counts = AlertCounts()
    counts.add(alert(f"c{number}") for number in range(1000))
    counts.add([Alert("a", record, "x", 99) for record in (b"{", b"[]", b"null")])

    assert len(counts.samples()) <= 205
    assert 1003 == sum(count for _, count in counts.samples())


# ---- who asks ----


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), "404"),
        (get("/metrics/x"), "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"GET /metrics?x=1 HTTP/1.0\n\n", "200"),
        (b"\x16\x03\x01 hello\r\n\r\n", "405"),
        (b"x\r\n\r\n", "400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 4093, "400"),
    ],
)
def test_every_request_has_an_answer(asked: Asked, request_: bytes, status: str) -> None:
    assert status == asked.ask(request_)[0].split()[1]


def test_a_head_request_gets_no_body(asked: Asked) -> None:
    assert ("HTTP/1.1 200 OK", b"") == asked.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")


def test_it_listens_on_this_machine_alone(asked: Asked) -> None:
    assert asked.metrics._listener is not None
    assert "127.0.0.1" == asked.metrics._listener.getsockname()[0]


def test_an_asker_in_no_hurry_holds_nobody_up(asked: Asked) -> None:
    with asked.connect() as slow:
        slow.sendall(b"GET /met")
        asked.until(lambda: asked.metrics._askers)
        assert "200" in asked.ask(get("/healthz"))[0]
        slow.sendall(b"rics HTTP/1.1\r\n\r\n")
        assert b"logagent_lines_total 1000" in asked.read(slow)


def test_askers_that_say_nothing_are_cut_off(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.02)
    with asked.connect() as mute:
        assert b"" == asked.read(mute)
    assert [] == asked.metrics._askers
    assert math.inf == asked.metrics.deadline()


def test_only_a_few_are_served_at_a_time(asked: Asked) -> None:
    askers = [asked.connect() for _ in range(8)]
    asked.until(lambda: len(asked.metrics._askers) == 8)
    askers += [asked.connect() for _ in range(4)]
    asked.serve()

    assert 8 == len(asked.metrics.descriptors())
    for each in askers:
        each.close()
    asked.until(lambda: not asked.metrics._askers)
    assert 1 == len(asked.metrics.descriptors())
    assert "200" in asked.ask(get("/healthz"))[0]


def test_an_asker_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.05)
    asked = Asked({"problems": {f"{n}{'k' * 100}": 1 for n in range(64)}})
    monkeypatch.setattr(module, "exposition", lambda *_: b"x" * 20_000_000)
    with asked.connect() as asker:
        asker.sendall(get("/metrics"))
        asked.until(lambda: asked.metrics._askers)
        assert asked.metrics.deadline() < time.monotonic() + 1
        asked.until(lambda: not asked.metrics._askers)
    asked.metrics.close()


def test_health_is_bad_while_blocked_and_after_a_turn_that_took_too_long(asked: Asked) -> None:
    assert ("HTTP/1.1 200 OK", b"ok\n") == asked.ask(get("/healthz"))
    asked.status["blocked"] = True
    assert "503" == asked.ask(get("/healthz"))[0].split()[1]
    asked.status["blocked"] = False
    with asked.connect() as asker:
        asker.sendall(get("/healthz"))
        asked.until(lambda: asked.metrics._askers or asked.metrics._turned)
        asked.metrics._turned -= 61  # the loop hung for as long
        asked.metrics._longest_turn = 0
        now = time.monotonic()
        asked.metrics.serve(now, lambda: asked.status)
        assert 61 <= asked.metrics._longest_turn
        assert not asked.metrics._healthy(asked.status)
        asked.read(asker)
    assert "200" == asked.ask(get("/healthz"))[0].split()[1]


def test_a_port_that_is_taken_is_reported_and_done_without(asked: Asked) -> None:
    reports: list[tuple[str, str]] = []
    listen = f"127.0.0.1:{asked.metrics.port}"
    metrics = Metrics(Prometheus(listen=listen), lambda *each: reports.append(each))

    assert [("no-metrics", f"{listen}: Address already in use; nobody can ask")] == reports
    assert [] == metrics.descriptors()
    metrics.serve(0.0, dict)
    metrics.close()


# ---- the file ----


def test_the_file_is_replaced_whole_when_something_changed(tmp_path: Path) -> None:
    file = tmp_path / "logagent.prom"
    metrics = Metrics(Prometheus(textfile=str(file)), lambda *_: None)
    status = dict(STATUS)
    metrics.serve(1000.0, lambda: status)
    first = file.stat().st_ino

    assert 1000 == parsed(file.read_bytes())["logagent_lines_total"]
    assert 0o644 == file.stat().st_mode & 0o777
    metrics.serve(1000.0 + FILE_SECONDS, lambda: status)
    assert first == file.stat().st_ino
    status["lines"] = 1001
    metrics.serve(1000.0 + FILE_SECONDS * 1.9, lambda: status)
    assert first == file.stat().st_ino
    assert 1000.0 + FILE_SECONDS * 2 == metrics.deadline()
    metrics.serve(1000.0 + FILE_SECONDS * 2, lambda: status)
    assert first != file.stat().st_ino
    assert 1001 == parsed(file.read_bytes())["logagent_lines_total"]
    file.unlink()
    metrics.serve(1000.0 + FILE_SECONDS * 3, lambda: status)
    assert ["logagent.prom"] == os.listdir(tmp_path)
    metrics.close()


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(tmp_path: Path) -> None:
    reports: list[tuple[str, str]] = []
    file = tmp_path / "none" / "logagent.prom"
    metrics = Metrics(Prometheus(textfile=str(file)), lambda *each: reports.append(each))
    for turn in range(3):
        metrics.serve(turn * FILE_SECONDS, lambda: STATUS)
    assert [("no-metrics", f"{file}: No such file or directory; trying again")] == reports
    file.parent.mkdir()
    metrics.serve(4 * FILE_SECONDS, lambda: STATUS)
    assert file.exists()
    metrics.close()
