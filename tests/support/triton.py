"""A real Triton server for tests, on free ports, or a skip that says why there is none."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.standin_model import write_repository
from triton_server.errors import TritonUnavailableError
from triton_server.installation import find_installation
from triton_server.launcher import TritonServer
from triton_server.options import LauncherOptions

ENVIRONMENT = Path(__file__).parents[2] / ".venv-triton"
"""Where the project's own commands install Triton's wheel."""

STANDIN = "standin"
"""Name of the model that `standin_triton` serves."""


@functools.cache
def reason_without_triton() -> str | None:
    """Why Triton cannot run here, None where it can."""
    try:
        find_installation(ENVIRONMENT)
    except TritonUnavailableError as error:
        return error.message
    return None


def skip_without_triton() -> None:
    """Skip the running test, with the reason, where Triton cannot run."""
    if reason := reason_without_triton():
        pytest.skip(reason)


def free_ports(count: int) -> list[int]:
    """Distinct ports that nothing listens on."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def launcher_options(repository: Path, **changes: Any) -> LauncherOptions:
    """Options that serve a repository on free ports, with other changes where given."""
    grpc_port, http_port, metrics_port = free_ports(3)
    ports = {"grpc_port": grpc_port, "http_port": http_port, "metrics_port": metrics_port}
    return LauncherOptions(model_repository=repository, **({"environment": ENVIRONMENT} | ports | changes))


@contextmanager
def serving(repository: Path, **changes: Any) -> Iterator[TritonServer]:
    """Serve a model repository while the context is open; skip the test where Triton cannot run.

    Args:
        repository: Folder of models.
        changes: Fields of `LauncherOptions` that differ from `launcher_options`.

    Yields:
        The server, ready; `grpc_address` says where.
    """
    skip_without_triton()
    with TritonServer(launcher_options(repository, **changes)) as server:
        yield server


@pytest.fixture(scope="session")
def standin_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with one stand-in, named `STANDIN`."""
    return write_repository(tmp_path_factory.mktemp("models"), STANDIN)


@pytest.fixture(scope="session")
def standin_triton(standin_repository: Path) -> Iterator[TritonServer]:
    """A real Triton that serves the stand-in to all tests that only ask it; import it into a conftest."""
    with serving(standin_repository) as server:
        yield server
