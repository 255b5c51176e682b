"""Settings of `python -m stack`: those of the gateway, and what it needs to start Triton."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from gateway.settings import PROJECT_FOLDER, Port, Settings
from triton_server.options import LauncherOptions


class StackSettings(Settings):
    """Starts Triton and the gateway, and stops both with Ctrl-C.

    Options override environment variables, and those override the defaults. The variable of `--triton-http-port` is
    `EMO_TRITON_HTTP_PORT`, and so on; an empty variable counts as unset.
    """

    model_config = SettingsConfigDict(cli_prog_name="python -m stack")

    triton_metrics_port: Port = Field(
        default=LauncherOptions.metrics_port, description="Port of Triton's Prometheus metrics."
    )
    triton_http_port: Port = Field(default=LauncherOptions.http_port, description="Port of Triton's HTTP service.")
    triton_environment: Path = Field(
        default=PROJECT_FOLDER / ".venv-triton",
        description="Virtual environment with Triton's wheel; without it the gateway runs the model itself.",
    )

    def launcher_options(self) -> LauncherOptions:
        """What to start Triton with; it picks up new model versions while serving."""
        return LauncherOptions(
            model_repository=self.model_repository,
            environment=self.triton_environment,
            host=self.triton_host,
            grpc_port=self.triton_grpc_port,
            metrics_port=self.triton_metrics_port,
            http_port=self.triton_http_port,
            model_control_mode="poll",
        )
