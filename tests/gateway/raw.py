"""Requests that no well-behaved client sends, over a bare socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

BOUNDARY = "x"
PART_HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n'


@contextmanager
def connection(gateway: httpx.Client) -> Iterator[socket.socket]:
    """A connection to a gateway, closed at the end."""
    with socket.create_connection((gateway.base_url.host, gateway.base_url.port or 80), timeout=20) as opened:
        yield opened


def head(length: int, path: str = "/predict", *headers: str) -> bytes:
    """The head of an upload that announces a body of so many bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def sent(gateway: httpx.Client, path: str, field: str, data: bytes, **headers: str) -> Iterator[None]:
    """A complete upload; the client disconnects at the end without having read the answer."""
    request = gateway.build_request("POST", path, files={field: ("clip", data)}, headers=headers)
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    with connection(gateway) as opened:
        opened.sendall("\r\n".join([*lines, "", ""]).encode() + request.read())
        yield


def everything(opened: socket.socket) -> bytes:
    """All bytes that come before the other side closes."""
    return b"".join(iter(lambda: opened.recv(65_536), b""))


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer."""
    start, _, rest = answer.partition(b"\r\n")
    body = rest.partition(b"\r\n\r\n")[2]
    return int(start.split()[1]), json.loads(body)
