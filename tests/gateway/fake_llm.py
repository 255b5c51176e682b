"""A small OpenAI-compatible server that answers well, badly, late, without end or never: a fake to inject faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeLlm(ThreadingHTTPServer):
    """The server.

    Attributes:
        text: What it answers.
        silent: It answers nobody until it is closed.
        status: HTTP status.
        raw: The body, where it should not be what the API says.
        requests: Bodies that it got.
        keys: Values of the header Authorization that it got.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.text: str | None = "angry is the most probable, but not by far."
        self.silent = False
        self.closing = threading.Event()
        self.status = 200
        self.raw: bytes | None = None
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        """Base address for `EMO_LLM_URL`."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: FakeLlm

    def do_GET(self) -> None:
        assert self.path == "/v1/models"
        self._answer(json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(json.loads(body))
        self.server.keys.append(self.headers["Authorization"])
        if self.server.silent:
            self.server.closing.wait()
        message = {"role": "assistant", "content": self.server.text}
        answer = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        raw = self.server.raw
        self._answer(json.dumps(answer).encode() if raw is None else raw)

    def _answer(self, body: bytes) -> None:
        with suppress(OSError):
            self.send_response(self.server.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def fake_llm() -> Iterator[FakeLlm]:
    """A fake that listens while the context is open."""
    with FakeLlm() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
