"""Who made a bundle: a detached Ed25519 signature (RFC 8032) over all the bytes of the file.

The signature is 64 bytes in a file of its own, ``FILE.sig``, raw or as base64 text; the public key
is a PEM file as ``openssl pkey -pubout`` writes it (RFC 8410).

Guarantees: `verify` returns only if the signature is that of the key; where nothing here can check
it, that is an error, never a pass. The arithmetic is that of the package `cryptography` if it is
installed, else of the program ``openssl``; there is none here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logagent.errors import BundleError
from logagent.sanitise import printable

__all__ = ["SIGNATURE_FILE_BYTES", "PublicKey", "read_key", "read_signature"]

SIGNATURE_FILE_BYTES: Final = 4096
"""[bytes] Largest file of a signature; base64 text of one has 88."""

_SIGNATURE_BYTES = 64  # RFC 8032, 5.1.6
_KEY_FILE_BYTES = 64 * 1024  # [bytes] a PEM file may have text around the key
_KEY_HEAD = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, 4: what says Ed25519, 32 bytes
_KEY_BYTES = 32
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s([A-Za-z0-9+/=\s]*)-----END \1-----")
_OPENSSL_SECONDS = 30.0  # [s] it takes a hundredth of one


class PublicKey:
    """An Ed25519 public key."""

    def __init__(self, name: str, raw: bytes) -> None:
        self.name = name
        """The file that it was read from."""
        self.raw = raw
        """32 bytes, RFC 8032, 5.1.5."""

    def verify(self, data: bytes, signature: bytes, what: str) -> None:
        """Return if `signature` is one of `data` by this key.

        Args:
            data: everything that was signed.
            signature: 64 bytes.
            what: name of the data, for messages.

        Raises:
            BundleError: it is not, or nothing on this machine can tell.
        """
        check = _by_package() or _by_program
        if not check(self.raw, data, signature):
            raise BundleError(
                f"{what}: its signature is not by the key {self.name}: it was changed, or made by "
                "somebody else; do not use it"
            )


def read_key(path: str | Path) -> PublicKey:
    """Read a public key.

    Raises:
        BundleError: the file cannot be read, or holds none.
    """
    name = printable(str(path), 300)
    try:
        with open(path, "rb") as file:
            text = file.read(_KEY_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or error
        raise BundleError(f"public key {name}: {reason}") from None
    found = _PEM.search(text)
    kind = found[1].decode() if found else ""
    if found is None or kind != "PUBLIC KEY":
        said = f'it holds a "{kind}"' if kind else "it holds nothing in PEM form"
        raise BundleError(
            f"public key {name}: {said}; make one with `openssl pkey -in KEY.pem -pubout`"
        )
    try:
        der = base64.b64decode(b"".join(found[2].split()), validate=True)
    except binascii.Error:
        der = b""
    if not der.startswith(_KEY_HEAD) or len(der) != len(_KEY_HEAD) + _KEY_BYTES:
        raise BundleError(f"public key {name}: not an Ed25519 key, and no other kind is used here")
    return PublicKey(name, der[len(_KEY_HEAD) :])


def read_signature(content: bytes, name: str) -> bytes:
    """Return the 64 bytes of a signature from what its file holds, raw or base64 text.

    Raises:
        BundleError: it holds neither.
    """
    if len(content) == _SIGNATURE_BYTES:
        return content
    try:
        raw = base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _SIGNATURE_BYTES:
        raise BundleError(
            f"signature {name}: neither the 64 bytes of an Ed25519 signature nor their base64 text"
        )
    return raw


def _by_package() -> Callable[[bytes, bytes, bytes], bool] | None:
    """Return a check that uses `cryptography`; None if it is not installed."""
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # may be absent
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        return None

    def check(key: bytes, data: bytes, signature: bytes) -> bool:
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    return check


def _by_program(key: bytes, data: bytes, signature: bytes) -> bool:
    """Check with `openssl`, which reads the very bytes that we hold, through our descriptors.

    Raises:
        BundleError: it is not there, does not know Ed25519, or does not answer.
    """
    import subprocess  # noqa: PLC0415  # only a signed update needs it

    text = base64.b64encode(_KEY_HEAD + key)
    pem = b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"
    held: list[int] = []
    try:
        for name, content in (("key", pem), ("data", data), ("signature", signature)):
            held.append(os.memfd_create(f"logagent-{name}"))
            with open(held[-1], "wb", closefd=False) as file:
                file.write(content)
        paths = [f"/dev/fd/{descriptor}" for descriptor in held]
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", paths[0], "-rawin"]
        command += ["-in", paths[1], "-sigfile", paths[2]]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=held,
            timeout=_OPENSSL_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise BundleError(
            "the signature cannot be checked: there is no program openssl and no Python package "
            "cryptography; install one of them"
        ) from None
    except subprocess.TimeoutExpired:
        raise BundleError("the signature cannot be checked: openssl does not answer") from None
    except OSError as error:
        raise BundleError(
            f"the signature cannot be checked: openssl: {error.strerror or error}"
        ) from None
    finally:
        for descriptor in held:
            os.close(descriptor)
    # What it prints decides, and the exit code too: old ones end with 0 or 1 for other reasons.
    if done.returncode == 0 and b"Signature Verified Successfully" in done.stdout:
        return True
    if b"Signature Verification Failure" in done.stdout:
        return False
    said = (done.stderr.strip().splitlines() or [b"no word why"])[-1]
    raise BundleError(f"the signature cannot be checked: openssl: {printable(said, 200)}")
