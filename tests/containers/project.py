"""A compose project that runs, on ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.containers.bases import ROOT
from tests.containers.engine import Engine
from tests.support.clips import synthetic_clip
from tests.support.triton import free_ports

SERVICES = ("triton", "gateway", "recorder")
PATIENCE = 60.0
"""Seconds after which a condition that should come true counts as false."""
_STARTING_SECONDS = 240


@dataclass(frozen=True)
class Usage:
    """What a container has used: processor time since it started, in seconds, and memory now, in bytes."""

    cpu_seconds: float
    memory: int


@dataclass(frozen=True)
class Project:
    """Services that run, and how to reach them from this machine."""

    engine: Engine
    name: str
    variables: dict[str, str]

    @property
    def page(self) -> str:
        """Address of nginx."""
        return f"http://127.0.0.1:{self.variables['EMO_RECORDER_PORT']}"

    @property
    def gateway(self) -> str:
        """Address of the gateway itself."""
        return f"http://127.0.0.1:{self.variables['EMO_PORT']}"

    def compose(self, *arguments: str, **options: Any) -> str:
        """Run `docker-compose` on this project; returns what it printed."""
        files = ("--project-name", self.name, "--project-directory", str(ROOT))
        return self.engine.compose(*files, *arguments, variables=self.variables, **options)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        (container,) = self.compose("ps", "--all", "--quiet", service).split()
        (known,) = json.loads(self.engine.docker("inspect", container))
        return dict(known)

    def usage(self, service: str) -> Usage:
        """What a service's container has used."""
        (container,) = self.compose("ps", "--quiet", service).split()
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.engine.socket), base_url="http://engine") as client:
            known = client.get(f"/containers/{container}/stats", params={"stream": "false"}, timeout=30).json()
        memory = known["memory_stats"]
        # Pages of files that the kernel may drop at any time; its name depends on the version of cgroups.
        cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
        return Usage(known["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, memory["usage"] - cache)

    def predict(self, clip: bytes) -> httpx.Response:
        """Send a clip to `/predict` by way of nginx, as the page does."""
        return httpx.post(f"{self.page}/api/predict", files={"file": ("clip.webm", clip)}, timeout=30)

    def crash(self, service: str) -> None:
        """End a container's first process the way that a fault does: the engine sees no `docker kill`, and restarts."""
        process = str(self.inspect(service)["State"]["Pid"])
        killer = (
            "--rm",
            "--network",
            "none",
            "--pid",
            "host",
            "--user",
            "0:0",
            "busybox:1.37.0",
            "kill",
            "-9",
            process,
        )
        self.engine.docker("run", *killer)

    def wait_until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait for a condition, or fail with what was waited for and what the containers said."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {patience:g} s: {what}\n{self.compose('logs', '--tail', '20', check=False)}")
            time.sleep(0.2)


@contextlib.contextmanager
def running_project(engine: Engine, name: str, *services: str, **variables: str) -> Iterator[Project]:
    """Bring compose up; take it down, volumes included, at the end.

    Args:
        engine: Where.
        name: Of the project.
        services: Those to start, and nothing that they depend on; all of the default profile if left out.
        variables: Environment variables for compose.
    """
    gateway, recorder = free_ports(2)
    project = Project(engine, name, {"EMO_PORT": str(gateway), "EMO_RECORDER_PORT": str(recorder)} | variables)
    alone = ("--no-deps", *services) if services else ()
    try:
        started = project.compose(
            "up", "--no-build", "--wait", "--wait-timeout", str(_STARTING_SECONDS), *alone, check=False, timeout=300
        )
        states = project.compose("ps", "--all", "--format", "{{.Service}} {{.Health}}")
        if {line.split()[-1] for line in states.splitlines()} != {"healthy"}:
            pytest.fail(f"{started}\n{states}\n{project.compose('logs', '--tail', '30', check=False)}")
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout", "20")


def recording() -> bytes:
    """A clip that Chrome recorded where EMO_DATA has one, else one that is drawn here."""
    folder = os.environ.get("EMO_DATA")
    names = sorted((ROOT / folder / "clips").glob("chrome_a01_*.webm")) if folder else []
    return (
        names[0].read_bytes()
        if names
        else synthetic_clip(container="webm", video_codec="libvpx", audio_codec="libopus")
    )
