"""Multipart requests, encoded before a run so that encoding costs nothing while something is measured."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Payload:
    """A request that is ready to be sent by POST.

    Attributes:
        path: Path with its query.
        body: The body.
        content_type: Value of the header `Content-Type`.
    """

    path: str
    body: bytes
    content_type: str


def multipart(path: str, parts: Sequence[tuple[str, str, bytes]]) -> Payload:
    """Encode a multipart form.

    Args:
        path: Path with its query.
        parts: Field name, content type and bytes of each part. A part with an empty type is a plain field, every other
            one is a file.
    """
    boundary = secrets.token_hex(16)
    chunks = []
    for name, kind, data in parts:
        file = f'; filename="{name}"\r\nContent-Type: {kind}' if kind else ""
        chunks.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        chunks += [data, b"\r\n"]
    chunks.append(f"--{boundary}--\r\n".encode())
    return Payload(path, b"".join(chunks), f"multipart/form-data; boundary={boundary}")
