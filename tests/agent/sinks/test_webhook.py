"""Posting to real web servers: those that answer, refuse, hang, lie, and those with TLS."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.config_rules import web_address
from logagent.sinks import Alert, Pending, SinkError
from logagent.sinks.delivery import Channel, Delivery
from logagent.sinks.http_post import request
from logagent.sinks.spool import Spool
from logagent.sinks.webhook import WebhookSink
from logagent.sinks.webhook_bodies import FORMATS, check_template, request_of

from .certificates import Certificate
from .fakes import Clock, alert

SECRET = "s3cr3t-t0ken"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in two packets takes 40 ms: delayed acknowledgements
    timeout = 10
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.command, self.path, dict(self.headers), body))
        status, fields = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in ({"Content-Length": "2"} | fields).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ok")

    do_PUT = do_POST  # noqa: N815  # its names

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: object) -> None:
        pass


class Server:
    """An HTTP server in a thread; `answers` are given first, then 200."""

    def __init__(self, certificate: Certificate | None = None, port: int = 0) -> None:
        self.http: Any = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = False  # they are waited for, so that none leaves a socket open
        self.http.got, self.http.answers, self.http.connections = [], [], 0
        self.http.handle_error = lambda *_: None  # clients that refuse our certificate
        if certificate is not None:
            self.http.socket = certificate.server().wrap_socket(
                self.http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self.http.server_address[1]
        self.scheme = "http" if certificate is None else "https"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def got(self) -> list[Any]:
        return list(self.http.got)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


def posted(sink: WebhookSink, one: Alert) -> None:
    """Offer an alert until it was taken; a real server answers in its own time."""
    stop = time.monotonic() + 10
    while True:
        try:
            sink.write(one)
        except Pending:
            assert time.monotonic() < stop
            continue
        return


def refusal(sink: WebhookSink, one: Alert) -> SinkError:
    with pytest.raises(SinkError) as caught:
        posted(sink, one)
    assert not isinstance(caught.value, Pending)
    return caught.value


def raw_server(talk: Callable[[socket.socket], None]) -> tuple[socket.socket, threading.Thread]:
    """Serve connections one after the other by a function."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener, thread


def stop(listener: socket.socket, thread: threading.Thread) -> None:
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_an_alert_is_posted_with_its_id_and_counts_once_it_is_acknowledged(server: Server) -> None:
    with closing(WebhookSink(server.url)) as sink:
        posted(sink, alert(7))
        posted(sink, alert(8))
    (method, path, headers, body), second = server.got

    assert ("POST", "/hook", alert(7).record) == (method, path, body)
    assert (alert(7).id, "application/json") == (
        headers["Idempotency-Key"],
        headers["Content-Type"],
    )
    assert f"127.0.0.1:{server.port}" == headers["Host"]
    assert alert(8).record == second[3]
    assert 1 == server.http.connections


def test_a_connection_idle_for_long_is_not_used_again(server: Server) -> None:
    with closing(WebhookSink(server.url)) as sink:
        posted(sink, alert(7))
        sink.idle(time.monotonic() + 100)
        posted(sink, alert(8))

    assert 2 == server.http.connections


def test_a_server_that_closed_an_idle_connection_costs_nothing() -> None:
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    listener, thread = raw_server(once)
    with closing(WebhookSink(f"http://127.0.0.1:{listener.getsockname()[1]}/")) as sink:
        for number in range(3):
            posted(sink, alert(number))
    stop(listener, thread)


def test_nobody_waits_for_a_server_that_does_not_answer() -> None:
    hold = threading.Event()
    listener, thread = raw_server(lambda _: bool(hold.wait(10)) and None)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with closing(WebhookSink(url, wait_seconds=0.001, timeout_seconds=0.05)) as sink:
        with pytest.raises(Pending, match="waiting for an answer"):
            sink.write(alert(1))
        assert f"{url[:-1]}: no answer in 0.05 s" == str(refusal(sink, alert(1)))
    hold.set()
    stop(listener, thread)


def test_the_answer_to_one_alert_is_never_taken_for_another() -> None:
    """A full spool may drop the alert that is under way; then the next one is offered."""
    asked, go = threading.Event(), threading.Event()
    answers = [b"200 Yes", b"503 No", b"200 Yes"]

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        asked.set()
        go.wait(10)
        status = answers.pop(0)
        connection.sendall(
            b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
        )

    listener, thread = raw_server(talk)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with closing(WebhookSink(url, wait_seconds=0.0)) as sink:
        while not asked.is_set():
            with pytest.raises(Pending):
                sink.write(alert(1))
        go.set()
        assert "answered 503" in str(refusal(sink, alert(2)))
        posted(sink, alert(2))
    stop(listener, thread)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\0", "é"])
