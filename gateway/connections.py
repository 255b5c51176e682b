"""Connections that dawdle are closed: uvicorn itself waits for the head of a request for ever.

What is slow inside a body is bounded where bodies are read; this is about everything around it. Its errors have the
one shape of all others. And the head and the body of an answer, which uvicorn writes apart, are written together.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.errors import POLICIES

_HEAD_LIMIT: Final = 64 * 1024
"""Bytes that the request line and the headers may have; browsers send well below 8 KiB."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, with limits to the time and the size of a request's head.

    Attributes:
        head_timeout: Longest time for the head of a request to arrive, and for a client to end a body of which
            nothing is wanted any more, in seconds; set by a subclass.
    """

    head_timeout: float

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make the protocol of one connection; the arguments are uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._body_is_open = False
        self._closes_after_body = False
        self._is_refused = False
        self._held = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and should ask something."""
        super().connection_made(transport)
        # Nothing is held back: uvloop would send a small answer only once the request's task had ended.
        transport.set_write_buffer_limits(high=0)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of a head are limited in number."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._timer is None:
            self._arm()
        if idle and not self._body_is_open:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _HEAD_LIMIT:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._disarm()
        self._head_bytes = 0
        self._body_is_open = True
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _HEAD_LIMIT:
            self._refuse_head()
            return
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", _GentleTransport(self))

    def on_body(self, body: bytes) -> None:
        """Part of the body is there."""
        if self._is_refused:
            return
        if not self.cycle.body and not self.cycle.response_complete:
            # uvicorn would copy it twice, into a buffer and out of it, for the case that more comes before it is read.
            self.cycle.body = cast("bytearray", body)
            body = b""
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is there."""
        self._body_is_open = False
        self._disarm()
        if not self._is_refused:
            super().on_message_complete()
        if self._closes_after_body:
            self.transport.close()

    def write(self, data: bytes) -> None:
        """Write with what follows at once, if anything does: uvicorn writes the head of an answer and its body apart.

        Each write takes a system call and wakes the client up. A second piece takes the held one with it, so that
        no more than one is ever held, and uvicorn's flow control works as before.
        """
        if self._held:
            self._held += data
            self.write_held()
        else:
            self._held = data
            self.loop.call_soon(self.write_held)

    def write_held(self) -> None:
        """Write what is held, if anything is."""
        held, self._held = self._held, b""
        if held:
            self.transport.write(held)

    def close_gently(self) -> None:
        """Close after the body: closing with bytes unread would reset the connection, and the answer would be lost."""
        self.write_held()
        if self._body_is_open:
            self._closes_after_body = True
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Where the answer came before the end of the body, listen on for a while only."""
        self.write_held()
        super().on_response_complete()
        if self._body_is_open:
            self._arm()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP."""
        self._refuse("bad_http", "The bytes are no valid HTTP request.", msg)

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(self.head_timeout, self._expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse(
                "upload_timeout",
                f"The head of the request did not arrive within {self.head_timeout:g} s, the limit.",
            )
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        self._refuse("head_too_large", f"The head of the request has more than {_HEAD_LIMIT} bytes, the limit.")

    def _refuse(self, code: str, message: str, cause: str = "") -> None:
        """Answer without the application, which has seen nothing of the request, and close."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        policy = POLICIES[code]
        request_id = uuid.uuid4().hex
        self.logger.info(
            "request failed: %s", cause or message, extra={"code": code, "status": policy.status, "id": request_id}
        )
        body = json.dumps({"error": {"code": code, "message": message, "request_id": request_id}}).encode()
        head = (
            f"HTTP/1.1 {policy.status} {HTTPStatus(policy.status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\nConnection: close\r\n\r\n"
        )
        self.write(head.encode() + body)
        self._arm()
        self._head_bytes = 0
        self.close_gently()


class _GentleTransport:
    """What a request's answer is written to: the connection, which it closes without losing the answer."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.close_gently()


def bounded_protocol(head_timeout: float) -> type[BoundedProtocol]:
    """The protocol with this timeout, for uvicorn's option `http`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_timeout": head_timeout})
