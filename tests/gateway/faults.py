"""Clips that do to a decode worker what hostile media would, each by the fault that its bytes name.

The task lives here and not in the gateway: a product has no switch that breaks it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from gateway import decode_worker as worker
from gateway.decode_worker import Decoded
from preprocessing.clip import Clip, read_clip
from preprocessing.contract import CropMode

HANG = b"FAULT hang"
SPIN = b"FAULT spin"
CRASH = b"FAULT crash"
KILLED = b"FAULT killed"
HOARD = b"FAULT hoard"
RAISE = b"FAULT raise"
WRITE = b"FAULT write "
OPEN_FILES = b"FAULT open files"


def misbehave(data: bytes, crop: CropMode) -> Decoded:
    """Decode a clip in a worker; where its bytes name a fault, that strikes inside the decoder."""
    setattr(worker, "read_clip", _read_clip)  # noqa: B010 (mypy sees no such export)
    return worker.decode_clip(data, crop)


def _read_clip(source: bytes, *, crop: CropMode) -> Clip:
    if source.startswith(b"FAULT"):
        _commit(source)
    return read_clip(source, crop=crop)


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