def test_a_field_that_could_forge_another_is_not_sent(value: str) -> None:
    for fields, target in (({"Title": value}, "/"), ({}, f"/{value}"), ({}, "/a b")):
        with pytest.raises(ValueError, match="may not stand there"):
            request("POST", "h", target, fields, b"")


def test_a_server_that_sends_a_byte_now_and_then_is_given_up() -> None:
    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"H")
            time.sleep(0.005)

    listener, thread = raw_server(drip)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with closing(WebhookSink(url, wait_seconds=0.01, timeout_seconds=0.1)) as sink:
        assert re.search("no answer in|no HTTP", str(refusal(sink, alert(1))))
    stop(listener, thread)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK" + b"x" * 100_000,
        b"\x00" * 100,
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_none(answer: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    listener, thread = raw_server(talk)
    with closing(WebhookSink(f"http://127.0.0.1:{listener.getsockname()[1]}/")) as sink:
        assert re.search("no HTTP|without an answer|reset", str(refusal(sink, alert(1))))
    stop(listener, thread)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\n\nbody",
        b"HTTP/1.1 202\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nand more",
    ],
)
def test_every_form_of_yes_is_understood(answer: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        for at in range(len(answer)):  # byte by byte
            connection.sendall(answer[at : at + 1])
        connection.recv(1)

    listener, thread = raw_server(talk)
    with closing(WebhookSink(f"http://127.0.0.1:{listener.getsockname()[1]}/")) as sink:
        posted(sink, alert(1))
        posted(sink, alert(2))
    stop(listener, thread)


def test_nobody_there_is_a_sink_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with closing(WebhookSink(f"http://127.0.0.1:{port}/x?y={SECRET}")) as sink:
        assert f"http://127.0.0.1:{port}: Connection refused" == str(refusal(sink, alert(1)))


# ---- refusals ----


def test_an_alert_that_is_refused_three_times_goes_aside_and_the_next_one_out(
    server: Server,
) -> None:
    aside: list[Alert] = []
    said: list[tuple[str, str]] = []
    server.http.answers = [(400, {})] * 3
    sink = WebhookSink(server.url, aside=aside.append, report=lambda *each: said.append(each))
    with closing(sink):
        for _ in range(2):
            assert "refused an alert with 400" in str(refusal(sink, alert(1)))
        posted(sink, alert(1))
        posted(sink, alert(2))

    assert ([alert(1)], 1) == (aside, sink.rejected)
    ((kind, message),) = said
    assert "rejected" == kind
    assert alert(1).id in message
    assert alert(2).record == server.got[-1][3]


def test_an_alert_that_cannot_be_kept_aside_is_not_given_up(server: Server) -> None:
    def full(_: Alert) -> None:
        raise SinkError("disk full")

    server.http.answers = [(422, {})] * 4
    with closing(WebhookSink(server.url, aside=full)) as sink:
        for _ in range(3):
            refusal(sink, alert(1))
        assert 0 == sink.rejected


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 301, 307])
def test_what_the_operator_has_to_mend_costs_no_alert(server: Server, status: int) -> None:
    elsewhere = Server()
    server.http.answers = [(status, {"Location": elsewhere.url})] * 10
    with closing(WebhookSink(server.url)) as sink, closing(elsewhere):
        for _ in range(10):
            assert f"answered {status}" in str(refusal(sink, alert(1)))
        posted(sink, alert(1))

        assert 0 == sink.rejected
        assert [] == elsewhere.got


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize(
    ("field", "seconds"), [("17", 17.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("9" * 50, 1e9)]
)
def test_a_server_that_is_busy_is_tried_again_when_it_says(
    server: Server, status: int, field: str, seconds: float
) -> None:
    server.http.answers = [(status, {"Retry-After": field})] * 5
    with closing(WebhookSink(server.url)) as sink:
        for _ in range(5):
            assert seconds == pytest.approx(refusal(sink, alert(1)).wait_seconds, abs=1)
        posted(sink, alert(1))

    assert 0 == sink.rejected


def test_a_date_to_try_again_is_understood(server: Server) -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    odd = "Sun, 99 Feb 2026 00:00:00 GMT"
    server.http.answers = [(503, {"Retry-After": date}), (503, {"Retry-After": odd})]
    with closing(WebhookSink(server.url)) as sink:
        assert 98 < refusal(sink, alert(1)).wait_seconds <= 100
        assert 0 == refusal(sink, alert(1)).wait_seconds


# ---- secrets ----


def test_a_token_is_read_anew_after_it_was_refused(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    server.http.answers = [(401, {})]
    with closing(WebhookSink(server.url, token_file=str(token))) as sink:
        refusal(sink, alert(1))
        token.write_text("new\n")
        posted(sink, alert(1))

    assert ["Bearer old", "Bearer new"] == [each[2]["Authorization"] for each in server.got]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 500])
