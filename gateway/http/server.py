"""uvicorn with a drain before its end, and a timeout for request headers, which uvicorn lacks."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from gateway.http.error_responses import HEAD_TOO_LARGE, HEADER_LIMIT, error_response
from gateway.predict.readiness import Readiness
from gateway.services import Services
from gateway.settings import Settings


async def serve(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Start the application and answer requests until SIGTERM or SIGINT.

    The lifespan runs here and not inside uvicorn, which would answer an error at start with a traceback.

    Raises:
        EmotionError: The gateway cannot serve; the message says why.
    """
    services: Services = app.state.services
    async with app.router.lifespan_context(app):
        await _Server(app, settings, services.readiness).serve([listener])


def server_config(
    app: FastAPI, settings: Settings, *, port: int = 0, lifespan: Literal["on", "off"] = "off"
) -> uvicorn.Config:
    """How uvicorn runs the gateway.

    Args:
        app: The gateway's application.
        settings: Its settings.
        port: Port, if uvicorn is not given a socket.
        lifespan: Whether uvicorn runs the lifespan, which `serve` does itself.
    """
    protocol = type("Protocol", (HeaderTimeoutProtocol,), {"header_timeout": settings.head_timeout})
    return uvicorn.Config(
        app,
        port=port,
        http=protocol,
        h11_max_incomplete_event_size=HEADER_LIMIT,
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=int(settings.drain_timeout),
    )


class HeaderTimeoutProtocol(H11Protocol):
    """Closes connections whose request headers do not arrive in time (slowloris), or that send on after an answer.

    pyproject.toml names the versions of uvicorn that this was tested with.

    Attributes:
        header_timeout: Longest time for the headers of a request to arrive, counted from the opening of the connection
            or the end of the previous answer, and for the rest of a body that was answered early; in seconds.
    """

    header_timeout: float
    _timer: asyncio.TimerHandle | None = None
    _is_rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._update_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes; discard them after a rejection."""
        if not self._is_rejected:
            super().data_received(data)
            self._update_timer()

    def on_response_complete(self) -> None:
        """An answer was sent."""
        super().on_response_complete()
        self._update_timer()

    def _should_upgrade(self) -> bool:
        """Ignore every upgrade (RFC 9110, section 7.8) without uvicorn's advice to install websockets."""
        return False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Answer bytes that h11 cannot parse, in the shape of all errors."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._reject("head_too_large", HEAD_TOO_LARGE)
        else:
            self._reject("bad_http", "Malformed HTTP request.")

    def _update_timer(self) -> None:
        """Run the timer as long as no request is being answered."""
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self._timer is None:
            self._timer = self.loop.call_later(self.header_timeout, self._expire)
        elif not is_waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._is_rejected and self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            limit = f"{self.header_timeout:g} s, the limit"
            self._reject("upload_timeout", f"The request's headers did not arrive within {limit}.")
            self._timer = self.loop.call_later(self.header_timeout, self._expire)
        else:
            self.transport.close()

    def _reject(self, code: str, message: str) -> None:
        """Answer without the application, which has seen nothing of the request.

        The connection is half-closed, and what the client still sends is discarded until the timer ends: closing with
        unread bytes would reset the connection, and the client might lose the answer.
        """
        self._is_rejected = True
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = error_response(code, message)
            head = h11.Response(status_code=answer.status_code, headers=answer.raw_headers)
            events: list[Any] = [head, h11.Data(bytes(answer.body)), h11.EndOfMessage()]
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
            self.transport.write_eof()
        else:
            self.transport.close()


class _Server(uvicorn.Server):
    """Drains on a signal, and returns afterwards instead of raising the signal again."""

    def __init__(self, app: FastAPI, settings: Settings, readiness: Readiness) -> None:
        super().__init__(server_config(app, settings))
        self._readiness = readiness
        self._drain_delay = settings.drain_delay
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs; the previous handlers are restored at its end."""
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Become unready; stop accepting after the drain delay, or at once on a second signal or Ctrl-C."""
        first = not self._readiness.draining
        self._readiness.drain()
        if first and sig == signal.SIGTERM:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_delay, super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)
