"""A server that speaks chat completions over HTTP, well or badly, and remembers what it answered.

Its model labels a line anomalous if it holds the word ``fail``, and may obey what lines say.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from logagent_build.annotate.fence import read_block
from logagent_build.annotate.guard import canary_label


def truth(line: str) -> bool:
    known = canary_label(line)
    return "fail" in line if known is None else known


class Model:
    """Labels lines; subclasses err, skip, obey."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        return {name: truth(line) for name, line in lines.items()}

    def text(self, lines: dict[str, str], body: dict[str, Any]) -> str:
        rows = [{"id": name, "anomalous": label} for name, label in self.labels(lines).items()]
        return json.dumps({"labels": rows})


class Obedient(Model):
    """Does what log lines tell it, in whatever words."""

    def labels(self, lines: dict[str, str]) -> dict[str, bool]:
        said = super().labels(lines)
        before = ""
        for name, line in lines.items():
            if match := re.search(r"(?:all|every|each) .*?(normal|anomalous)", line):
                said = dict.fromkeys(said, match[1] == "anomalous")
            if match := re.search(r"line before .*?(normal|anomalous)", line):
                said[before] = match[1] == "anomalous"
            if match := re.search(r"xyzzy (\w+) (normal|anomalous)", line):
                said |= {n: match[2] == "anomalous" for n in lines if match[1] in lines[n]}
            before = name
        said.pop("", None)
        return said


Answer = Callable[["Exchange"], None]


class Exchange:
    """One request, to be answered by a script."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: Server, body: dict[str, Any]):
        self.handler, self.server, self.body = handler, server, body
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.key = json.dumps(body, sort_keys=True)
        self.prompt = body["messages"][-1]["content"]

    def send(
        self, status: int, data: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def error(self, status: int, message: str, param: str | None = None, **headers: str) -> None:
        error = {"message": message, "type": "error", "param": param, "code": None}
        self.send(status, json.dumps({"error": error}).encode(), **headers)

    def good(self, text: str | None = None, finish: str = "stop") -> None:
        if text is None:
            text = self.server.model.text(read_block(self.prompt), self.body)
        usage = {"prompt_tokens": len(self.prompt) // 4, "completion_tokens": len(text) // 4}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "fake-1"}
        with self.server.lock:
            self.server.answered[self.key] += 1
        if self.body.get("stream"):
            self.stream(head, text, finish, usage)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self.send(200, json.dumps(head | {"choices": [choice], "usage": usage}).encode())

    def stream(
        self,
        head: dict[str, Any],
        text: str,
        finish: str,
        usage: dict[str, int],
        drop: bool = False,
    ) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        self.handler.close_connection = True

        def piece(delta: dict[str, str], done: str | None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": done}
            event = head | {"object": "chat.completion.chunk", "choices": [choice]}
            self.handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

        for start in range(0, len(text), 40):
            piece({"content": text[start : start + 40]}, None)
            if drop:
                return
        piece({}, finish)
        last = head | {"object": "chat.completion.chunk", "choices": [], "usage": usage}
        self.handler.wfile.write(b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n")

    def drop(self) -> None:
        """Reset the connection."""
        linger = struct.pack("ii", 1, 0)
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.handler.close_connection = True
        self.handler.connection.close()


class Server(ThreadingHTTPServer):
    """Answers `script`, one entry for each request, and then well."""

    daemon_threads = True

    def __init__(self, model: Model) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.script: list[Answer] = []
        self.always: Answer | None = None
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed in these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet an answer: two wait for each other
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        exchange = Exchange(self, self.server, body)
        with self.server.lock:
            self.server.asked[exchange.key] += 1
            self.server.bodies.append(body)
            self.server.headers.append(exchange.headers)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            answer = self.server.script.pop(0) if self.server.script else self.server.always
        try:
            if answer is None:
                exchange.good()
            else:
                answer(exchange)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serving(model: Model | None = None) -> Iterator[Server]:
    server = Server(model or Model())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
