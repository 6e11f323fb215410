"""A file from disk or from the web, whole, in memory: how a new bundle gets onto the machine.

Guarantees: at most `limit` bytes are taken, of a regular file or of an answer; over the web only
https is spoken, redirects included, unless the address is this machine or plain http was asked
for; a whole fetch, looking up names included, ends within `FETCH_SECONDS`; what the server says is
shorter than it announced is an error, not a short file.

Left to others: whether the bytes are what they should be.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from logagent.errors import BundleError
from logagent.report import size_text
from logagent.sanitise import printable

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

__all__ = ["FETCH_SECONDS", "Missing", "Source", "source"]

FETCH_SECONDS: Final = 900.0
"""[s] for a whole fetch: 4 MB over a line of 40 kbit/s."""

_QUIET_SECONDS = 30.0  # [s] a server may say nothing for
_READ_BYTES = 64 * 1024  # [bytes] per read
_REDIRECTS = 5
_LONGEST_ADDRESS = 4096  # characters
_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1", re.IGNORECASE)
_T = TypeVar("_T")


class Missing(BundleError):  # noqa: N818  # what is told of it is an error all the same
    """There is no such file, or the server says so."""


class Source:
    """A place that bytes come from: a path or a web address."""

    def __init__(self, place: str, *, web: bool, insecure_http: bool) -> None:
        self.web = web
        self._place = place
        self._insecure_http = insecure_http

    @property
    def name(self) -> str:
        """The place as it may be shown: an address without its query, which may be a secret."""
        shown = self._place.partition("?")[0] if self.web else self._place
        return printable(shown, 300)

    def beside(self, suffix: str) -> Source:
        """Return the source of the same name with a suffix; a query stays behind it."""
        path, mark, query = self._place.partition("?") if self.web else (self._place, "", "")
        return Source(path + suffix + mark + query, web=self.web, insecure_http=self._insecure_http)

    def read(self, limit: int) -> bytes:
        """Return all of it.

        Raises:
            Missing: there is nothing.
            BundleError: it cannot be had, not wholly, or is larger than `limit` bytes.
        """
        if not self.web:
            return self._file(limit)
        return _within(FETCH_SECONDS, self.name, lambda: self._fetch(limit))

    def _file(self, limit: int) -> bytes:
        try:
            descriptor = os.open(self._place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise BundleError(f"{self.name}: not a file")
                data = file.read(limit + 1)
        except FileNotFoundError:
            raise Missing(f"{self.name}: no such file") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            reason = getattr(error, "strerror", None) or error
            raise BundleError(f"{self.name}: {reason}") from None
        if len(data) > limit:
            raise BundleError(f"{self.name}: {_too_large(limit)}")
        return data

    def _fetch(self, limit: int) -> bytes:
        from http.client import HTTPException  # noqa: PLC0415  # only an update needs it
        from urllib.error import HTTPError, URLError  # noqa: PLC0415

        try:
            with _opener().open(self._place, timeout=_QUIET_SECONDS) as answer:
                return self._body(answer, limit)
        except HTTPError as error:
            said = f"{self.name}: the server says {error.code} {printable(error.reason or '', 100)}"
            error.close()
            raise (Missing if error.code in (404, 410) else BundleError)(said) from None
        except URLError as error:
            raise BundleError(f"{self.name}: {_reason(error.reason)}") from None
        except (OSError, ValueError, HTTPException) as error:
            raise BundleError(f"{self.name}: {_reason(error)}") from None

    def _body(self, answer: HTTPResponse, limit: int) -> bytes:
        announced = answer.headers.get("Content-Length")
        length = int(announced) if announced and announced.isdecimal() else None
        if length is not None and length > limit:
            raise BundleError(f"{self.name}: {_too_large(limit)}")
        progress = _Progress(self.name, length)
        data = bytearray()
        try:
            while part := answer.read(min(_READ_BYTES, limit + 1 - len(data))):
                data += part
                if len(data) > limit:
                    raise BundleError(f"{self.name}: {_too_large(limit)}")
                progress.show(len(data))
        finally:
            progress.wipe()
        if length is not None and len(data) != length:
            raise BundleError(
                f"{self.name}: cut off after {len(data)} of {length} bytes; try again"
            )
        return bytes(data)


def source(text: str, *, insecure_http: bool = False) -> Source:
    """Return the source of a path, or of an address that begins with https:// or http://.

    Raises:
        BundleError: an address that is not to be used.
    """
    scheme, found, rest = text.partition("://")
    if not found or not scheme.isalpha():
        return Source(text, web=False, insecure_http=False)
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    shown = printable(text.partition("?")[0], 300)
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise BundleError(f"{shown}: only https:// and files are known")
    if not place or "@" in place or not all("!" <= each <= "~" for each in text):
        raise BundleError(f"{printable(scheme, 10)}://…: not an address without user and password")
    if len(text) > _LONGEST_ADDRESS:
        raise BundleError(f"{shown}: the address is too long")
    host = re.sub(r":\d*$", "", place).strip("[]")
    if scheme == "http" and not insecure_http and not _LOOPBACK.fullmatch(host):
        raise BundleError(
            f"{shown}: over http anybody on the way could change it; use https, or --insecure-http "
            "together with --sha256 or --key"
        )
    return Source(f"{scheme}://{rest.partition('#')[0]}", web=True, insecure_http=insecure_http)


def _opener() -> OpenerDirector:
    """Return what speaks http and https and nothing else (urllib would open files and ftp)."""
    from urllib import error, request  # noqa: PLC0415  # only an update needs it

    class Redirects(request.HTTPRedirectHandler):
        max_redirections = _REDIRECTS

        def redirect_request(self, req: Any, fp: Any, code: int, *rest: Any) -> Any:
            target = rest[-1]
            if not target.lower().startswith("https://"):
                fp.close()
                raise error.URLError("redirects to an address that is not https; refused")
            return super().redirect_request(req, fp, code, *rest)

    director = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        Redirects(),
        request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    director.addheaders = [("User-Agent", "logagent"), ("Accept", "application/octet-stream, */*")]
    return director


def _within(seconds: float, name: str, work: Callable[[], _T]) -> _T:
    """Return what `work` does, or give it up: a server can drip a byte every 29 s for ever.

    The thread that hangs is left to the end of the process.
    """
    import threading  # noqa: PLC0415  # only an update needs it

    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise BundleError(f"{name}: not there after {seconds:.0f} s; given up")
    return results[0]


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"the server says nothing for {_QUIET_SECONDS:.0f} s"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(said), 200)


def _too_large(limit: int) -> str:
    return f"larger than {limit >> 20} MiB, so it is no bundle"


class _Progress:
    """A line on a terminal's standard error while bytes come."""

    def __init__(self, name: str, length: int | None) -> None:
        self._name, self._length = name, length
        self._next = time.monotonic() + 0.5  # [s] what is quick needs no line
        self._drawn = False

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now < self._next or sys.stderr is None or not sys.stderr.isatty():
            return
        self._next = now + 0.2
        of = "" if self._length is None else f" of {size_text(self._length)}"
        sys.stderr.write(f"\r\x1b[K{printable(self._name, 50)}: {size_text(done)}{of}")
        sys.stderr.flush()
        self._drawn = True

    def wipe(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
