"""`python -m gateway`: reads settings from arguments and environment, and serves until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

import uvicorn
from pydantic import ValidationError

from avemotion.preprocessing.errors import EmotionError
from gateway.app import create_app
from gateway.http.server import serve
from gateway.settings import CommandLineSettings, Settings
from gateway.telemetry import configure_logging


def main() -> None:
    """Serve until a signal ends it; exit with one sentence if that is not possible."""
    try:
        settings: Settings = CommandLineSettings()
    except ValidationError as error:
        sys.exit(describe_faults(error))
    configure_logging(settings.log_level)
    with listen(settings) as listener:
        try:
            run(settings, listener)
        except EmotionError as error:
            sys.exit(error.message)


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until a signal ends it.

    Raises:
        EmotionError: The gateway cannot serve; the message says why.
    """
    app = create_app(settings)
    with asyncio.Runner(loop_factory=uvicorn.Config(app, log_config=None).get_loop_factory()) as runner:
        runner.run(serve(app, settings, listener))


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the gateway's address; exits with one sentence if that is not possible."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"Port {port} on {host} is in use; end what uses it, or choose another by EMO_PORT or --port.")
        sys.exit(f"The gateway cannot listen on {host}:{port}: {error.strerror}.")


def describe_faults(error: ValidationError) -> str:
    """One sentence that names every setting that cannot be used."""
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return f"The settings cannot be used: {'; '.join(faults)}."


if __name__ == "__main__":
    main()
