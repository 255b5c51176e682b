"""Servers that are started for a measurement, on free ports, and ended with all their processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.payloads import Payload, ask, wait_until

ROOT = Path(__file__).parents[1]
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Contender:
    """A server that can be started.

    Attributes:
        name: What reports call it.
        command: Its command line; `{port}` and `{grpc}`, `{metrics}`, `{http}` become free ports.
        variables: Its environment variables, likewise.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        name: Of its contender.
        address: Its URL.
        pid: Root of its processes.
        ports: The ports that it was given, by name.
    """

    name: str
    address: str
    pid: int
    ports: Mapping[str, int]


def ours(
    name: str, repository: Path, *, model: str = "emotion_int8", predictor: str = "triton", **settings: str
) -> Contender:
    """This project's server.

    Args:
        name: What reports call it.
        repository: Model repository.
        model: Name of the model.
        predictor: `triton`, `onnxruntime` or `mock`.
        **settings: Settings of the gateway, without `EMO_`.
    """
    variables = {
        "EMO_PORT": "{port}",
        "EMO_TRITON_GRPC_PORT": "{grpc}",
        "EMO_TRITON_METRICS_PORT": "{metrics}",
        "EMO_TRITON_HTTP_PORT": "{http}",
        "EMO_MODEL_REPOSITORY": str(repository.resolve()),
        "EMO_MODEL": model,
        "EMO_PREDICTOR": predictor,
        "EMO_LOG_LEVEL": "warning",
    }
    variables |= {f"EMO_{key.upper()}": value for key, value in settings.items()}
    return Contender(name, (sys.executable, "-m", "stack"), variables)


@contextmanager
def running(contender: Contender, probe: Payload, *, log: Path) -> Iterator[Running]:
    """Start a server, wait until it has answered, and end it with all its processes.

    Args:
        contender: Which.
        probe: A request that it should answer with 200.
        log: File for what it prints.

    Raises:
        RuntimeError: It ended, or does not answer in time.
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
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{ports['port']}"
            try:
                wait_until(
                    lambda: process.poll() is not None or ask(address, probe)[0] == 200,
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


def free_ports(count: int) -> list[int]:
    """Distinct ports that nothing listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT as a person would send it; whatever is left of the session is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
