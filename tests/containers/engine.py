"""A Docker engine for the tests: a private one that leaves nothing behind, or else the one that is there.

A private engine keeps everything below one temporary folder, in memory where there is enough of it, touches neither the
firewall nor forwarding, and publishes on loopback. Containers reach each other and no more; builds take the host's
network.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.containers.memory import keep_in_memory, remove_with_mounts
from tests.support.tools import find, tool

_STARTING_SECONDS = 60.0
_ENDING_SECONDS = 60.0
SERVED_GIBIBYTES = 5
"""Room for all images of what is served, their layers while they are built, and what containers write."""
# TEST-NET-2 (RFC 5737) is nobody's network, so that no route of the host is covered.
_ADDRESS_POOLS = [f"base=198.51.100.{start}/28,size=28" for start in range(16, 256, 16)]


@dataclass(frozen=True)
class Engine:
    """An engine that answers; `docker` and `compose` talk to it."""

    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables that name it."""

    is_private: bool = False
    """Whether it was started for these tests and ends with them."""

    @property
    def socket(self) -> str:
        """Path of the socket that the engine listens on."""
        return self.variables.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")

    def docker(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        """Run `docker`; returns what it printed.

        Args:
            arguments: Of the program.
            check: Fail the test, with the output, when the program fails.
            timeout: In seconds.
        """
        return self._run(tool("docker"), *arguments, check=check, timeout=timeout)

    def compose(self, *arguments: str, variables: dict[str, str], check: bool = True, timeout: float = 300) -> str:
        """Run `docker-compose`; returns what it printed.

        Args:
            arguments: Of the program.
            variables: Further environment variables.
            check: Fail the test, with the output, when the program fails.
            timeout: In seconds.
        """
        return self._run(tool("docker-compose"), *arguments, check=check, timeout=timeout, variables=variables)

    def has_image(self, name: str) -> bool:
        """Whether an image of this name is there."""
        return bool(self.docker("image", "ls", "--quiet", name))

    def _run(self, *command: str, check: bool, timeout: float, variables: dict[str, str] | None = None) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | self.variables
        done = subprocess.run(
            command,
            env=environment | (variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
        return done.stdout


@contextlib.contextmanager
def running_engine(gibibytes: int = SERVED_GIBIBYTES) -> Iterator[Engine]:
    """The engine that DOCKER_HOST names, else a private one, else the one that `docker` reaches; a skip without any.

    Args:
        gibibytes: Room that a private one needs.
    """
    tool("docker")
    dockerd = find("dockerd")
    if "DOCKER_HOST" not in os.environ and sys.platform == "linux" and os.geteuid() == 0 and dockerd:
        with _private_engine(dockerd, gibibytes) as engine:
            yield engine
        return
    there = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if there.returncode:
        pytest.skip(f"No Docker engine answers, and none can be started here: {there.stderr.strip()[-200:]}")
    yield Engine({name: value for name, value in os.environ.items() if name.startswith("DOCKER_")})


@contextlib.contextmanager
def _private_engine(dockerd: str, gibibytes: int) -> Iterator[Engine]:
    # Not below pytest's own folder: the path of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="emotion-docker-"))
    socket, log = folder / "docker.sock", folder / "log"
    (folder / "data").mkdir()
    keep_in_memory(folder / "data", gibibytes)
    engine = Engine({"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(folder), "DOCKER_BUILDKIT": "0"}, True)
    arguments = [
        f"--host=unix://{socket}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--ip-masq=false",
        "--ip=127.0.0.1",
        *(f"--default-address-pool={pool}" for pool in _ADDRESS_POOLS),
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            [dockerd, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _STARTING_SECONDS
        while not engine.docker("info", "--format", "{{.ServerVersion}} {{.Driver}}", check=False)[:1].isdigit():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"No Docker engine can be started here: {log.read_text()[-400:]}")
            time.sleep(0.2)
        yield engine
        engine.docker("network", "prune", "--force", check=False)
    finally:
        process.terminate()
        try:
            process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        remove_with_mounts(folder)
