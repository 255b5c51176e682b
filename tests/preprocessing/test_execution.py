"""Parallel reading of a clip changes its duration, not its tensors."""

from __future__ import annotations

import io
import multiprocessing
import threading
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import av
import cv2
import numpy as np
import pytest

from avemotion.preprocessing.clip import Clip, read_clip
from avemotion.preprocessing.errors import SampledFramesError, TooManyFramesError
from avemotion.preprocessing.execution import both, for_each, parallelism, usable_cores
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.timeline import read_timeline
from tests.support.clips import drawing, noise, synthetic_clip
from tests.support.data import data_path

CORES = (2, 4)

KINDS: dict[str, Callable[[], bytes]] = {
    "vp8": partial(synthetic_clip, container="webm", video_codec="libvpx", audio_codec="libopus"),
    "vp9": partial(synthetic_clip, container="webm", video_codec="libvpx-vp9", audio_codec="libopus"),
    "h264_with_reordered_frames": partial(
        synthetic_clip,
        container="mp4",
        video_codec="libx264",
        audio_codec="aac",
        options={"bf": "3", "x264-params": "keyint=30"},
    ),
    "mpeg4": partial(synthetic_clip, container="avi", video_codec="mpeg4", audio_codec="pcm_s16le"),
    "lossless": synthetic_clip,
    "without_sound": partial(synthetic_clip, audio_codec=None),
    "without_video": partial(synthetic_clip, video_codec=None),
}


def assert_equal(clip: Clip, expected: Clip) -> None:
    for name, value in vars(expected).items():
        np.testing.assert_equal(vars(clip)[name], value)


@pytest.mark.parametrize("cores", CORES)
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_the_same_on_any_number_of_cores(kind: str, cores: int) -> None:
    data = KINDS[kind]()
    alone = read_clip(data)
    with parallelism(cores):
        clip = read_clip(data)
        timeline = read_timeline(data, step=1.0)
    assert_equal(clip, alone)
    np.testing.assert_array_equal(timeline.tensors()["frames"], read_timeline(data, step=1.0).tensors()["frames"])


@pytest.mark.parametrize("name", ["chrome_a01_disgust_vp8.webm", "chrome_a01_disgust_avc1.mp4"])
def test_a_recording_gives_the_same_tensors_on_several_cores(name: str) -> None:
    recording = data_path(f"clips/{name}").read_bytes()
    alone = read_clip(recording)
    with parallelism(2):
        clip = read_clip(recording)
    assert_equal(clip, alone)


@pytest.mark.parametrize("cores", CORES)
@pytest.mark.parametrize("kind", ["h264_with_reordered_frames", "vp9"])
def test_damage_that_a_codec_notices_costs_no_more_frames_on_several_cores(kind: str, cores: int) -> None:
    """Frames decoded beside a damaged one are as damaged as they would have been after it."""
    whole = KINDS[kind]()
    random = np.random.default_rng(0)
    undamaged = read_clip(whole).frames
    harmed = 0
    for _ in range(8):
        data = bytearray(whole)
        for position in random.integers(len(data) // 4, 3 * len(data) // 4, 20):
            data[position] ^= int(random.integers(1, 256))
        alone = read_clip(bytes(data))
        with parallelism(cores):
            clip = read_clip(bytes(data))
        np.testing.assert_array_equal(clip.frames, alone.frames)
        assert clip.missing == alone.missing
        harmed += not np.array_equal(alone.frames, undamaged)
    assert harmed > 0, "no damage was seen: choose other bytes"


def test_limits_hold_on_several_cores() -> None:
    with parallelism(4), pytest.raises(TooManyFramesError, match="the limit is 10"):
        read_clip(KINDS["vp8"](), limits=MediaLimits(frames=10))


def test_sampled_frames_are_the_same_on_several_cores() -> None:
    frames = [cv2.imencode(".jpg", drawing(10 * index, 320, 240))[1].tobytes() for index in range(8)]
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((noise(3.0, 16_000) * 32767).astype("<i2").tobytes())
    alone = read_sampled(frames, sound.getvalue())
    with parallelism(3):
        clip = read_sampled(frames, sound.getvalue())
        frames[2] = frames[5] = b"no picture"
        with pytest.raises(SampledFramesError, match="Frame 3 is not a JPEG"):
            read_sampled(frames, None)
    assert_equal(clip, alone)


def test_work_runs_side_by_side_in_order_and_no_further() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(item: int) -> tuple[int, int]:
        meeting.wait()
        return item, usable_cores()

    with parallelism(2):
        assert for_each(meet, range(6)) == [(item, 1) for item in range(6)]
        assert both(lambda: meet(1), lambda: meet(2)) == ((1, 2), (2, 1))
    assert usable_cores() == 1


@pytest.mark.parametrize("cores", [1, 2])
def test_an_error_comes_once_nothing_runs_any_more(cores: int) -> None:
    ended = []

    def fail(message: str) -> None:
        raise ValueError(message)

    def end() -> None:
        threading.Event().wait(0.05)
        ended.append(True)

    with parallelism(cores):
        with pytest.raises(ValueError, match="first"):
            both(partial(fail, "first"), end)
        assert ended == [True] * (cores - 1)
        with pytest.raises(ValueError, match="second"):
            both(end, partial(fail, "second"))
        with pytest.raises(ValueError, match="2"):
            for_each(lambda item: fail(str(item)) if item > 1 else item, range(5))
        ended.clear()
        with pytest.raises(ValueError, match="0"):
            for_each(lambda item: end() if item else fail(str(item)), range(2))
        assert ended == [True] * (cores - 1)


def test_requests_beside_each_other_have_cores_of_their_own() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def work(cores: int) -> int:
        with parallelism(cores):
            meeting.wait()
            return usable_cores()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(work, [1, 3])) == [1, 3]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    with parallelism(2):
        for_each(str, range(2))
        process = multiprocessing.get_context("fork").Process(target=for_each, args=(str, range(2)))
        process.start()
        process.join(30)
        assert process.exitcode == 0


def test_no_codec_calls_back_into_python_from_its_threads() -> None:
    """Such a call would wait for the interpreter, which waits for the threads where a damaged clip is closed."""
    assert av.logging.get_level() is None
