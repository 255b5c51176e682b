"""Requests that are made before they are sent, and what sends them with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT = 60.0


@dataclass(frozen=True)
class Payload:
    """A request that is ready to be sent.

    Attributes:
        path: Path with its query.
        body: The body.
        content_type: Its type.
    """

    path: str
    body: bytes
    content_type: str


def multipart(path: str, parts: Sequence[tuple[str, str, bytes]]) -> Payload:
    """A multipart form, ready to be sent.

    Args:
        path: Where to.
        parts: Field, content type and bytes of each part; a part of an empty type is a field and no file.
    """
    boundary = secrets.token_hex(16)
    chunks = []
    for name, kind, data in parts:
        file = f'; filename="{name}"\r\nContent-Type: {kind}' if kind else ""
        chunks.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        chunks += [data, b"\r\n"]
    chunks.append(f"--{boundary}--\r\n".encode())
    return Payload(path, b"".join(chunks), f"multipart/form-data; boundary={boundary}")


def ask(address: str, payload: Payload) -> tuple[int, Any]:
    """Send one payload; status and JSON of the answer, status 0 where there is none."""
    connection = connect(address)
    try:
        return ask_over(connection, payload)
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: It did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def connect(address: str) -> http.client.HTTPConnection:
    """A connection to a server, opened by the first request."""
    parts = urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)


def ask_over(connection: http.client.HTTPConnection, payload: Payload) -> tuple[int, Any]:
    """Send one payload over a connection that is kept; status and JSON of the answer, status 0 where there is none."""
    try:
        connection.request("POST", payload.path, payload.body, {"Content-Type": payload.content_type})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
        return 0, None
