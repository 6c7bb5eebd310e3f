"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_START_SECONDS = 30.0


def find_browser() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Tab:
    """One tab; ``events`` keeps what the browser reported, in order."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=_START_SECONDS, suppress_origin=True)
        self._last = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and return its result; raises RuntimeError with the browser's refusal."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while (message := self._receive()).get("id") != self._last:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return dict(message["result"])

    def open(self, url: str, width: int, scheme: str) -> None:
        """Load a page at a width (CSS pixels) and a colour scheme, and wait until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.send("Page.navigate", url=url)
        while not self.named("Page.loadEventFired"):
            self._receive()

    def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page and return its value."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def named(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of every event of one name since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browser_tab(program: str, profile: Path) -> Iterator[Tab]:
    """Start a browser with an empty profile folder and give its first tab; it ends with the block."""
    with (profile.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=log, stderr=log
        )
    try:
        tab = Tab(_first_tab(process, profile))
        yield tab
        tab.close()
    finally:
        process.terminate()
        process.wait(timeout=_START_SECONDS)


def _first_tab(process: subprocess.Popen[bytes], profile: Path) -> str:
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_SECONDS
    while not (port_file.exists() and port_file.read_text().count("\n")):
        if process.poll() is not None or time.monotonic() > deadline:
            log = profile.with_suffix(".log").read_text(errors="replace")
            raise RuntimeError(f"the browser did not start: {log[-2000:]}")
        time.sleep(0.05)
    port = port_file.read_text().split("\n", 1)[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_START_SECONDS) as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
