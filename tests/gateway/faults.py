"""Clips that do to a decode worker what hostile media would, each by the fault that its bytes name.

They live here and not in the gateway: a product has no switch that breaks it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

from avemotion.preprocessing.execution import usable_cores
from gateway.decode.messages import DecodeTask
from gateway.decode.worker import Decoded, run_task

HANG = b"FAULT hang"
SPIN = b"FAULT spin"
CRASH = b"FAULT crash"
KILLED = b"FAULT killed"
HOARD = b"FAULT hoard"
RAISE = b"FAULT raise"
WRITE = b"FAULT write "
OPEN_FILES = b"FAULT open files"


def misbehave(task: DecodeTask) -> Decoded:
    """Run a task in a worker; if the bytes of its first file name a fault, that strikes inside the worker."""
    if task.files and task.files[0].startswith(b"FAULT"):
        _commit(task.files[0])
    return run_task(task)


def report_page_faults(task: DecodeTask) -> Decoded:
    """Run a task, and report as its duration how often it made the worker ask the system for memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    decoded = run_task(task)
    return replace(decoded, duration=float(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))


def report_cores(task: DecodeTask) -> Decoded:
    """Run a task, and report as its duration how many cores it may use."""
    return replace(run_task(task), duration=float(usable_cores()))


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
