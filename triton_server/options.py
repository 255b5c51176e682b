"""What the launcher can be told, as one dataclass that the command line and other programs fill alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

ModelControlMode = Literal["none", "poll"]
"""`none`: models stay as they were at start. `poll`: new versions are picked up while serving.

Triton's third mode, `explicit`, is left out on purpose: it opens the repository interface to whoever reaches the
ports, and this version of Triton predates security fixes. Production uses NVIDIA's image for that.
"""

MODEL_CONTROL_MODES: tuple[ModelControlMode, ...] = get_args(ModelControlMode)


@dataclass(frozen=True)
class LauncherOptions:
    """Where Triton is, what it serves, where it listens and how patient its launcher is.

    Attributes:
        model_repository: Folder that holds one folder per model.
        models: Names of the models to serve; empty for all that have a configuration and a version.
        environment: Virtual environment that `requirements.txt` of this folder was installed into.
        host: Address to listen on.
        grpc_port: Port of Triton's gRPC interface.
        metrics_port: Port of Triton's Prometheus metrics.
        http_port: Port of Triton's HTTP interface, which the launcher sends its test inferences to.
        model_control_mode: Whether new versions of a model are picked up while serving.
        poll_interval_seconds: Whole seconds between two looks for new versions.
        start_timeout_seconds: Time from start until every model has answered an inference.
        exit_timeout_seconds: Whole seconds that Triton may take to finish what it was asked before a stop.
        probe_interval_seconds: Time between two checks that every model still answers.
        probe_timeout_seconds: Time that one test inference may take.
        hang_timeout_seconds: Time without a single successful inference of a model, although asked, after which
            Triton counts as hung. A busy Triton succeeds at something in this time, so it is not restarted.
        connection_age_seconds: Age at which gRPC connections are closed, so that clients look the server's name up
            again and find others behind it; calls under way are finished. 0 keeps connections.
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
