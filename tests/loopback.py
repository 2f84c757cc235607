"""A language model on loopback that speaks OpenAI's protocol, misbehaves where a test wants it to, and counts."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk-test-0123456789-not-to-be-seen"


def completion(text: str | None, **choice: Any) -> dict[str, Any]:
    """A chat completion that holds `text`."""
    message = {"role": "assistant", "content": text, "refusal": choice.pop("refusal", None)}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    chosen = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [chosen], "usage": usage}


def problem(message: str = "", *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": "error", "code": code, "param": param}}


# What the server does with one request.
Act = Callable[["Handler"], None]


def says(text: str | None, **choice: Any) -> Act:
    """A good answer."""
    return lambda handler: handler.give(200, completion(text, **choice))


def fails(status: int, body: Any = None, **headers: str) -> Act:
    """An error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.give(status, problem() if body is None else body, named)


def hangs(handler: "Handler") -> None:
    """Nothing, until the server is closed."""
    handler.server.closing.wait()
    handler.close_connection = True


def cuts(handler: "Handler") -> None:
    """Half of an answer, then a closed connection."""
    handler.head(200, 1000)
    handler.wfile.write(b'{"choices": [{"message": ')
    handler.close_connection = True


def trickles(handler: "Handler") -> None:
    """A byte now and then: each arrives in time, the answer never does."""
    handler.head(200, 1_000_000)
    while not handler.server.closing.wait(0.05):
        handler.wfile.write(b" ")
    handler.close_connection = True


class Service(ThreadingHTTPServer):
    """Chat completions, files and batches.

    Attributes:
        script: what to do with a request, by its message and how often that was asked before.
        asked: requests by message; delivered: whole answers by message, those of batches included. An answer is what is paid for.
        sent: the body of each request; begun: the moments at which they came.
        batches: every batch; a batch is computed when `computing` is set.
        batch_script: status and body of a batched request by its message; a status of 0 is an error without response.
    """

    daemon_threads = True

    def __init__(self, script: Callable[[str, int], Act]) -> None:
        self.script = script
        self.batch_script: Callable[[str], tuple[int, Any]] = lambda message: (200, completion(f"about {message}"))
        self.asked: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.sent: list[dict[str, Any]] = []
        self.begun: list[float] = []
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, list[Act]] = {}  # by method and path: what to do first, before the call is served
        self.after: dict[str, Callable[[], None]] = {}  # by method and path: what to do when it is served, before the answer
        self.ending = "completed"
        self.room = 10**9  # requests that the account may have waiting
        self.computing = threading.Event()
        self.computing.set()
        self.closing = threading.Event()
        self.lock = threading.RLock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """The base URL to give a client."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""

    def create(self, told: dict[str, Any]) -> dict[str, Any]:
        """A new batch."""
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "completion_window": told["completion_window"],
            "created_at": int(time.time()),
            "endpoint": told["endpoint"],
            "input_file_id": told["input_file_id"],
            "metadata": told["metadata"],
            "status": "validating",
        }
        self.batches.append(batch)
        return batch

    def compute(self, batch: dict[str, Any]) -> None:
        """Answer a batch's requests, once."""
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        others = [one for one in self.batches if one["status"] == "validating" and one is not batch]
        if len(lines) + sum(len(self.files[one["input_file_id"]].splitlines()) for one in others) > self.room:
            batch["status"] = "failed"
            batch["errors"] = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "too much"}]}
            return
        good, bad = [], []
        for line in lines:
            message = line["body"]["messages"][0]["content"]
            self.sent.append(line["body"])
            status, body = self.batch_script(message)
            self.asked[message] += 1
            self.delivered[message] += status == 200
            result = {"id": "r", "custom_id": line["custom_id"], "response": None, "error": None}
            if status:
                result["response"] = {"status_code": status, "request_id": "q", "body": body}
            else:
                result["error"] = {"code": body, "message": ""}
            (good if status == 200 else bad).append(json.dumps(result).encode() + b"\n")
        for name, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                batch[name] = f"{batch['id']}_{name}"
                self.files[batch[name]] = b"".join(results)
        batch["status"] = self.ending


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Service

    def head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        """Send the status and the headers."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def charge(self) -> None:
        """Count an answer that is paid for, whether or not it arrives."""
        if self.message is not None:
            with self.server.lock:
                self.server.delivered[self.message] += 1

    def give(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Answer, and count an answer that is paid for."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if status == 200:
            self.charge()
        self.head(status, len(content), headers)
        self.wfile.write(content)

    def do_GET(self) -> None:
        """A look at batches and files."""
        self._served("GET", b"")

    def do_POST(self) -> None:
        """A question, a file or a batch."""
        self._served("POST", self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _served(self, method: str, content: bytes) -> None:
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        self.message: str | None = None
        server, url = self.server, urlsplit(self.path)
        parts = url.path.removeprefix("/v1/").split("/")
        call = f"{method} {parts[0]}"
        with server.lock:
            server.calls[call] += 1
            waiting = server.faults.get(call, [])
            act = waiting.pop(0) if waiting else None
        if act:
            act(self)
        elif parts[0] == "chat":
            self._chat(json.loads(content))
        else:
            self._stored(call, parts[1:], parse_qs(url.query), content)

    def _chat(self, body: dict[str, Any]) -> None:
        server, message = self.server, body["messages"][0]["content"]
        self.message = message
        with server.lock:
            before = server.asked[message]
            server.asked[message] += 1
            server.sent.append(body)
            server.begun.append(time.monotonic())
        server.script(message, before)(self)

    def _stored(self, call: str, rest: list[str], query: dict[str, list[str]], content: bytes) -> None:
        server = self.server
        with server.lock:
            if call == "POST files":
                body: Any = self._uploaded(content)
            elif call == "GET files":
                body = server.files[rest[0]]
            elif call == "POST batches":
                body = server.create(json.loads(content))
            elif rest:
                body = next(one for one in server.batches if one["id"] == rest[0])
                if body["status"] in {"validating", "in_progress"} and server.computing.is_set():
                    server.compute(body)
            else:
                body = self._page(query)
        if call in server.after:
            server.after.pop(call)()
        self.give(200, body)

    def _uploaded(self, content: bytes) -> dict[str, Any]:
        boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
        fields = content.split(b"--" + boundary)
        assert any(b'name="purpose"' in field and field.endswith(b"batch\r\n") for field in fields)
        (field,) = (field for field in fields if b'name="file"' in field)
        body = field.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        name = f"file_{len(self.server.files)}"
        self.server.files[name] = body
        return {
            "id": name,
            "object": "file",
            "bytes": len(body),
            "created_at": 0,
            "filename": "f",
            "purpose": "batch",
            "status": "processed",
        }

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """The newest batches first, two a page, so that a client has to turn pages."""
        every = self.server.batches[::-1]
        names = [one["id"] for one in every]
        begin = names.index(query["after"][0]) + 1 if "after" in query else 0
        page = every[begin : begin + 2]
        last = page[-1]["id"] if page else None
        return {"object": "list", "data": page, "first_id": None, "last_id": last, "has_more": begin + 2 < len(every)}


@contextmanager
def serving(script: Callable[[str, int], Act] = lambda message, before: says(f"about {message}")) -> Iterator[Service]:
    """A running server; stopped at the end of the block."""
    server = Service(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
