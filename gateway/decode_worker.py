"""What runs inside a decode worker: limits first, then one task at a time.

Hostile media is the danger of this service. A worker therefore has no memory, CPU time, files or disk to spare, and
this module imports nothing of the web side, so that a worker holds no connection and no key.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from av.error import FFmpegError

from gateway.errors import DecodeFailedError, DecodeMemoryError
from preprocessing.clip import Clip, read_clip
from preprocessing.contract import WINDOW_SAMPLES, CropMode
from preprocessing.errors import DamagedMediaError, EmotionError
from preprocessing.face import largest_face
from preprocessing.limits import MediaLimits
from preprocessing.log_mel import log_mel
from preprocessing.sampled import read_sampled
from preprocessing.stopwatch import measured
from preprocessing.timeline import Timeline, read_timeline

T = TypeVar("T")

Task = Callable[..., T]
"""What a worker does: a function of a module, so that it can be named to another process."""


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may use.

    Attributes:
        memory: Address space beyond what an idle worker has, in bytes.
        cpu_seconds: CPU time for one task, in seconds.
        open_files: Open files.
    """

    memory: int
    cpu_seconds: int
    open_files: int


@dataclass(frozen=True)
class Performed(Generic[T]):
    """What leaves the worker.

    Attributes:
        value: What the task returned.
        seconds: Time that the worker took, in seconds.
        parts: Parts of it by name, in seconds: `crop` and `mel`.
    """

    value: T
    seconds: float
    parts: dict[str, float]


@dataclass(frozen=True)
class _State:
    limits: WorkerLimits


_state: list[_State] = []


def start_worker(limits: WorkerLimits, started: Semaphore) -> None:
    """Warm up and lock down this process; runs once in each worker before its first clip.

    Args:
        limits: What the worker may use from now on.
        started: Released when the worker is ready.
    """
    # A worker that hangs inside a codec never returns to Python, so that only the default action ends it at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warm_up()
    _state[:] = [_State(limits)]
    _set_limits(limits)
    started.release()


@cache
def warm_up() -> None:
    """Load what the first clip would load: the face cascade and the mel filters."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    largest_face(rng.integers(0, 256, (120, 160), np.uint8))
    log_mel(rng.uniform(-1, 1, WINDOW_SAMPLES).astype(np.float32))


def decode_clip(data: bytes, crop: CropMode, limits: MediaLimits) -> Clip:
    """The task of `/predict`: `preprocessing.clip.read_clip`."""
    return read_clip(data, crop=crop, limits=limits)


def decode_sampled(frames: Sequence[bytes], audio: bytes | None, crop: CropMode, limits: MediaLimits) -> Clip:
    """The task of `/predict/sampled`: `preprocessing.sampled.read_sampled`."""
    return read_sampled(frames, audio, crop=crop, limits=limits)


def decode_timeline(data: bytes, step: float, longest: float, crop: CropMode, limits: MediaLimits) -> Timeline:
    """The task of `/predict/timeline`: `preprocessing.timeline.read_timeline`."""
    return read_timeline(data, step=step, longest=longest, crop=crop, limits=limits)


def perform(task: Task[T], args: tuple[Any, ...]) -> Performed[T]:
    """Run one task within this worker's limits.

    Args:
        task: What is done.
        args: Its arguments.

    Raises:
        MediaError: A subclass says why the clip cannot be read.
        DecodeMemoryError: The memory limit was reached.
        DecodeFailedError: Anything else; the traceback travels with it.
    """
    limits = _state[0].limits
    _allow_cpu_seconds(limits.cpu_seconds)
    begin = time.perf_counter()
    try:
        with measured() as parts:
            value = task(*args)
        return Performed(value, time.perf_counter() - begin, parts)
    except EmotionError:
        raise
    except MemoryError:
        pass  # Raising here would keep the traceback, and with it all that was hoarded, alive into the next clip.
    except FFmpegError as error:
        raise DamagedMediaError(f"The file is damaged and could not be decoded: {error.strerror}.") from error
    except Exception as error:
        raise DecodeFailedError(
            f"The clip could not be decoded because of an unforeseen {type(error).__name__}."
        ) from error
    raise DecodeMemoryError(
        f"The clip needs more than the {limits.memory // 2**20} MiB of memory that decoding may take."
    )


if sys.platform == "win32":

    def _set_limits(limits: WorkerLimits) -> None:
        """Windows has no such limits: there only the wall-clock limit and the isolation hold."""

    def _allow_cpu_seconds(seconds: int) -> None:
        """Windows has no such limit."""

else:
    import resource

    def _set_limits(limits: WorkerLimits) -> None:
        """Lower what this process may use; nothing can raise it again except the CPU time of the next clip."""
        allowed = {
            resource.RLIMIT_NOFILE: limits.open_files,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: 0,  # nothing of an upload can reach a disk
        }
        if sys.platform == "linux":
            allowed[resource.RLIMIT_AS] = _address_space() + limits.memory
        for kind, value in allowed.items():
            resource.setrlimit(kind, (value, value))

    def _allow_cpu_seconds(seconds: int) -> None:
        """Set the limit of CPU time, which counts from the start of the process, for the next clip."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime) + seconds, hard))

    def _address_space() -> int:
        """Bytes of address space that this process has now."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize()
