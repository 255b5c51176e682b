"""Servers that are started for a measurement, on free ports, and ended with all their processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from loadtest.payloads import Payload

ROOT = Path(__file__).parents[1]
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Contender:
    """A server that can be started.

    Attributes:
        name: Its name in reports.
        command: Its command line; `{port}`, `{grpc}`, `{metrics}` and `{http}` stand for free ports.
        variables: Its environment variables, with the same placeholders.
        folder: Its working directory.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        name: Name of its contender.
        address: Its URL.
        pid: Root of its process tree.
        ports: The ports that it was given, by placeholder.
    """

    name: str
    address: str
    pid: int
    ports: Mapping[str, int]


def ours(name: str, *, checkout: Path = ROOT, **settings: str) -> Contender:
    """The gateway of a checkout, with Triton behind it, started as `python -m stack`.

    Args:
        name: Its name in reports.
        checkout: Root of the checkout. Its code runs in its `.venv`, or else under this interpreter, and with this
            checkout's Triton.
        **settings: Settings that differ from the defaults, named as the variables are without `EMO_`, in lower case.
    """
    variables = {
        "EMO_PORT": "{port}",
        "EMO_TRITON_GRPC_PORT": "{grpc}",
        "EMO_TRITON_METRICS_PORT": "{metrics}",
        "EMO_TRITON_HTTP_PORT": "{http}",
        "EMO_TRITON_ENVIRONMENT": str(ROOT / ".venv-triton"),
        "EMO_LOG_LEVEL": "warning",
    }
    variables |= {f"EMO_{key.upper()}": value for key, value in settings.items()}
    python = checkout / ".venv" / "bin" / "python"
    interpreter = str(python) if checkout != ROOT and python.is_file() else sys.executable
    return Contender(name, (interpreter, "-m", "stack"), variables, checkout)


@contextmanager
def running(contender: Contender, probe: Payload, *, log: Path) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it with all its processes.

    Args:
        contender: The server.
        probe: A request that the server answers with 200 once it is ready.
        log: File for the server's output.

    Raises:
        RuntimeError: The server ended, or does not answer in time.
    """
    ports = dict(zip(("port", "grpc", "metrics", "http"), free_ports(4), strict=True))

    def filled(text: str) -> str:
        for name, port in ports.items():
            text = text.replace(f"{{{name}}}", str(port))
        return text

    outside = {name: value for name, value in os.environ.items() if not name.startswith("EMO_")}
    variables = outside | {name: filled(value) for name, value in contender.variables.items()}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            [filled(word) for word in contender.command],
            env=variables,
            cwd=contender.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{ports['port']}"
            try:
                wait_until(
                    lambda: process.poll() is not None or _answers(address, probe),
                    f"{contender.name} answers; see {log}",
                    _START_SECONDS,
                )
            except TimeoutError as error:
                raise RuntimeError(str(error)) from error
            if process.poll() is not None:
                raise RuntimeError(f"{contender.name} ended with {process.returncode}; see {log}")
            yield Running(contender.name, address, process.pid, ports)
        finally:
            _end(process)


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a condition holds.

    Args:
        condition: Called every 20 ms.
        what: The condition in words, for the error.
        seconds: The deadline.

    Raises:
        TimeoutError: The condition did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Distinct ports that nothing listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _answers(address: str, probe: Payload) -> bool:
    headers = {"Content-Type": probe.content_type}
    try:
        return httpx.post(address + probe.path, content=probe.body, headers=headers, timeout=60).status_code == 200
    except httpx.HTTPError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a server as Ctrl-C does, then kill what is left of its session."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
