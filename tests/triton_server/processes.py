"""What a launcher has on the machine, seen from outside: its processes, shared memory and folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.triton import launcher_options

ROOT = Path(__file__).parents[2]
STUB = "triton_python_backend_stub"
SERVER = "tritonserver"


def descendants(pid: int, name: str = "") -> list[psutil.Process]:
    """Running descendants of a process whose executable's name begins with this."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        return [child for child in children if is_running(child) and _executable(child).startswith(name)]
    except psutil.NoSuchProcess:
        return []


def is_running(process: psutil.Process) -> bool:
    """Whether a process is neither gone nor a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def private_folders(temporary: Path) -> set[Path]:
    """Private folders of launchers whose temporary folder is this one."""
    return set(temporary.glob("emotion-triton-*"))


def shared_memory(folders: set[Path]) -> list[Path]:
    """Shared memory of launchers by their private folders."""
    return [region for folder in folders for region in Path("/dev", "shm").glob(f"{folder.name}*")]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until a condition holds, at most for this time.

    Raises:
        AssertionError: It did not come to hold.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def options_on_free_ports(repository: Path) -> list[str]:
    """Options of the command that serve a model repository on free ports."""
    options = launcher_options(repository)
    return [
        *("--model-repository", str(options.model_repository)),
        *("--environment", str(options.environment)),
        *("--grpc-port", str(options.grpc_port)),
        *("--http-port", str(options.http_port)),
        *("--metrics-port", str(options.metrics_port)),
    ]


@contextmanager
def command(repository: Path, *arguments: str, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `python -m triton_server` on free ports; whatever is left of it at the end is killed.

    Args:
        repository: Model repository.
        arguments: Further arguments, which win over those for the free ports.
        temporary: Where it makes its temporary folders, so that they are told from those of other launchers.

    Yields:
        The process; its output has both streams.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "triton_server", *options_on_free_ports(repository), *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    family: list[psutil.Process] = []
    try:
        yield process
    finally:
        family = descendants(process.pid)
        process.kill()
        for child in family:
            if is_running(child):
                child.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read the command's output until a line holds a text.

    Raises:
        AssertionError: The command ended without saying it.
    """
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"ended without '{text}': {''.join(lines)}")


def _executable(process: psutil.Process) -> str:
    try:
        return Path(process.exe()).name
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
