"""What the gateway and a worker send each other arrives unchanged; anything else is rejected and runs no code."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import struct
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.errors import EmotionError, MediaError
from avemotion.preprocessing.face_detector import FaceBox
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.timeline import read_timeline
from gateway.decode.messages import (
    EXPIRED,
    DecodedMedia,
    DecodeTask,
    MalformedAnswerError,
    pack_answer,
    pack_error,
    pack_task,
    read_answer,
    read_task,
)
from gateway.errors import DecodeFailedError, DecodeMemoryError
from tests.support.clips import synthetic_clip


def received(sent: Iterable[bytes]) -> DecodedMedia:
    """What the gateway makes of the bytes of a worker that then ends."""

    async def read() -> DecodedMedia:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(sent))
        reader.feed_eof()
        return await read_answer(reader)

    return asyncio.run(read())


def answer(report: object, windows: int = 0, tensors: bytes = b"") -> list[bytes]:
    """A message with any report."""
    body = json.dumps(report).encode()
    return [struct.pack("!II", windows, len(body)), body, tensors]


@pytest.fixture(scope="module")
def good() -> list[bytes]:
    """The answer to a timeline of three windows."""
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 4000, 40), audio_seconds=4.0))
    return list(pack_answer(timeline.windows, duration=4.0, seconds=0.5, stages={"crop": 0.25}))


@pytest.mark.parametrize("seed", range(5))
def test_a_task_arrives_as_it_was_sent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    files = [rng.bytes(int(size)) for size in (0, 1, 5000, 300_000, int(rng.integers(1, 2_000_000)))]
    limits = MediaLimits(duration=1.5, pixels=7, expires=float(rng.uniform(1, 1e6)))
    task = DecodeTask("timeline", files, "none", step=0.75, longest=12.5, limits=limits, cores=3)
    found = read_task(io.BytesIO(b"".join(pack_task(task))))
    assert found == task
    assert {field.name for field in fields(found)} == vars(task).keys()


def test_a_task_that_is_cut_off_is_not_a_task() -> None:
    sent = b"".join(pack_task(DecodeTask("clip", [b"four"], "face")))
    assert read_task(io.BytesIO(sent)).files == [b"four"]
    for length in range(len(sent)):
        with pytest.raises(EOFError):
            read_task(io.BytesIO(sent[:length]))


def test_windows_arrive_as_they_were_decoded(good: list[bytes]) -> None:
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 4000, 40), audio_seconds=4.0))
    found = received(good)
    for name, tensor in timeline.tensors().items():
        np.testing.assert_array_equal(found.tensors[name], tensor, strict=True)
        assert not found.tensors[name].flags.writeable
    assert [(window.start, window.length) for window in found.windows] == [
        (window.start, window.length) for window in timeline.windows
    ]
    assert (found.duration, found.seconds, found.stages) == (4.0, 0.5, {"crop": 0.25})


def test_a_face_arrives() -> None:
    [window] = read_timeline(synthetic_clip()).windows
    face = FaceBox(left=0.1, top=0.2, width=0.3, height=0.4)
    [found] = received(pack_answer([replace(window, face=face, faces=2)], duration=3.0, seconds=0.1, stages={})).windows
    assert found.faces == 2
    assert found.face is not None
    assert found.face.model_dump() == {"left": 0.1, "top": 0.2, "width": 0.3, "height": 0.4}


def test_every_error_of_decoding_comes_back_as_it_was_raised() -> None:
    def subclasses(base: type[MediaError]) -> list[type[MediaError]]:
        return [base, *(each for child in base.__subclasses__() for each in subclasses(child))]

    kinds: list[type[EmotionError]] = [*subclasses(MediaError), DecodeMemoryError, DecodeFailedError]
    assert len(kinds) > 10
    for kind in kinds:
        with pytest.raises(kind) as caught:
            received(pack_error(kind.code, "The clip is odd."))
        assert (type(caught.value), caught.value.message) == (kind, "The clip is odd.")
    with pytest.raises(TimeoutError):
        received(pack_error(EXPIRED, ""))


def test_an_unforeseen_error_brings_its_traceback_for_the_log() -> None:
    with pytest.raises(DecodeFailedError) as caught:
        received(pack_error(DecodeFailedError.code, "Odd.", "line 42"))
    assert caught.value.__notes__ == ["line 42"]


QUALITY = dict.fromkeys(("face_height", "brightness", "audio_level", "clipping"), 0.5) | {"padding": 0.0}
WINDOW = {"start": 0.0, "length": 3.0, "missing": {}, "face": None, "faces": 0, "quality": QUALITY}
HOSTILE: dict[str, list[bytes]] = {
    "more windows than a timeline has": [struct.pack("!II", 2**31, 2)],
    "a report without end": [struct.pack("!II", 1, 2**31)],
    "a report that is not JSON": [struct.pack("!II", 0, 4), b"\x80\x04N."],
    "a pickle": [struct.pack("!II", 0, len(pickle.dumps(print))), pickle.dumps(print)],
    "no windows": answer({}),
    "fewer reports than windows": answer({"windows": []}, 1),
    "an unknown field": answer({"error": ["bad_media", "x"], "code": "import os"}),
    "an unknown field deep inside": answer({"windows": [WINDOW | {"quality": QUALITY | {"note": "x"}}]}, 1),
    "an error of an unknown code": answer({"error": ["internal_error", "x"]}),
    "a face that is not numbers": answer(
        {"windows": [{"start": 0, "length": 3, "missing": {}, "face": {"left": "os"}, "quality": {}}]}, 1
    ),
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_an_answer_is_rejected(sent: list[bytes]) -> None:
    with pytest.raises(MalformedAnswerError):
        received(sent)


def test_an_answer_that_is_cut_off_is_an_end_of_the_worker(good: list[bytes]) -> None:
    sent = b"".join(good)
    for length in np.random.default_rng(0).integers(0, len(sent), 50).tolist():
        with pytest.raises(asyncio.IncompleteReadError):
            received([sent[:length]])


@pytest.mark.parametrize("seed", range(20))
def test_changed_bytes_of_a_report_raise_nothing_unforeseen(good: list[bytes], seed: int) -> None:
    rng = np.random.default_rng(seed)
    report = bytearray(good[1])
    for place in rng.integers(0, len(report), 5):
        report[place] = rng.integers(0, 256)
    try:
        found: Any = received([good[0], bytes(report), *good[2:]])
    except (MalformedAnswerError, EmotionError, TimeoutError):
        return
    assert len(found.windows) == 3


def test_the_tensors_of_a_clip_are_those_of_its_reader(clip: bytes) -> None:
    expected = read_clip(clip)
    [window] = read_timeline(clip).windows
    found = received(pack_answer([window], duration=3.0, seconds=0.1, stages={}))
    np.testing.assert_array_equal(found.tensors["log_mel"], expected.tensors()["log_mel"], strict=True)
