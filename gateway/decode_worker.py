"""What runs inside a decode worker: limits first, then one task at a time.

Hostile media is the danger of this service. A worker therefore has no memory, CPU time, files or disk to spare, and
this module imports nothing of the web side, so that a worker holds no connection and no key.
"""

from __future__ import annotations

import io
import math
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import c_ulong
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import av
import cv2
import numpy as np
from av.error import FFmpegError

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.errors import DamagedMediaError, EmotionError
from avemotion.preprocessing.execution import parallelism, timed
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.timeline import Timeline, read_timeline
from gateway.decode_messages import receive_work, send_answer
from gateway.decoded_clip import DecodedClip, pack
from gateway.errors import DecodeFailedError, DecodeMemoryError
from gateway.freed_memory import keep_freed_memory

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
        cores: Cores that one task may use, where nobody else needs them.
    """

    memory: int
    cpu_seconds: int
    open_files: int
    cores: int


class Performed(NamedTuple, Generic[T]):
    """What leaves the worker.

    Attributes:
        value: What the task returned.
        seconds: Time that the worker took, in seconds.
        stages: Times of its stages `crop` and `mel`, in seconds.
    """

    value: T
    seconds: float
    stages: dict[str, float]


@dataclass(frozen=True)
class Failed:
    """What leaves the worker where the task raised something.

    Attributes:
        error: What it raised; the traceback travels as a note.
    """

    error: Exception


Perform = Callable[[Task[Any], tuple[Any, ...], int], Performed[Any]]
"""How a worker runs a task; `perform` unless a test injects faults."""

Work = tuple[Task[Any], tuple[Any, ...], int]
"""What, with which arguments, and on how many cores."""

READY: Final = "ready"
"""What a worker says once, when it is warm."""

_limits: list[WorkerLimits] = []


def serve(connection: socket.socket, limits: WorkerLimits, perform: Perform, taken: c_ulong) -> None:
    """Run tasks, one after the other, until the other end of the connection is closed: the whole life of a worker.

    Args:
        connection: Where work comes from and results go to.
        limits: What the worker may use.
        perform: How it runs a task.
        taken: Memory that is shared with the gateway, where the tasks are counted that have reached the worker: from
            then on, its end is the task's doing.
    """
    # A worker that hangs inside a codec never returns to Python, so that only the default action ends it at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the gateway ends its workers itself.
    start_worker(limits)
    with suppress(EOFError, OSError, pickle.UnpicklingError):  # It was closed.
        send_answer(connection, READY)
        while True:
            task, args, cores = receive_work(connection)
            taken.value += 1
            try:
                outcome: Performed[Any] | Failed = perform(task, args, cores)
            except Exception as error:
                error.add_note(traceback.format_exc())
                outcome = Failed(error.with_traceback(None))
            del task, args  # Nothing of an upload outlives its answer.
            send_answer(connection, outcome)
            del outcome


def start_worker(limits: WorkerLimits) -> None:
    """Warm up and lock down this process.

    Args:
        limits: What the worker may use from now on.
    """
    keep_freed_memory()
    warm_up()
    # Once more in this process: a forked one owns no page of its memory yet, and no thread.
    with parallelism(limits.cores):
        read_clip(_rehearsal())
    _limits[:] = [limits]
    _set_limits(limits)


@cache
def warm_up() -> None:
    """Use once what the first clip would use: codecs, face cascade, mel filters."""
    cv2.setNumThreads(1)
    for _ in range(2):
        read_clip(_rehearsal())


@cache
def _rehearsal() -> bytes:
    """A short clip of a slope and noise, made without touching a file."""
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None]
    picture = np.ascontiguousarray(np.broadcast_to(slope, (180, 320, 3)))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sound = av.AudioFrame.from_ndarray(rng.integers(-9999, 9999, (1, 48_000), np.int16), "s16", "mono")
        sound.sample_rate = 48_000
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_clip(data: bytes, crop: CropMode, limits: MediaLimits) -> DecodedClip:
    """The task of `/predict`: `avemotion.preprocessing.clip.read_clip`."""
    return pack(read_clip(data, crop=crop, limits=limits))


def decode_sampled(frames: Sequence[bytes], audio: bytes | None, crop: CropMode, limits: MediaLimits) -> DecodedClip:
    """The task of `/predict/sampled`: `avemotion.preprocessing.sampled.read_sampled`."""
    return pack(read_sampled(frames, audio, crop=crop, limits=limits))


def decode_timeline(data: bytes, step: float, longest: float, crop: CropMode, limits: MediaLimits) -> Timeline:
    """The task of `/predict/timeline`: `avemotion.preprocessing.timeline.read_timeline`."""
    return read_timeline(data, step=step, longest=longest, crop=crop, limits=limits)


def perform(task: Task[T], args: tuple[Any, ...], cores: int) -> Performed[T]:
    """Run one task within this worker's limits.

    Args:
        task: What is done.
        args: Its arguments.
        cores: On how many it may work.

    Raises:
        MediaError: A subclass says why the clip cannot be read.
        TimeoutError: The result is of no more use.
        DecodeMemoryError: The memory limit was reached.
        DecodeFailedError: Anything else.
    """
    limits = _limits[0]
    _allow_cpu_seconds(limits.cpu_seconds)
    begin = time.perf_counter()
    try:
        with timed() as stages, parallelism(cores):
            value = task(*args)
        return Performed(value, time.perf_counter() - begin, stages)
    except (EmotionError, TimeoutError):
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
