"""What the gateway and a decode worker send each other: plain data with a fixed layout, never a pickle.

A worker reads hostile media. If a codec's bug lets an attacker take a worker over, nothing that the worker sends runs
code in the gateway: an answer is a length-checked header, a JSON report that is validated, and the bytes of three
tensors whose size follows from the number of windows.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avemotion.api.answers import Observation
from avemotion.api.predictions import FaceSchema, QualitySchema
from avemotion.preprocessing.clip import Window
from avemotion.preprocessing.contract import INPUTS, PRESENT, CropMode
from avemotion.preprocessing.errors import EmotionError, MediaError
from avemotion.preprocessing.limits import MediaLimits
from gateway.errors import DecodeFailedError, DecodeMemoryError

TASK_RECEIVED: Final = b"\x01"
"""Sent by a worker as soon as it holds a whole task: from then on its end is the task's doing."""

EXPIRED: Final = "expired"
"""Code of the error for a task that ended because its deadline passed."""

_TASK_HEAD: Final = struct.Struct("!I")
"""Length of the JSON that describes a task."""

_ANSWER_HEAD: Final = struct.Struct("!II")
"""Number of windows, and length of the JSON report."""

_MOST_WINDOWS: Final = 1_200
"""Windows of the longest timeline that the settings allow: ten minutes, one window every half second."""

_MOST_REPORT_BYTES: Final = 2**20
"""A report of `_MOST_WINDOWS` windows has about half as many."""

_TENSOR_BYTES: Final = [int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for spec in INPUTS]
"""Bytes of one window's `frames`, `log_mel` and `present`."""

TaskKind = Literal["clip", "sampled", "timeline"]


class MalformedAnswerError(Exception):
    """A worker sent something that is not an answer."""


@dataclass(frozen=True)
class DecodeTask:
    """What a worker is asked to decode.

    Attributes:
        kind: `clip` reads the three seconds at the centre, `timeline` all windows, `sampled` frames and sound that
            the client has sampled.
        files: The uploaded files; of a sampled clip the JPEG frames in order, then the WAV file if there is one.
        crop: How the model wants frames to be cropped.
        has_sound: Whether the last file of a sampled clip is a WAV file.
        step: Seconds between the starts of two windows of a timeline.
        longest: Longest clip that a timeline is made of, in seconds.
        limits: How much is decoded at most; set by the pool.
        cores: Cores that the task may use; set by the pool.
    """

    kind: TaskKind
    files: Sequence[bytes]
    crop: CropMode
    has_sound: bool = False
    step: float = 0.5
    longest: float = 60.0
    limits: MediaLimits = field(default_factory=MediaLimits)
    cores: int = 1


class WindowReport(BaseModel):
    """What is known of one window beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    length: float
    missing: dict[Literal["video", "audio"], str]
    face: FaceSchema | None
    faces: int = Field(ge=0)
    quality: QualitySchema


class AnswerReport(BaseModel):
    """The JSON part of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: list[WindowReport] = []
    duration: float = 0.0
    seconds: float = 0.0
    stages: dict[str, float] = {}
    error: tuple[str, str] | None = None
    traceback: str = ""


@dataclass(frozen=True)
class DecodedMedia:
    """What came out of a worker.

    Attributes:
        tensors: The model's inputs by name, batched over the windows; read-only.
        windows: What is known of each window.
        duration: Length of the clip, in seconds.
        seconds: Time that the worker took, in seconds.
        stages: Times of the stages `crop` and `mel`, in seconds.
        queue_seconds: Time spent waiting for a worker and moving bytes, in seconds; set by the pool.
    """

    tensors: dict[str, npt.NDArray[Any]]
    windows: list[WindowReport]
    duration: float
    seconds: float
    stages: dict[str, float]
    queue_seconds: float = 0.0

    def observation(self, index: int = 0) -> Observation:
        """What the answer for one window needs beside the model's outputs."""
        window, present = self.windows[index], self.tensors[PRESENT.name][index]
        face = None if window.face is None else dict(window.face)
        return Observation(present.tolist(), dict(window.missing.items()), face, window.faces, dict(window.quality))


def pack_task(task: DecodeTask) -> list[bytes]:
    """The parts of a message that gives a worker a task."""
    fields = {name: value for name, value in vars(task).items() if name not in {"files", "limits"}}
    fields |= {"limits": asdict(task.limits), "sizes": [len(data) for data in task.files]}
    head = json.dumps(fields).encode()
    return [_TASK_HEAD.pack(len(head)), head, *task.files]


