"""`python -m gateway`: serves until a signal arrives, or says in one sentence why it cannot."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

import uvicorn

from avemotion.preprocessing.errors import EmotionError
from gateway.app import create_app
from gateway.environment import load_settings
from gateway.http.server import serve
from gateway.malloc_tuning import tune_malloc
from gateway.settings import Settings
from gateway.telemetry import configure_logging

_LARGEST_ON_HEAP = 16 * 2**20
"""Uploads up to this size are received into memory of earlier ones, in bytes."""


def main() -> None:
    """Serve until a signal arrives; exit with one sentence if that is not possible."""
    settings = load_settings(Settings)
    configure_logging(settings.log_level)
    with listen(settings) as listener:
        try:
            run(settings, listener)
        except EmotionError as error:
            sys.exit(error.message)


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until a signal arrives.

    Raises:
        EmotionError: The gateway cannot serve; the message says why.
    """
    tune_malloc(_LARGEST_ON_HEAP)
    app = create_app(settings)
    with asyncio.Runner(loop_factory=uvicorn.Config(app, log_config=None).get_loop_factory()) as runner:
        runner.run(serve(app, settings, listener))


def listen(settings: Settings) -> socket.socket:
    """Bind a socket to the gateway's address; exits with one sentence if that is not possible."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"Port {port} on {host} is already in use; choose another one with --port or EMO_PORT.")
        sys.exit(f"Cannot listen on {host}:{port}: {error.strerror}; choose an address with --host or EMO_HOST.")


if __name__ == "__main__":
    main()
