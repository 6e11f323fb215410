"""Who made a bundle: what is signed passes, and nothing else does."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from logagent import signature as module
from logagent.errors import BundleError
from logagent.signature import PublicKey, read_key, read_signature

DATA = b"\0\xffa bundle" * 1000
# RFC 8032, 7.1, TEST 3.
RFC_KEY = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
RFC_MESSAGE = bytes.fromhex("af82")
RFC_SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def openssl(*arguments: str | Path) -> bytes:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=30)
    if done.returncode != 0:
        pytest.skip(f"this openssl cannot do it: {done.stderr.decode(errors='replace')}")
    return done.stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two keys, and DATA signed by the first."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make keys with")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", folder / f"{name}.pem")
        openssl("pkey", "-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub")
    (folder / "data").write_bytes(DATA)
    files = ("-in", folder / "data", "-out", folder / "data.sig")
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", folder / "ours.pem", *files)
    return folder


@pytest.fixture(params=["package", "program"])
def checked_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check in each of the two ways that are here."""
    if request.param == "package":
        if module._by_package() is None:
            pytest.skip("the package cryptography is not installed")
        monkeypatch.setattr(module, "_by_program", None)
    else:
        if shutil.which("openssl") is None:
            pytest.skip("there is no openssl")
        monkeypatch.setattr(module, "_by_package", lambda: None)


def test_what_the_documented_commands_sign_is_good(keys: Path, checked_by: None) -> None:
    signature = read_signature((keys / "data.sig").read_bytes(), "data.sig")

    read_key(keys / "ours.pub").verify(DATA, signature, "data")


def test_the_signature_of_the_standard_is_good(checked_by: None) -> None:
    PublicKey("rfc", RFC_KEY).verify(RFC_MESSAGE, RFC_SIGNATURE, "message")


@pytest.mark.parametrize("at", [0, len(DATA) // 2, len(DATA) - 1])
def test_one_changed_byte_is_not_good(keys: Path, checked_by: None, at: int) -> None:
    signature = (keys / "data.sig").read_bytes()
    changed = bytearray(DATA)
    changed[at] ^= 1

    with pytest.raises(BundleError, match="not by the key"):
        read_key(keys / "ours.pub").verify(bytes(changed), signature, "data")


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, b"garbage!" * 8])
def test_sixty_four_bytes_of_garbage_are_not_good(
    keys: Path, checked_by: None, signature: bytes
) -> None:
    with pytest.raises(BundleError, match="not by the key"):
        read_key(keys / "ours.pub").verify(DATA, signature, "data")


def test_another_key_is_not_good(keys: Path, checked_by: None) -> None:
    with pytest.raises(BundleError, match=r"data: its signature is not by the key .*theirs"):
        read_key(keys / "theirs.pub").verify(DATA, (keys / "data.sig").read_bytes(), "data")


def test_a_signature_may_be_base64_text() -> None:
    text = base64.encodebytes(RFC_SIGNATURE)

    assert RFC_SIGNATURE == read_signature(text, "x") == read_signature(RFC_SIGNATURE, "x")


@pytest.mark.parametrize(
    "content", [b"", b"x" * 63, b"x" * 65, base64.b64encode(b"x" * 63), b"=" * 88]
)
def test_what_is_no_signature_says_so(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"signature a\.sig: neither"):
        read_signature(content, "a.sig")


def pem(kind: str, der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (kind.encode(), text, kind.encode())


GOOD = pem("PUBLIC KEY", module._KEY_HEAD + RFC_KEY)


def test_text_around_a_key_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"made by ops, 2026\n" + GOOD.replace(b"\n", b"\r\n"))

    assert RFC_KEY == read_key(tmp_path / "key").raw


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing in PEM form"),
        (b"\0\xff" * 100, "nothing in PEM form"),
        (pem("PRIVATE KEY", b"secret"), 'it holds a "PRIVATE KEY"'),
        (pem("PUBLIC KEY", b"x" * 44), "not an Ed25519 key"),
        (pem("PUBLIC KEY", module._KEY_HEAD + RFC_KEY + b"x"), "not an Ed25519 key"),
        (GOOD.replace(b"MC", b"M="), "not an Ed25519 key"),
    ],
)
def test_what_is_no_public_key_says_so_and_shows_nothing_of_it(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(BundleError, match=said) as caught:
        read_key(tmp_path / "key")
    assert "c2VjcmV0" not in str(caught.value)


def test_a_key_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"public key .*none: No such file"):
        read_key(tmp_path / "none")


def fake_openssl(folder: Path, script: str) -> str:
    program = folder / "openssl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "there is no program openssl"),
        ("echo 'unknown option -rawin' >&2; exit 1", "unknown option -rawin"),
        (":", "no word why"),  # ends well and says nothing: no pass
        ("echo 'Signature Verified Successfully'; exit 1", "no word why"),
        ("while :; do :; done", "does not answer"),
    ],
)
def test_where_nothing_can_check_it_that_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, said: str
) -> None:
    monkeypatch.setattr(module, "_by_package", lambda: None)
    monkeypatch.setattr(module, "_OPENSSL_SECONDS", 0.2 if script and "while" in script else 30.0)
    path = str(tmp_path) if script is None else fake_openssl(tmp_path, script)
    monkeypatch.setenv("PATH", path)

    with pytest.raises(BundleError, match=f"cannot be checked: .*{said}"):
        PublicKey("rfc", RFC_KEY).verify(RFC_MESSAGE, RFC_SIGNATURE, "message")


def test_the_package_that_refuses_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses: Callable[[bytes, bytes, bytes], bool] = lambda key, data, signature: False  # noqa: E731
    monkeypatch.setattr(module, "_by_package", lambda: refuses)

    with pytest.raises(BundleError, match="not by the key"):
        PublicKey("rfc", RFC_KEY).verify(RFC_MESSAGE, RFC_SIGNATURE, "message")
