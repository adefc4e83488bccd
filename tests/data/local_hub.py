"""A stand-in for the Hugging Face Hub: the few routes that `datasets` and `huggingface_hub` ask, on 127.0.0.1.

It serves a folder `<root>/<dataset id>/<file>` as the branch refs/convert/parquet of that dataset. Its answers
have the shape of huggingface.co's as huggingface_hub reads them; what it cannot show is that the real datasets have
the columns that the task table names.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _entry(file: Path, dataset: Path) -> dict[str, object]:
    oid = hashlib.sha1(file.read_bytes()).hexdigest()
    return {"type": "file", "path": file.relative_to(dataset).as_posix(), "size": file.stat().st_size, "oid": oid}


class _Hub(BaseHTTPRequestHandler):
    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(body)

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            self._api(self.root / parts[2] / parts[3], parts[4] if len(parts) > 4 else "", path, body)
        elif parts[0] == "datasets" and "resolve" in parts:
            self._file(self.root / parts[1] / parts[2], path.partition("/resolve/")[2])
        else:
            self._json({"error": "not found"}, 404)

    def _api(self, dataset: Path, verb: str, path: str, body: bytes) -> None:
        if not dataset.is_dir():
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(file for file in dataset.rglob("*") if file.is_file())
        if verb in {"", "revision"}:
            names = [{"rfilename": file.relative_to(dataset).as_posix()} for file in files]
            identity = dataset.relative_to(self.root).as_posix()
            self._json({"_id": "0", "id": identity, "sha": COMMIT, "siblings": names, "tags": [], "private": False})
        elif verb == "tree":
            below = path.partition(f"/tree/{COMMIT}")[2] or path.partition("refs/convert/parquet")[2]
            prefix = below.strip("/")
            entries = [_entry(file, dataset) for file in files]
            self._json([entry for entry in entries if str(entry["path"]).startswith(prefix)])
        elif verb == "paths-info":
            text = body.decode()
            wanted = json.loads(text)["paths"] if text.startswith("{") else [unquote(p[6:]) for p in text.split("&")]
            self._json([_entry(dataset / name, dataset) for name in wanted if (dataset / name).is_file()])
        else:
            self._json({"error": "not found"}, 404)

    def _file(self, dataset: Path, tail: str) -> None:
        name = tail.removeprefix("refs/convert/parquet/").removeprefix(f"{COMMIT}/")
        file = dataset / name
        if not file.is_file():
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; gives the address and the list of what has been asked so far."""
    asked: list[str] = []
    handler = type("Handler", (_Hub,), {"root": root, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