def read_task(stream: BinaryIO) -> DecodeTask:
    """The next task, read by a worker.

    Raises:
        EOFError: The gateway closed its end.
    """
    (length,) = _TASK_HEAD.unpack(_read_exactly(stream, _TASK_HEAD.size))
    fields = json.loads(_read_exactly(stream, length))
    files = [_read_exactly(stream, size) for size in fields.pop("sizes")]
    limits = MediaLimits(**fields.pop("limits"))
    return DecodeTask(files=files, limits=limits, **fields)


def pack_answer(
    windows: Sequence[Window], *, duration: float, seconds: float, stages: dict[str, float]
) -> Iterable[bytes]:
    """The parts of a message that answers a task.

    Args:
        windows: The windows that were decoded.
        duration: Length of the clip, in seconds.
        seconds: Time that the task took, in seconds.
        stages: Times of its stages, in seconds.
    """
    reports = [
        {
            "start": window.start,
            "length": window.length,
            "missing": window.missing,
            "face": None if window.face is None else vars(window.face),
            "faces": window.faces,
            "quality": vars(window.quality),
        }
        for window in windows
    ]
    yield from _pack_report(
        {"windows": reports, "duration": duration, "seconds": seconds, "stages": stages}, len(windows)
    )
    for spec in INPUTS:
        for window in windows:
            yield getattr(window, spec.name).tobytes()


def pack_error(code: str, message: str, traceback: str = "") -> Iterable[bytes]:
    """The parts of a message that says why a task failed."""
    return _pack_report({"error": (code, message), "traceback": traceback}, 0)


async def read_answer(reader: asyncio.StreamReader) -> DecodedMedia:
    """The next answer of a worker.

    Raises:
        asyncio.IncompleteReadError: The worker ended first.
        MalformedAnswerError: The message is not an answer.
        DecodeFailedError: The task failed in an unforeseen way; the traceback is attached as a note.
        EmotionError: Another subclass says why the clip cannot be read.
        TimeoutError: The task's deadline passed.
    """
    count, length = _ANSWER_HEAD.unpack(await reader.readexactly(_ANSWER_HEAD.size))
    if count > _MOST_WINDOWS or length > _MOST_REPORT_BYTES:
        raise MalformedAnswerError(f"{count} windows and a report of {length} bytes")
    try:
        # The schemas of the API allow extra fields; an answer of a worker may not have any.
        report = AnswerReport.model_validate_json(await reader.readexactly(length), extra="forbid")
    except ValidationError as error:
        raise MalformedAnswerError(f"{error.error_count()} faults in the report") from error
    if report.error is not None:
        raise _error_of(*report.error, report.traceback)
    if not count or len(report.windows) != count:
        raise MalformedAnswerError(f"{count} windows of tensors and {len(report.windows)} in the report")
    tensors = {}
    for spec, size in zip(INPUTS, _TENSOR_BYTES, strict=True):
        data = await reader.readexactly(count * size)
        tensors[spec.name] = np.frombuffer(data, spec.dtype).reshape(count, *spec.shape)
    return DecodedMedia(tensors, report.windows, report.duration, report.seconds, report.stages)


def _pack_report(report: dict[str, Any], windows: int) -> list[bytes]:
    body = json.dumps(report).encode()
    return [_ANSWER_HEAD.pack(windows, len(body)), body]


def _error_of(code: str, message: str, traceback: str) -> Exception:
    """The error that a worker names; only those that decoding raises can be named."""
    if code == EXPIRED:
        return TimeoutError()
    kind = _errors().get(code)
    if kind is None:
        return MalformedAnswerError("an error of an unknown code")
    error = kind(message)
    if traceback:
        error.add_note(traceback)
    return error


def _errors() -> dict[str, type[EmotionError]]:
    kinds: list[type[EmotionError]] = [*_media_errors(MediaError), DecodeMemoryError, DecodeFailedError]
    return {kind.code: kind for kind in kinds}


def _media_errors(kind: type[MediaError]) -> list[type[MediaError]]:
    """A class and all below it."""
    return [kind, *(each for child in kind.__subclasses__() for each in _media_errors(child))]


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
