"""`python -m stack` as people start it, on free ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.gateway.running import PATIENCE, environment
from tests.support.triton import free_ports

START = 90.0
"""Seconds that Triton, the workers and a first prediction may take on a busy machine."""


@dataclass
class Stack:
    """A running `python -m stack`."""

    process: subprocess.Popen[str]
    address: str
    triton_address: str
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START
        while text not in self.output and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert text in self.output, self.output

    def interrupt(self) -> int:
        """What Ctrl-C does: SIGINT to every process of the terminal's foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)


def free_addresses() -> dict[str, str]:
    """Variables that let a stack listen on free ports."""
    names = ("EMO_PORT", "EMO_TRITON_GRPC_PORT", "EMO_TRITON_METRICS_PORT", "EMO_TRITON_HTTP_PORT")
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))


@contextmanager
def stack(*options: str, **variables: str) -> Iterator[Stack]:
    chosen = free_addresses() | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "stack", *options],
        env=environment(**chosen),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Stack(process, f"http://127.0.0.1:{chosen['EMO_PORT']}", f"127.0.0.1:{chosen['EMO_TRITON_GRPC_PORT']}")
    reader = threading.Thread(target=lambda: running.lines.extend(process.stdout or ()))
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def predict(address: str, clip: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{address}/predict", files={"file": ("clip", clip)}, headers=headers, timeout=PATIENCE)
