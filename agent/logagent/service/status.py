"""`logagent status`: a socket in the state folder that answers with one JSON object.

The agent writes nothing to disk for it. Guarantees: an asker who does not read is cut off after
`_SEND_SECONDS`; asking changes nothing. Memory: one answer.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from logagent.errors import StateError
from logagent.inputs import Report

__all__ = ["StatusServer", "ask"]

_NAME = "status.sock"
_SEND_SECONDS = 0.2  # [s] for an answer; the kernel's buffer takes most answers at once
_ASK_SECONDS = 10.0  # [s] a busy agent answers between two blocks
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


class StatusServer:
    """Answers whoever connects."""

    def __init__(self, folder: Path, report: Report) -> None:
        """Listen; where that fails, say so and do without."""
        self._folder = folder
        self._socket: socket.socket | None = None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(folder / _NAME)
            with _Address(folder) as address:
                listener.bind(address)
            os.chmod(folder / _NAME, 0o660)
            listener.listen(4)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            report("no-status", f"{folder / _NAME}: {error.strerror}; `logagent status` cannot ask")
            return
        self._socket = listener

    def descriptors(self) -> list[int]:
        """Return what becomes readable when somebody asks."""
        return [] if self._socket is None else [self._socket.fileno()]

    def serve(self, status: Callable[[], dict[str, Any]]) -> None:
        """Answer one asker, if there is one."""
        if self._socket is None:
            return
        try:
            connection, _ = self._socket.accept()
        except OSError:  # nobody there (any more)
            return
        with connection:
            connection.setblocking(False)
            data = memoryview(json.dumps(status(), ensure_ascii=True).encode() + b"\n")
            stop = time.monotonic() + _SEND_SECONDS
            writable = select.poll()
            writable.register(connection, select.POLLOUT)
            while data and (left := stop - time.monotonic()) > 0:
                if not writable.poll(left * 1000):
                    return
                try:
                    data = data[connection.send(data) :]
                except BlockingIOError:
                    continue
                except OSError:  # the asker has gone
                    return

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            with suppress(OSError):
                os.unlink(self._folder / _NAME)
            self._socket = None


def ask(folder: Path) -> dict[str, Any]:
    """Ask the agent that uses this state folder.

    Raises:
        StateError: there is none, or it does not answer.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(_ASK_SECONDS)
        try:
            with _Address(folder) as address:
                connection.connect(address)
            data = bytearray()
            while chunk := connection.recv(65536):
                data += chunk
                if len(data) > _MAX_ANSWER_BYTES:
                    raise StateError(f"{folder}: the answer is too long")
        except (FileNotFoundError, ConnectionRefusedError):
            raise StateError(
                f"no logagent runs with state folder {folder}; name its own with --state-dir"
            ) from None
        except OSError as error:
            raise StateError(f"{folder / _NAME}: {error.strerror or error}") from None
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise StateError(f"{folder / _NAME}: the answer was cut off; ask again") from None
    if not isinstance(answer, dict):
        raise StateError(f"{folder / _NAME}: not a logagent")
    return answer


class _Address:
    """A socket's address of any length: a path of over 107 bytes is named through its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1

    def __enter__(self) -> str:
        path = str(self._folder / _NAME)
        if len(os.fsencode(path)) <= 100:
            return path
        self._fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{_NAME}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
