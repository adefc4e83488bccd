"""A page of the package in a real browser: a server for this computer alone, headless Chromium, and what it posts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.parse import urlencode

from edgedistill.errors import DeviceError

REPORT = "report"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_MOST_BYTES = 64 * 2**20
"""Of what a page may post."""
_ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
}
"""Browsers give pages that share nothing with others a clock of 5 microseconds instead of 100."""


def find_browser() -> str:
    """The path of a Chromium.

    Raises:
        DeviceError: none is installed.
    """
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise DeviceError(f"no browser: none of {', '.join(_NAMES)} is installed. Run: make tools")
    return found


def version_of(browser: str) -> str:
    """What it calls itself."""
    done = subprocess.run([browser, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return " ".join(done.stdout.split()[:2])


def posted(folder: Path, page: str, asked: Mapping[str, str] | None = None, seconds: float = 300) -> dict[str, Any]:
    """Open a page of the package in a headless browser and wait for the JSON it posts.

    Args:
        folder: the package.
        page: path within it.
        asked: parameters of its address; where it shall post to is added.
        seconds: after which the browser and all its processes are ended.

    Raises:
        DeviceError: no browser, one that ends or says nothing in time, or a page that reports an error.
    """
    with serving(folder) as (address, answers):
        url = f"{address}/{page}?{urlencode({**(asked or {}), 'report': f'/{REPORT}'})}"
        with _browsing(find_browser(), url) as browser:
            said = _waited_for(answers, browser, seconds)
    if "error" in said:
        raise DeviceError(f"the page failed in the browser: {said['error']}")
    return said


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Queue[dict[str, Any]]]]:
    """Serve `folder` on this computer alone; gives its address and what is posted there."""
    answers: Queue[dict[str, Any]] = Queue()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def end_headers(self) -> None:
            for name, value in _ISOLATED.items():
                self.send_header(name, value)
            super().end_headers()

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            if self.path != f"/{REPORT}" or size > _MOST_BYTES:
                return self.send_error(404)
            answers.put(json.loads(self.rfile.read(size)))
            self.send_response(204)
            return self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    Handler.extensions_map = {**Handler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _browsing(browser: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The browser at an address, with a profile of its own; all its processes end with the block."""
    with tempfile.TemporaryDirectory(prefix="edgedistill-browser-", ignore_cleanup_errors=True) as profile:
        command = [
            *(browser, "--headless=new", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu"),
            *("--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage"),
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # it refuses to run as root
            url,
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            _end(process)


def _waited_for(answers: Queue[dict[str, Any]], browser: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    for _ in range(max(1, round(seconds))):
        try:
            return answers.get(timeout=1.0)
        except Empty:
            if browser.poll() is not None:
                raise DeviceError(f"the browser ended by itself with exit code {browser.returncode}.") from None
    raise DeviceError(f"the page did not answer within {seconds:.0f} s. Is this computer very busy?")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
