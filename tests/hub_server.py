"""A hub on this machine: the part of the Hugging Face hub's protocol that its own client libraries speak, and its failures.

`Hub` serves repositories from memory. `Client` is a process of its own, since huggingface_hub and datasets read HF_ENDPOINT when
they are imported; it runs a stage, or a function of the library, as often as asked and pays for the imports once.
"""

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from conftest import ROOT

COMMIT = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
TOKEN = "hf_of_these_tests"
_API = re.compile(r"/api/(models|datasets)/([\w.-]+/[\w.-]+)(?:/(tree|revision|paths-info)/([^/]+)(?:/(.*))?)?$")
_FILE = re.compile(r"/(?:(datasets)/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)$")


@dataclass
class Repository:
    """The files of a repository at its one commit; a large file (of 100 bytes up) is kept as the hub keeps large files."""

    files: Mapping[str, bytes]
    gated: bool = False
    commit: str = COMMIT

    def entry(self, path: str) -> dict[str, Any]:
        """What a listing says of a file."""
        data = self.files[path]
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if len(data) >= 100:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry

    def below(self, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        """The listing of a folder; empty if there is none."""
        prefix = f"{folder}/" if folder else ""
        inside = [path for path in sorted(self.files) if path.startswith(prefix)]
        if recursive:
            return [self.entry(path) for path in inside]
        direct = [self.entry(path) for path in inside if "/" not in path[len(prefix) :]]
        names = sorted({path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]})
        return [{"type": "directory", "path": prefix + name, "oid": "0" * 40, "size": 0} for name in names] + direct


@dataclass
class Hub:
    """Models and data sets by name; `cut` names files whose sending breaks off after so many bytes of the whole."""

    models: dict[str, Repository] = field(default_factory=dict)
    datasets: dict[str, Repository] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    failing: bool = False  # every answer is 500
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range

    def __enter__(self) -> Self:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a listing, or a file or a range of it."""
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path)
        if hub.failing:
            self._refuse(500, "")
        elif match := _API.match(path):
            kind, name, action, revision, inner = match.groups()
            if repository := self._repository(hub.models if kind == "models" else hub.datasets, name, revision):
                self._listing(repository, name, action, inner or "", parse_qs(url.query), body)
        elif match := _FILE.match(path):
            kind, name, revision, file = match.groups()
            if repository := self._repository(hub.datasets if kind else hub.models, name, revision):
                self._file(repository, file, hub.cut)
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_POST = do_GET

    def _repository(self, among: Mapping[str, Repository], name: str, revision: str | None) -> Repository | None:
        found = among.get(name)
        if found is None:
            self._refuse(401, "RepoNotFound")  # as the hub does for what may be private
        elif found.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif revision not in {None, found.commit}:
            self._refuse(404, "RevisionNotFound")
        else:
            return found
        return None

    def _listing(
        self, found: Repository, name: str, action: str | None, folder: str, query: dict[str, list[str]], body: bytes
    ) -> None:
        if action == "tree":
            entries = found.below(folder, recursive=query.get("recursive", [""])[0].lower() in {"1", "true"})
            self._send(json.dumps(entries).encode()) if entries else self._refuse(404, "EntryNotFound")
        elif action == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            files = [found.entry(path) for path in wanted if path in found.files]
            folders = [
                {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
                for path in wanted
                if path not in found.files and found.below(path, recursive=True)
            ]
            self._send(json.dumps(files + folders).encode())
        else:
            siblings = [{"rfilename": path} for path in sorted(found.files)]
            self._send(json.dumps({"id": name, "sha": found.commit, "siblings": siblings, "gated": found.gated}).encode())

    def _file(self, found: Repository, path: str, cut: Mapping[str, int]) -> None:
        if path not in found.files:
            self._refuse(404, "EntryNotFound")
            return
        data = found.files[path]
        headers = {"ETag": f'"{found.entry(path)["oid"]}"', "X-Repo-Commit": found.commit, "Accept-Ranges": "bytes"}
        if "lfs" in found.entry(path):
            headers |= {"X-Linked-ETag": f'"{found.entry(path)["lfs"]["oid"]}"', "X-Linked-Size": str(len(data))}
        first, last = 0, len(data) - 1
        if asked := re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            if first > last:
                self._send(b"", 416, {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self._send(data[first : last + 1], 206 if asked else 200, headers, stop=cut.get(path, len(data)) - first)

    def _refuse(self, status: int, code: str) -> None:
        self._send(json.dumps({"error": code}).encode(), status, {"X-Error-Code": code} if code else {})

    def _send(
        self, data: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, stop: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Length": str(len(data)), "Content-Type": "application/json"} | dict(headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if stop is None else data[: max(0, stop)])
            self.close_connection = stop is not None and stop < len(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_LOOP = """
import contextlib, io, json, os, runpy, sys, traceback
import time
import datasets
time.sleep = lambda _: None  # the clients' pauses between two tries
datasets.config.STREAMING_READ_MAX_RETRIES = datasets.config.STREAMING_OPEN_MAX_RETRIES = 2
said = sys.stdout
for line in sys.stdin:
    argv, environment = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    os.environ.update(environment)
    out, err, status = io.StringIO(), io.StringIO(), None
    sys.argv = argv
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(argv[0], run_name="__main__")
        except SystemExit as stopped:
            status = stopped.code
        except BaseException:
            err.write(traceback.format_exc())
    said.write(json.dumps([status, out.getvalue(), err.getvalue()]) + "\\n")
    said.flush()
"""


@dataclass(frozen=True)
class Told:
    """How a script ended: its exit status (None after a traceback), and what it wrote."""

    status: int | None
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on standard error, which alone starts with `error: `; libraries' warnings may stand before it."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert self.status == 2, self.err
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


class Client:
    """A process that asks the hub at `address`, its cache in `home`, and runs scripts of this repository."""

    def __init__(self, address: str, home: Path) -> None:
        given = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        given |= {
            "HF_ENDPOINT": address,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
            "NO_PROXY": "127.0.0.1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=given,
            text=True,
        )

    def run(self, script: str, *, token: str = "", **flags: object) -> Told:
        """Run a script with flags, as `python SCRIPT --FLAG VALUE` does, with `token` as HF_TOKEN."""
        words = [str(ROOT / script), *(part for flag, value in flags.items() for part in (f"--{flag}", str(value)))]
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([words, {"HF_TOKEN": token} if token else {}]) + "\n")
        self.process.stdin.flush()
        return Told(*json.loads(self.process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)
