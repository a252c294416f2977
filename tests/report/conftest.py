"""Chromium without a window, driven over its own pipe: pages at a true phone width, in the dark, or on paper.

Its command line cannot make a window narrower than 500 px; the DevTools protocol can, as a phone does it. Messages are
JSON ended by a zero byte, from file 3 and to file 4 of the process, so nothing but the standard library is needed.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page of one browser. `complaints` are its console messages, exceptions and whatever it could not load."""

    def __init__(self, profile: Path) -> None:
        reads, gives = os.pipe()
        takes, writes = os.pipe()

        def placed() -> None:  # in the child: the two ends become files 3 and 4
            ends = os.dup(reads), os.dup(writes)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        words = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            words, preexec_fn=placed, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(reads)
        os.close(writes)
        self._to, self._from = os.fdopen(gives, "wb"), os.fdopen(takes, "rb")
        self._numbers, self._session, self.complaints = itertools.count(1), None, list[str]()
        self._events, self._held = list[str](), b""
        (page, *_) = [t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._to.close()
        self._from.close()

    def open(self, path: Path, width: int, height: int = 900, *, dark: bool = False, paper: bool = False) -> None:
        """Show a page; under 600 px as a phone does, which takes the page's own word for its width."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=[scheme])
        self._events.clear()
        self.complaints.clear()
        self._call("Page.navigate", url=path.as_uri())
        ends = time.monotonic() + 30
        while "Page.loadEventFired" not in self._events and time.monotonic() < ends:
            self.ask("0")

    def ask(self, script: str) -> Any:
        """The value of an expression in the page; that the page forbids scripts does not bind the browser."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def shot(self, path: Path, height: int | None = None) -> None:
        """A picture of the whole page, or of its first `height` pixels."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        found = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path: Path) -> None:
        """The page on A4."""
        self._call("Emulation.setEmulatedMedia", media="print")
        found = self._call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _call(self, method: str, **settings: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": settings}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            found = json.loads(self._message())
            if found.get("id") == number:
                assert "error" not in found, found
                return dict(found["result"])
            self._events.append(found.get("method", ""))
            if found.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(found["params"])[:500])

    def _message(self) -> bytes:
        while (end := self._held.find(b"\0")) < 0:
            more = self._from.read1(1 << 20)
            if not more:
                raise EOFError("The browser has gone.")
            self._held += more
        message, self._held = self._held[:end], self._held[end + 1 :]
        return message


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with Browser(tmp_path_factory.mktemp("profile")) as made:
        yield made
