"""A real browser, driven over WebDriver's HTTP by hand: no library for five commands.

Needs Debian's `chromium` and `chromium-driver` (or whatever is called so on PATH).
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Browser", "missing"]

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's name for a reference to an element


def missing() -> str:
    """Say what of the browser is not here; nothing if all is."""
    needed = {"chromium": ("chromium", "google-chrome"), "chromedriver": ("chromedriver",)}
    absent = [name for name, names in needed.items() if not any(map(shutil.which, names))]
    return f"not on PATH: {', '.join(absent)}" if absent else ""


class Browser:
    """One window; close it with `with`."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 1000) -> None:
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert self._driver.stdout is not None
            port = next(
                int(line.rstrip(b".\n").rpartition(b" ")[2])
                for line in self._driver.stdout
                if b"started successfully on port" in line
            )
            self._base = f"http://127.0.0.1:{port}/session"
            options = {
                "binary": shutil.which("chromium") or shutil.which("google-chrome"),
                "args": [
                    "--headless=new",
                    "--no-sandbox",  # tests may run as root
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--hide-scrollbars",
                    f"--user-data-dir={profile}",
                    f"--window-size={width},{height}",
                ],
            }
            asked = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = self._call("POST", "", {"capabilities": {"alwaysMatch": asked}})
            self._base += f"/{session['sessionId']}"
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._stop()

    def _stop(self) -> None:
        self._driver.kill()
        self._driver.wait()
        assert self._driver.stdout is not None
        self._driver.stdout.close()

    def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310 - always http to this machine
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path) -> None:
        """Load a file and wait until it is there."""
        self._call("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, past its policy, and return what it returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def element(self, selector: str) -> str:
        """Find the first element of a CSS selector."""
        asked = {"using": "css selector", "value": selector}
        return str(self._call("POST", "/element", asked)[_ELEMENT])

    def click(self, selector: str) -> None:
        """Click as a mouse does: where the element is, if nothing covers it."""
        self._call("POST", f"/element/{self.element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Press keys on an element; WebDriver's private-use characters are keys, too."""
        self._call("POST", f"/element/{self.element(selector)}/value", {"text": text})

    def command(self, name: str, **parameters: Any) -> Any:
        """Send a command of Chromium's own protocol."""
        asked = {"cmd": name, "params": parameters}
        return self._call("POST", "/goog/cdp/execute", asked)

    def log(self) -> list[dict[str, Any]]:
        """Return what the console got since last asked: errors, refusals of the policy."""
        return list(self._call("POST", "/se/log", {"type": "browser"}))

    def picture(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def pdf(self, path: Path) -> None:
        """Save what a printer would get."""
        path.write_bytes(base64.b64decode(self._call("POST", "/print", {"background": True})))
