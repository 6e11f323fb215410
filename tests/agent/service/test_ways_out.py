"""`logagent run` as a process, with the ways out that go to a server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .running import Running, oom, until

pytestmark = pytest.mark.slow  # each start takes most of a second

SECRET = "s3cr3t-t0ken"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.status
        if status == 200:
            self.server.got.append(json.loads(body))
        self.server.asked += 1
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.got, server.status, server.asked = [], 200, 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop(signal.SIGKILL)


def configured(agent: Running, web: Any, more: str = "") -> None:
    url, token = agent.folder / "url", agent.folder / "token"
    url.write_text(f"http://127.0.0.1:{web.server_address[1]}/{SECRET}")
    token.write_text(SECRET)
    (agent.folder / "logagent.toml").write_text(
        f"[webhook]\nurl_file = '{url}'\ntoken_file = '{token}'\n{more}"
    )


def sink(agent: Running, name: str = "webhook") -> dict[str, Any]:
    (found,) = (each for each in agent.status()["sinks"] if each["name"] == name)
    return dict(found)


def names(records: list[dict[str, Any]]) -> list[str]:
    return [record["text"].split("(")[1].rstrip(")") for record in records]


PROGRAMS = [f"prog{number}x" for number in range(20)]


def test_alerts_arrive_in_order_whatever_the_server_and_the_agent_go_through(
    agent: Running, web: Any
) -> None:
    configured(agent, web)
    agent.start("--no-group")
    agent.append(oom(1, "alpha"))
    until(lambda: web.got)
    web.status = 503
    agent.append(oom(2, "bravo"))
    until(lambda: sink(agent)["state"] == "down")
    agent.append(oom(3, "charlie"))
    until(lambda: sink(agent)["spooled"] == 2)
    agent.saved()
    agent.stop(signal.SIGKILL)
    web.status = 200
    agent.start("--no-group")
    until(lambda: len(web.got) >= 3)

    assert ["alpha", "bravo", "charlie"] == names(web.got)
    assert 0 == agent.stop()
    said = agent.said() + json.dumps(agent.printed())
    for number in range(1, agent.starts + 1):
        said += (agent.folder / f"stderr.{number}").read_text()
    assert SECRET not in said


def test_an_agent_that_is_told_to_stop_waits_for_what_is_on_its_way(
    agent: Running, web: Any
) -> None:
    configured(agent, web)
    agent.start("--no-group")
    agent.append(oom(1, "alpha"))
    agent.read(1)
    agent.stop()

    assert ["alpha"] == names(web.got)
    assert not list((agent.state / "spool" / "webhook").glob("*[0-9]*")) or web.got


def test_a_refused_alert_is_kept_aside_and_no_secret_is_told(agent: Running, web: Any) -> None:
    configured(agent, web)
    web.status = 400
    agent.start("--no-group")
    agent.append(oom(1, "alpha"))
    until(lambda: sink(agent)["rejected"])
    web.status = 200
    agent.append(oom(2, "bravo"))
    until(lambda: web.got)
    status = agent.status()

    assert ["bravo"] == names(web.got)
    aside = (agent.state / "rejected" / "webhook.jsonl").read_text()
    assert ["alpha"] == names([json.loads(aside)])
    assert 1 == len(agent.messages("rejected"))
    assert SECRET not in json.dumps(status) + agent.said()


def test_a_reload_takes_and_gives_the_ways_out(agent: Running, web: Any) -> None:
    (agent.folder / "logagent.toml").write_text("")
    agent.start()
    assert ["stdout"] == [each["name"] for each in agent.status()["sinks"]]
    file = agent.folder / "x.prom"
    configured(agent, web, f"[prometheus]\ntextfile = '{file}'\n")
    agent.send(signal.SIGHUP)
    until(lambda: len(agent.status()["sinks"]) == 2)
    agent.append(oom(1, "alpha"))
    until(lambda: web.got)
    until(file.exists)
    (agent.folder / "logagent.toml").write_text("")
    agent.send(signal.SIGHUP)
    until(lambda: len(agent.status()["sinks"]) == 1)


def test_without_a_way_out_to_a_server_nothing_is_imported_for_one(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from logagent.config import load\n"
        "from logagent.service import agent\n"
        "from logagent.service.parts import make_delivery, make_metrics\n"
        f"config = load(None, {{'state.dir': {str(tmp_path)!r}}})\n"
        "make_delivery(config, print).close(), make_metrics(config, print)\n"
        "print(*sys.modules)\n"
    )
    environment = os.environ | {"CONFIGURATION_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    loaded = set(done.stdout.split())

    assert "logagent.sinks.jsonl" in loaded
    assert set() == loaded & {
        *("ssl", "http", "http.client", "email", "urllib.request", "subprocess"),
        *("logagent.service.ways_out", "logagent.service.prometheus", "logagent.service.metrics"),
        *(f"logagent.sinks.{name}" for name in ("webhook", "mqtt", "mail", "journal", "syslog")),
        *(f"logagent.sinks.{name}" for name in ("connection", "lookup", "tls", "secret_files")),
    }


def test_metrics_and_health_are_answered_by_the_running_agent(agent: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (agent.folder / "logagent.toml").write_text(f"[prometheus]\nlisten = ':{port}'\n")
    agent.start("--no-group")

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    assert "ok\n" == ask("/healthz")
    agent.append(oom(1, "alpha"))
    until(lambda: "\nlogagent_lines_total 1\n" in ask("/metrics"))
    assert 'logagent_alerts_total{severity="' in ask("/metrics")
    assert 'logagent_sink_up{sink="stdout"} 1\n' in ask("/metrics")
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask("/")
    caught.value.close()
    assert 404 == caught.value.code


def test_metrics_say_unwell_while_reading_waits_for_a_sink(agent: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (agent.folder / "logagent.toml").write_text(
        f"[prometheus]\nlisten = ':{port}'\n[sinks]\nstdout = false\njsonl = '/dev/full/none'\n"
    )
    (agent.state / "spool").mkdir(parents=True)
    (agent.state / "spool" / "file").touch()  # no spool can be there, for root either
    agent.start()
    agent.append(oom(1, "alpha"))

    def code() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    until(lambda: code() == 503)
