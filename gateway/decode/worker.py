"""The life of a decode worker: it limits what it may use, then decodes one task after the other.

Hostile media is the danger of this service. A worker therefore has bounded memory, CPU time and open files, cannot
write to disk, and imports nothing of the web side: it holds no connection of a client and no key.
"""

from __future__ import annotations

import io
import math
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError

from avemotion.preprocessing.clip import Window, read_clip
from avemotion.preprocessing.contract import CROP_MODES
from avemotion.preprocessing.errors import DamagedMediaError, EmotionError
from avemotion.preprocessing.execution import parallelism, timed
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.timeline import read_timeline
from gateway.decode.messages import EXPIRED, TASK_RECEIVED, DecodeTask, pack_answer, pack_error, read_task
from gateway.errors import DecodeFailedError, DecodeMemoryError
from gateway.malloc_tuning import tune_malloc

_LARGEST_ON_HEAP = 4 * 2**20
"""Larger blocks, such as frames of 4K, are not kept, in bytes."""


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may use.

    Attributes:
        memory: Address space beyond that of an idle worker, in bytes.
        cpu_seconds: CPU time of one task, in seconds.
        open_files: Open files.
        cores: Most cores of one task.
    """

    memory: int
    cpu_seconds: int
    open_files: int
    cores: int


@dataclass(frozen=True)
class Decoded:
    """What a task gives.

    Attributes:
        windows: The windows, at least one.
        duration: Length of the clip, in seconds.
    """

    windows: list[Window]
    duration: float


Runner = Callable[[DecodeTask], Decoded]
"""How a worker runs a task: `run_task`, unless a test injects faults."""


def serve(connection: socket.socket, limits: WorkerLimits, runner: Runner) -> None:
    """Answer tasks until the gateway closes the connection."""
    # A worker that hangs inside a codec never returns to Python, so only the default action ends it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the gateway ends its workers itself.
    tune_malloc(_LARGEST_ON_HEAP)
    warm_up()
    # Once more in this process: a forked process owns no page of its memory yet, and no thread.
    with parallelism(limits.cores):
        read_clip(_rehearsal())
    _set_limits(limits)
    with suppress(EOFError, OSError), connection.makefile("rb") as stream:
        connection.sendall(TASK_RECEIVED)  # The first one says that the worker is ready.
        while True:
            task = read_task(stream)
            connection.sendall(TASK_RECEIVED)
            answer = answer_to(task, limits, runner)
            del task  # Nothing of an upload outlives its answer.
            for part in answer:
                connection.sendall(part)
            del answer


def answer_to(task: DecodeTask, limits: WorkerLimits, runner: Runner) -> Iterable[bytes]:
    """Run one task within the worker's limits.

    Returns:
        The parts of the message that answers it.
    """
    _allow_cpu_seconds(limits.cpu_seconds)
    begin = time.perf_counter()
    try:
        with timed() as stages, parallelism(task.cores):
            decoded = runner(task)
        seconds = time.perf_counter() - begin
        return list(pack_answer(decoded.windows, duration=decoded.duration, seconds=seconds, stages=stages))
    except EmotionError as error:
        return pack_error(error.code, error.message)
    except TimeoutError:
        return pack_error(EXPIRED, "")
    except MemoryError:
        pass  # Answered below: the traceback keeps all that was allocated alive in here.
    except FFmpegError as error:
        return pack_error(DamagedMediaError.code, f"The file is damaged and could not be decoded: {error.strerror}.")
    except Exception as error:
        message = f"The clip could not be decoded: an unforeseen {type(error).__name__}."
        return pack_error(DecodeFailedError.code, message, traceback.format_exc()[-4_000:])
    limit = limits.memory // 2**20
    return pack_error(DecodeMemoryError.code, f"Decoding the clip takes more memory than the limit, {limit} MiB.")


def run_task(task: DecodeTask) -> Decoded:
    """Decode what a task names.

    Raises:
        MediaError: A subclass says why the files cannot be read.
        TimeoutError: The task's deadline passed.
    """
    match task.kind:
        case "clip":
            clip = read_clip(task.files[0], crop=task.crop, limits=task.limits)
            return Decoded([clip], clip.report.duration)
        case "sampled":
            frames = task.files[:-1] if task.has_sound else task.files
            sound = task.files[-1] if task.has_sound else None
            clip = read_sampled(frames, sound, crop=task.crop, limits=task.limits)
            return Decoded([clip], clip.report.duration)
        case "timeline":
            timeline = read_timeline(
                task.files[0], step=task.step, longest=task.longest, crop=task.crop, limits=task.limits
            )
            return Decoded(timeline.windows, timeline.duration)


@cache
def warm_up() -> None:
    """Use once what the first clip uses: codecs, face detector, mel filters."""
    cv2.setNumThreads(1)
    for crop in CROP_MODES * 2:
        read_clip(_rehearsal(), crop=crop)


@cache
def _rehearsal() -> bytes:
    """A short clip of a gradient and noise, encoded in memory, large enough for all searches for faces."""
    rng = np.random.default_rng(0)
    gradient = np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None]
    image = np.ascontiguousarray(np.broadcast_to(gradient, (480, 640, 3)))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        sound = av.AudioFrame.from_ndarray(rng.integers(-9999, 9999, (1, 48_000), np.int16), "s16", "mono")
        sound.sample_rate = 48_000
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return buffer.getvalue()


if sys.platform == "win32":

    def _set_limits(limits: WorkerLimits) -> None:
        """Windows has no such limits: only the wall-clock limit and the isolation hold there."""

    def _allow_cpu_seconds(seconds: int) -> None:
        """Windows has no such limit."""

else:
    import resource

    def _set_limits(limits: WorkerLimits) -> None:
        """Lower what this process may use; nothing can raise it again except the CPU time of the next task."""
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
        """Set the limit of CPU time, which counts from the start of the process, for the next task."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime) + seconds, hard))

    def _address_space() -> int:
        """Bytes of address space that this process has now."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize()
