"""Options of the launcher, for its command line and for programs that start Triton."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

ModelControlMode = Literal["none", "poll"]
"""`none`: models stay as they are at start. `poll`: new versions are loaded while serving.

Triton's third mode, `explicit`, is excluded on purpose: it opens the repository API to anyone who can reach the ports,
and this version of Triton predates security fixes. Production uses NVIDIA's image for that.
"""

MODEL_CONTROL_MODES: tuple[ModelControlMode, ...] = get_args(ModelControlMode)


@dataclass(frozen=True)
class LauncherOptions:
    """Where Triton is installed, what it serves, where it listens, and its timeouts.

    Attributes:
        model_repository: Folder with one folder per model.
        models: Names of the models to serve; empty for all that have a configuration and a version.
        environment: Virtual environment with this folder's `requirements.txt` installed.
        host: Address to listen on.
        grpc_port: Port of Triton's gRPC interface.
        metrics_port: Port of Triton's Prometheus metrics.
        http_port: Port of Triton's HTTP interface, to which the launcher sends test inferences.
        model_control_mode: Whether new versions of a model are loaded while serving.
        poll_interval_seconds: Whole seconds between polls for new versions.
        start_timeout_seconds: Maximum time from start until every model has answered an inference.
        exit_timeout_seconds: Whole seconds in which Triton may finish open requests before a stop.
        probe_interval_seconds: Time between health checks of every model.
        probe_timeout_seconds: Timeout of one test inference.
        hang_timeout_seconds: Time after which Triton counts as hung if a model has answered no inference. An
            overloaded Triton still answers some in this time, so it is not restarted.
        connection_age_seconds: Age at which gRPC connections are closed, so that clients resolve the server's name
            again and find other servers; open calls are finished. 0 keeps connections.
    """

    model_repository: Path
    models: tuple[str, ...] = ()
    environment: Path = Path(".venv-triton")
    host: str = "127.0.0.1"
    grpc_port: int = 8001
    metrics_port: int = 8002
    http_port: int = 8003
    model_control_mode: ModelControlMode = "none"
    poll_interval_seconds: int = 1
    start_timeout_seconds: float = 60.0
    exit_timeout_seconds: int = 10
    probe_interval_seconds: float = 1.0
    probe_timeout_seconds: float = 2.0
    hang_timeout_seconds: float = 6.0
    connection_age_seconds: int = 0
