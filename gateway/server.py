"""uvicorn, ended the way a load balancer wants it: unready first, then the requests in flight, then gone."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import uvicorn
from fastapi import FastAPI
from uvicorn.server import HANDLED_SIGNALS

from gateway.connections import bounded_protocol
from gateway.readiness import Readiness
from gateway.services import Services
from gateway.settings import Settings


async def serve(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Start the application and answer requests until SIGTERM or SIGINT.

    The lifespan runs here and not inside uvicorn, which would answer an error at start with a traceback.

    Args:
        app: The gateway's application.
        settings: Its settings.
        listener: A bound socket.

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
        port: Port, where uvicorn is not given a socket.
        lifespan: Whether uvicorn runs the lifespan, which `serve` does itself.
    """
    return uvicorn.Config(
        app,
        port=port,
        http=bounded_protocol(settings.head_timeout),
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=int(settings.drain_timeout),
    )


class _Server(uvicorn.Server):
    """Drains on a signal, and returns afterwards instead of raising the signal again."""

    def __init__(self, app: FastAPI, settings: Settings, readiness: Readiness) -> None:
        super().__init__(server_config(app, settings))
        self._readiness = readiness
        self._drain_delay = settings.drain_delay
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs; the handlers before are put back at its end."""
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
