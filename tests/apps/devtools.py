"""A headless Chromium that is told what to do over its DevTools pipe: keys, reloads, screen sizes, pictures."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgedistill.apps.web import browser

_SECONDS = 240
_AT_3_AND_4 = """
import fcntl, os, sys
asked, answered = (fcntl.fcntl(int(place), fcntl.F_DUPFD, 10) for place in sys.argv[1:3])
os.dup2(asked, 3), os.dup2(answered, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4."""


class Page:
    """One tab. Its expressions run in the page, its keys are real ones."""

    def __init__(self, asks: Any, answers: Any) -> None:
        self._asks, self._answers, self._number, self._session = asks, answers, 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result; events are skipped."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._asks.write(
            json.dumps({"id": self._number, "method": method, "params": params, **session}).encode() + b"\0"
        )
        self._asks.flush()
        while True:
            said = json.loads(self._read())
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]

    def _read(self) -> bytes:
        found = b""
        while not found.endswith(b"\0"):
            found += self._answers.read(1)
        return found[:-1]

    def said(self, expression: str) -> Any:
        """What an expression comes to in the page, awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        for _ in range(_SECONDS * 10):
            if self.said(expression):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {expression}; the page says: {self.said('document.body.innerText')}")

    def open(self, url: str) -> None:
        """Go there, and wait until the page can be asked."""
        self.call("Page.navigate", url=url)
        self.ready()

    def ready(self) -> None:
        """Wait until the page can be asked."""
        self.wait("document.getElementById('ask')?.disabled === false")

    def ask(self, text: str, pair: str = "") -> dict[str, Any]:
        """Fill the fields, press Enter in the first one, and read what is shown."""
        for name, value in (("pair", pair), ("text", text)):
            self.said(f"void (document.getElementById('{name}').value = {json.dumps(value)})")
        self.said("void (document.getElementById('latency').textContent = '', document.getElementById('text').focus())")
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.call("Input.dispatchKeyEvent", type="rawKeyDown", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)
        self.wait("document.getElementById('latency').textContent !== '' || document.querySelector('.fault') !== null")
        return self.said(
            "Object.fromEntries(['answer', 'passage', 'latency', 'status'].map((id) => [id, "
            "document.getElementById(id).textContent]).concat([['scores', [...document.querySelectorAll('#scores li')]"
            ".map((item) => item.textContent)], ['mark', document.querySelector('mark')?.textContent ?? '']]))"
        )

    def picture(self, path: Path, width: int, scheme: str) -> None:
        """Write what a screen of that width shows, light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A tab of a browser with a profile of its own; the browser ends with the block."""
    asked, asks = os.pipe()
    answers, answered = os.pipe()
    command = [
        *(browser.find_browser(), "--headless=new", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu"),
        *("--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking"),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        *("--remote-debugging-pipe", "about:blank"),
    ]
    start = [sys.executable, "-S", "-c", _AT_3_AND_4, str(asked), str(answered), *command]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(start, pass_fds=(asked, answered), start_new_session=True, **quiet)
    os.close(asked)
    os.close(answered)
    try:
        with os.fdopen(asks, "wb") as writer, os.fdopen(answers, "rb") as reader:
            yield Page(writer, reader)
    finally:
        browser._end(process)
