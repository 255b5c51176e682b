"""Clips that do to a decode worker what hostile media would, each by the fault that its bytes name.

They live here and not in the gateway: a product has no switch that breaks it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

from gateway.decode_worker import Performed, Task, perform

HANG = b"FAULT hang"
SPIN = b"FAULT spin"
CRASH = b"FAULT crash"
KILLED = b"FAULT killed"
HOARD = b"FAULT hoard"
RAISE = b"FAULT raise"
WRITE = b"FAULT write "
OPEN_FILES = b"FAULT open files"


def misbehave(task: Task[Any], args: tuple[Any, ...], cores: int) -> Performed[Any]:
    """Run a task in a worker; where the bytes it is given name a fault, that strikes inside of it."""
    return perform(_run_or_fail, (task, *args), cores)


def _run_or_fail(task: Task[Any], *args: Any) -> Any:
    if isinstance(args[0], bytes) and args[0].startswith(b"FAULT"):
        _commit(args[0])
    return task(*args)


def _commit(data: bytes) -> None:
    if data == HANG:
        # In C and with signals blocked, as a codec that never returns.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        time.sleep(3600)
    elif data == SPIN:
        while True:
            pass
    elif data == CRASH:
        ctypes.string_at(0)
    elif data == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif data == HOARD:
        hoard = []
        while True:
            hoard.append(bytearray(2**24))
    elif data == RAISE:
        raise ZeroDivisionError("a fault that nobody foresaw")
    elif data.startswith(WRITE):
        Path(data.removeprefix(WRITE).decode()).write_bytes(data)
    elif data == OPEN_FILES:
        opened = []
        while True:
            opened.append(Path("/dev/null").open())  # noqa: SIM115 (leaking is the point)


def page_faults() -> int:
    """A task: how often the worker had to ask the system for memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
