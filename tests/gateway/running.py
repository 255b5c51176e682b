"""A gateway that really listens: in a thread of the test, or as the process that people start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.decode.worker import Runner, run_task
from gateway.http.server import server_config
from gateway.services import Services
from gateway.settings import Settings
from tests.support.triton import free_ports

PATIENCE = 60.0
"""Seconds after which a condition that should come true counts as false."""


def settings_for_tests(**changes: Any) -> Settings:
    """Settings of a mock gateway with one decode worker, and other changes where given."""
    return Settings(**({"mock": True, "decode_workers": 1, "probe_interval": 0.2} | changes))


def wait_until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition, or fail with what was waited for."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.02)


@contextmanager
def running_gateway(settings: Settings, runner: Runner = run_task) -> Iterator[httpx.Client]:
    """A gateway in a thread, behind a real uvicorn; ready as soon as its lifespan has started.

    Yields:
        A client of it.
    """
    app = create_app(settings, runner)
    with running_app(app) as client:
        yield client


@contextmanager
def running_app(app: FastAPI) -> Iterator[httpx.Client]:
    """An application in a thread, behind a real uvicorn."""
    [port] = free_ports(1)
    server = uvicorn.Server(server_config(app, services_of(app).settings, port=port, lifespan="on"))
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(server.serve())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        wait_until(lambda: server.started or bool(failures), "the gateway starts")
        assert not failures, failures
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def services_of(app: FastAPI) -> Services:
    """The parts of an application."""
    services = app.state.services
    assert isinstance(services, Services)
    return services


def wait_ready(client: httpx.Client, patience: float = PATIENCE) -> None:
    """Wait until the model answers."""
    wait_until(lambda: client.get("/health/ready").status_code == 200, "the gateway is ready", patience)


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process without any setting of the gateway, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMO_")}
    return kept | variables


@dataclass
class GatewayProcess:
    """A running `python -m gateway`.

    Attributes:
        process: The process.
        client: A client of it.
        lines: What it has written to its standard error, all of it once the process has ended.
    """

    process: subprocess.Popen[str]
    client: httpx.Client
    lines: list[str]

    @property
    def log(self) -> str:
        return "".join(self.lines)


@contextmanager
def gateway_process(*arguments: str, **variables: str) -> Iterator[GatewayProcess]:
    """`python -m gateway` on a free port, alive and killed at the end if it still runs."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--port", str(port), *arguments],
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lines.extend, args=(process.stderr,))
    reader.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            wait_until(lambda: process.poll() is not None or _alive(client), "the gateway process listens")
            assert process.poll() is None, "".join(lines)
            yield GatewayProcess(process, client, lines)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()


def _alive(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def refused_start(*arguments: str, **variables: str) -> tuple[int, str]:
    """Exit code and standard error of a gateway that should not start."""
    process = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return process.returncode, process.stderr
