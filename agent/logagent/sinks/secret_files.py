"""Secrets, which stand in files of their own: tokens, passwords, addresses that are secrets.

Guarantees: a secret is one line of visible ASCII, so that it can stand in a header; nothing of it
is in any message; what others may read is told.
"""

from __future__ import annotations

import os
import stat

__all__ = ["read_secret", "told_to_others"]

_MAX_BYTES = 4096
"""[bytes] Tokens have some hundred, signed ones one or two thousand."""


def read_secret(path: str) -> str:
    """Return the first line of a file, without white space around it.

    Raises:
        OSError: it cannot be read, or holds no secret; the message names the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "not a regular file")
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from None
    line = data.strip()
    if not line or len(data) > _MAX_BYTES or any(not 0x21 <= byte <= 0x7E for byte in line):
        raise OSError(0, f"{path}: must hold one line of visible ASCII characters, the secret")
    return line.decode("ascii")


def told_to_others(path: str) -> bool:
    """Tell whether a file can be read by users that are neither its owner nor in its group."""
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False