def test_no_secret_is_in_any_message(
    server: Server, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url, token = tmp_path / "url", tmp_path / "token"
    url.write_text(f"{server.url}/{SECRET}?key={SECRET}\n")
    token.write_text(SECRET)
    said: list[str] = []
    server.http.answers = [(status, {"Location": f"/{SECRET}", "X": SECRET})] * 3
    sink = WebhookSink(
        "",
        url_file=str(url),
        token_file=str(token),
        report=lambda kind, message: said.append(kind + message),
    )
    with closing(sink):
        for _ in range(3):
            try:
                posted(sink, alert(1))
            except SinkError as error:
                said.append(str(error))
    url.write_text(f"ftp://{SECRET}\n")
    token.write_text(f"{SECRET}\n{SECRET}")
    said.append(str(refusal(sink, alert(2))))
    url.write_text(server.url)
    said.append(str(refusal(sink, alert(2))))

    assert SECRET in server.got[0][1]
    assert f"Bearer {SECRET}" == server.got[0][2]["Authorization"]
    assert len(said) >= 2
    assert SECRET not in " ".join(said) + caplog.text


@pytest.mark.parametrize("content", [b"", b"a b", b"a\nb", b"\xff", b"x" * 5000, b"a\r\nX: y"])
def test_what_cannot_be_a_secret_is_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with closing(WebhookSink(server.url, token_file=str(tmp_path / "token"))) as sink:
        assert "must hold one line" in str(refusal(sink, alert(1)))
    assert [] == server.got


def test_a_token_file_that_is_not_there_is_a_sink_error(server: Server, tmp_path: Path) -> None:
    with closing(WebhookSink(server.url, token_file=str(tmp_path / "none"))) as sink:
        assert "none: No such file" in str(refusal(sink, alert(1)))


# ---- TLS ----


def test_tls_with_an_own_authority(certificate: Certificate) -> None:
    with closing(Server(certificate)) as server:
        with closing(WebhookSink(server.url, ca_file=str(certificate.file))) as sink:
            posted(sink, alert(1))
            posted(sink, alert(2))
        assert 2 == len(server.got)
        assert 1 == server.http.connections


@pytest.mark.parametrize("kind", ["file", "hashed folder", "folder"])
def test_tls_with_the_authorities_of_the_machine(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    else:
        certificate.hashed(tmp_path / "certs")
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if kind == "folder":
        for file in (tmp_path / "certs").iterdir():
            file.unlink()
    with closing(Server(certificate)) as server, closing(WebhookSink(server.url)) as sink:
        if kind == "folder":
            assert "its certificate is refused" in str(refusal(sink, alert(1)))
        else:
            posted(sink, alert(1))
            sink.close()


def test_a_certificate_of_nobody_we_know_is_refused(certificate: Certificate) -> None:
    with closing(Server(certificate)) as server:
        with closing(WebhookSink(server.url)) as sink:
            assert "its certificate is refused: self" in str(refusal(sink, alert(1)))
        assert [] == server.got


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    other = Certificate(tmp_path / "other", "DNS:elsewhere.example")
    with closing(Server(other)) as server:
        with closing(WebhookSink(server.url, ca_file=str(other.file))) as sink:
            assert "IP address mismatch" in str(refusal(sink, alert(1)))
        assert [] == server.got


def test_a_file_without_certificates_and_a_server_without_tls_are_told(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "ca").write_text("nothing")
    secure = server.url.replace("http:", "https:")
    with closing(WebhookSink(secure, ca_file=str(tmp_path / "ca"))) as sink:
        assert "holds no certificate" in str(refusal(sink, alert(1)))
    with closing(WebhookSink(secure, ca_file=str(tmp_path / "none"))) as sink:
        assert "none: No such file" in str(refusal(sink, alert(1)))
    with closing(WebhookSink(secure)) as sink:
        assert "TLS failed" in str(refusal(sink, alert(1)))


def test_a_server_that_never_shakes_hands_is_given_up() -> None:
    hold = threading.Event()
    listener, thread = raw_server(lambda _: bool(hold.wait(10)) and None)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
    with closing(WebhookSink(url, wait_seconds=0.001, timeout_seconds=0.05)) as sink:
        assert "no answer in" in str(refusal(sink, alert(1)))
    hold.set()
    stop(listener, thread)


# ---- bodies ----


def hostile(text: str) -> Alert:
    record = json.dumps({"id": "0" * 16, "host": text, "score": 0.987, "category": text})
    return Alert("0" * 16, record.encode(), text, 3)


@given(text=st.text(max_size=100), form=st.sampled_from(FORMATS))
def test_whatever_an_alert_holds_the_body_is_whole_and_no_header_is_forged(
    text: str, form: str
) -> None:
    template = '{"content": "{text} {host}", "n": {score}, "a": {"b": "{id}{severity}"}}'
    made = request_of(form, hostile(text), template)
    data = request(made.method, "h", "/", dict(made.fields), made.body)
    head, _, body = data.partition(b"\r\n\r\n")

    assert made.body == body
    assert 6 + len(made.fields) == len(head.split(b"\r\n")) + 1
    if form != "ntfy":
        assert json.loads(body)


def test_each_receiver_gets_its_own_form(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    one = hostile("<!channel> ```x``` & @here")
    bodies = {}
    for form in ("slack", "ntfy", "gotify", "matrix"):
        with closing(WebhookSink(server.url, form, token_file=str(token))) as sink:
            posted(sink, one)
        bodies[form] = server.got[-1]

    slack = json.loads(bodies["slack"][3])["text"]
    assert "&lt;!channel&gt; '''x''' &amp; @here" in slack
    assert 2 == slack.count("```")
    assert one.text.encode() == bodies["ntfy"][3]
    assert ("4", "rotating_light") == (
        bodies["ntfy"][2]["Priority"],
        bodies["ntfy"][2]["Tags"].split(",")[0],
    )
    assert bodies["ntfy"][2]["Title"].endswith(": error")
    assert "t" == bodies["gotify"][2]["X-Gotify-Key"]
    assert "Authorization" not in bodies["gotify"][2]
    assert 8 == json.loads(bodies["gotify"][3])["priority"]
    assert ("PUT", f"/hook/{one.id}") == bodies["matrix"][:2]
    assert "m.text" == json.loads(bodies["matrix"][3])["msgtype"]
    assert "Bearer t" == bodies["matrix"][2]["Authorization"]


def test_a_template_of_ones_own(server: Server) -> None:
    template = '{"content": "{severity} {text}", "score": {score}, "{x}": {}}'
    with closing(WebhookSink(server.url, "template", template=template)) as sink:
        posted(sink, hostile('a "quoted" \\ {id} line'))

    assert {"content": 'error a "quoted" \\ {id} line', "score": 0.987, "{x}": {}} == json.loads(
        server.got[0][3]
    )


@pytest.mark.parametrize("template", ["{text}", '{"a": {text}}', '{"a": "{text}"', "[" * 100_000])
def test_a_template_that_is_no_json_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        check_template(template)


# ---- addresses ----


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://h", (True, "h", 443, "/")),
        ("http://h:81/a/b?c=d", (False, "h", 81, "/a/b?c=d")),
        ("https://[::1]/x", (True, "::1", 443, "/x")),
        ("https://[::1]:8443?x", (True, "::1", 8443, "/?x")),
    ],
)
def test_a_web_address_has_four_parts(text: str, parts: tuple[bool, str, int, str]) -> None:
    assert parts == web_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("h", "ftp://h/", "https://", "https:///x", "https://u:p@h/", "https://h/a b", "//h/"),
        *("https://h/#x", "https://h:0/", "https://h:99999/", "https://h/\r\nX: y", "https:/h"),
        "https://h/é",
    ],
)
def test_what_is_no_web_address_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a web address$"):
        web_address(text)


