"""Bytes from a file or a web server, whatever the server does."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from logagent import download as module
from logagent.download import Missing, source
from logagent.errors import BundleError

from .web import endless, garbage, moved, serving, whole

BODY = bytes(range(256)) * 1000
LIMIT = 1 << 20


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def refused(text: str, limit: int = LIMIT) -> str:
    with pytest.raises(BundleError) as caught:
        source(text).read(limit)
    message = str(caught.value)
    assert message.isprintable()
    return message


# ---- files ----


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)

    assert BODY == source(str(tmp_path / "a")).read(len(BODY))


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(11))
    os.mkfifo(tmp_path / "pipe")  # a plain open would wait for ever

    assert "larger than" in refused(str(tmp_path / "a"), 10)
    assert "not a file" in refused(str(tmp_path / "pipe"))
    assert "directory" in refused(str(tmp_path))
    assert "null" in refused("a\0b")
    with pytest.raises(Missing, match="no such file"):
        source(str(tmp_path / "none")).read(LIMIT)


# ---- addresses ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://example.net/a.bundle", "use https"),
        ("http://127.0.0.1.example.net/a", "use https"),
        ("http://localhost.evil:80/", "use https"),
        ("http://[::1]evil/", "use https"),
        ("ftp://example.net/a", "only https"),
        ("file:///etc/passwd", "only https"),
        ("https://me:secret@example.net/a", "without user"),
        ("https:///a", "not an address"),
        ("https://example.net/a b", "not an address"),
        ("https://example.net/\x1b[2J", "not an address"),
        ("https://example.net/" + "x" * 5000, "too long"),
    ],
)
def test_an_address_that_is_not_to_be_used_is_refused(text: str, said: str) -> None:
    message = refused(text)

    assert said in message
    assert "secret" not in message


def test_plain_http_is_for_this_machine_or_if_it_is_asked_for() -> None:
    for text in (
        "http://localhost/a",
        "http://127.0.0.1:80/a",
        "http://[::1]:80/a",
        "HTTP://LOCALHOST",
    ):
        assert source(text).web
    assert source("http://example.net/a", insecure_http=True).web


def test_the_signature_lies_beside_the_path_not_behind_the_query() -> None:
    beside = source("https://example.net/a.bundle?token=secret#part").beside(".sig")

    assert "https://example.net/a.bundle.sig" == beside.name
    assert "https://example.net/a.bundle.sig?token=secret" == beside._place
    assert "a.bundle.sig" == source("a.bundle").beside(".sig").name


# ---- servers ----


def test_an_answer_is_taken_whole() -> None:
    with serving({"/a": whole(BODY)}) as (web, asked):
        assert BODY == source(f"{web}/a?x=1").read(LIMIT)

    assert ["/a?x=1"] == asked


def test_what_is_not_there_is_missing_and_its_query_is_not_shown() -> None:
    with (
        serving({}) as (web, _),
        pytest.raises(Missing, match=r"/a: the server says 404") as caught,
    ):
        source(f"{web}/a?secret").read(LIMIT)
    assert "secret" not in str(caught.value)


def test_an_answer_that_is_cut_off_is_refused() -> None:
    with serving({"/a": whole(BODY, announced=len(BODY) + 1)}) as (web, _):
        assert f"cut off after {len(BODY)} of {len(BODY) + 1} bytes" in refused(f"{web}/a")


def test_what_is_sent_beyond_the_announced_length_is_not_taken() -> None:
    with serving({"/a": whole(BODY, announced=100)}) as (web, _):
        assert BODY[:100] == source(f"{web}/a").read(LIMIT)


def test_an_endless_answer_ends_at_the_limit() -> None:
    with serving({"/a": endless}) as (web, _):
        assert "larger than 1 MiB" in refused(f"{web}/a")


def test_an_answer_that_is_announced_too_large_is_not_read() -> None:
    with serving({"/a": whole(b"", announced=LIMIT + 1)}) as (web, _):
        assert "larger than 1 MiB" in refused(f"{web}/a")


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/b", "ftp://127.0.0.1/b", "/b"])
def test_a_redirect_to_anything_but_https_is_refused(to: str) -> None:
    with serving({"/a": moved(to), "/b": whole(BODY)}) as (web, asked):
        assert "redirects to an address that is not https" in refused(f"{web}/a")

    assert ["/a"] == asked


def test_a_redirect_to_https_is_followed() -> None:
    # Nobody speaks TLS there: that is how far it gets, and it is as far as the redirect.
    with serving({"/b": whole(BODY)}) as (other, _):
        to = other.replace("http:", "https:") + "/b"
        with serving({"/a": moved(to)}) as (web, _):
            assert "SSL" in refused(f"{web}/a") or "TLS" in refused(f"{web}/a")


def test_an_answer_that_is_not_http_is_refused() -> None:
    with serving({"/a": garbage}) as (web, _):
        assert refused(f"{web}/a").startswith(f"{web}/a: ")


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert "Connection refused" in refused(f"http://127.0.0.1:{port}/a")


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert "says nothing" in refused(f"http://127.0.0.1:{port}/a")


def test_work_that_never_ends_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(BundleError, match="given up"):
        module._within(0.01, "x", never.wait)
    never.set()