# ---- an outage ----


def test_an_hour_of_alerts_while_the_server_is_down_arrives_afterwards_in_order_and_once(
    tmp_path: Path,
) -> None:
    clock = Clock()

    def made(url: str) -> Delivery:
        channel = Channel(WebhookSink(url, wait_seconds=0.01), Spool(tmp_path / "webhook"))
        return Delivery([channel], lambda *_: None, Half(), clock=clock)

    def settled(delivery: Delivery, server: Server, number: int) -> None:
        """Let time pass by the clock; the answers of the server need real time."""
        stop = time.monotonic() + 10
        while len(server.got) < number or delivery.status()[0]["spooled"]:
            assert time.monotonic() < stop
            clock.now += 1.0
            delivery.tick(clock.now)

    server = Server()
    server.http.answers.append((200, {"Connection": "close"}))  # or its end is waited for
    delivery = made(server.url)
    delivery.deliver(alert(0))
    settled(delivery, server, 1)
    server.close()
    for minute in range(1, 61):
        delivery.deliver(alert(minute))
        for _ in range(6):
            clock.now += 10.0
            delivery.tick(clock.now)
        if minute == 30:  # killed: nothing is closed in an orderly way but its files
            delivery.sync()
            delivery.close()
            delivery = made(server.url)
    assert 60 == delivery.status()[0]["spooled"]
    with closing(Server(port=server.port)) as again, closing(delivery):
        settled(delivery, again, 60)
        got = [json.loads(body)["id"] for *_, body in server.got + again.got]

    assert [alert(number).id for number in range(61)] == got


class Half:
    def random(self) -> float:
        return 0.5
