"""The pool runs each kind of task in an isolated worker, with the same limits, deadlines and errors."""

from __future__ import annotations

import asyncio
import io
import pickle
import platform
import resource
import wave
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.errors import (
    ClipTooLongError,
    EmotionError,
    MediaError,
    SampledAudioError,
    TooManyFramesError,
    UnsupportedMediaError,
)
from avemotion.preprocessing.execution import usable_cores
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.timeline import read_timeline
from gateway.deadline import Deadline
from gateway.decode_worker import Perform, decode_clip, decode_sampled, decode_timeline, perform
from gateway.decoding import DecodePool
from gateway.errors import DeadlineExceededError, DecodeTimeoutError, DecodeWorkerLostError
from gateway.metrics import Metrics
from tests.gateway import faults
from tests.gateway.running import settings_for_tests
from tests.support.clips import noise, synthetic_clip

LIMITS = MediaLimits()
PATIENT = Deadline.after(3600)

T = TypeVar("T")


def in_pool(work: Callable[[DecodePool], Awaitable[T]], perform_task: Perform = perform, **settings: Any) -> T:
    """Do something with a running pool."""

    async def run() -> T:
        pool = DecodePool(settings_for_tests(**settings), Metrics(), perform_task)
        await pool.start()
        try:
            return await work(pool)
        finally:
            await pool.stop()

    return asyncio.run(run())


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((noise(1.0, 16_000) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def test_each_task_returns_what_its_reader_returns(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        decoded = await pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT)
        expected = read_clip(clip)
        for name, tensor in decoded.value.tensors().items():
            np.testing.assert_array_equal(tensor, expected.tensors()[name], strict=True)
        assert decoded.value.face == (None if expected.face is None else vars(expected.face))
        assert decoded.value.quality == expected.quality.rounded()
        assert decoded.value.missing == expected.missing == {}
        timeline = await pool.run(decode_timeline, clip, 0.5, 60.0, "face", LIMITS, deadline=PATIENT)
        np.testing.assert_array_equal(timeline.value.tensors()["log_mel"], read_timeline(clip).tensors()["log_mel"])
        sampled = await pool.run(decode_sampled, (), wav(), "face", LIMITS, deadline=PATIENT)
        assert sampled.value.present == [False, True]
        assert sampled.value.missing.keys() == {"video"}
        for result in (decoded, timeline, sampled):
            assert result.seconds > 0
            assert result.queue_seconds >= 0

    in_pool(work)


def test_a_lone_clip_gets_all_cores_and_clips_beside_each_other_share_them() -> None:
    async def work(pool: DecodePool) -> None:
        async def cores(together: int) -> int:
            return (await pool.run(usable_cores, deadline=PATIENT, together=together)).value

        for clips, each in (2, 2), (4, 1), (1, 4):
            assert await asyncio.gather(*(cores(clips) for _ in range(clips))) == [each] * clips
        # Of those that come by themselves, the first cannot know of the others.
        assert await asyncio.gather(*(cores(1) for _ in range(4))) == [4, 2, 1, 1]

    in_pool(work, decode_workers=4, decode_cores=4)


def test_errors_of_each_task_come_back_as_they_were_raised(clip: bytes) -> None:
    few = MediaLimits(frames=10)

    async def work(pool: DecodePool) -> None:
        for expected, task, args in (
            (UnsupportedMediaError, decode_clip, (b"a letter", "face", LIMITS)),
            (TooManyFramesError, decode_clip, (clip, "face", few)),
            (ClipTooLongError, decode_timeline, (clip, 0.5, 1.0, "face", LIMITS)),
            (TooManyFramesError, decode_timeline, (clip, 0.5, 60.0, "face", few)),
            (SampledAudioError, decode_sampled, ((), b"no sound", "face", LIMITS)),
        ):
            with pytest.raises(expected):
                await pool.run(task, *args, deadline=PATIENT)

    in_pool(work)


def test_a_task_may_have_a_limit_of_its_own() -> None:
    async def work(pool: DecodePool) -> None:
        with pytest.raises(DecodeTimeoutError, match=r"within 0\.5 s, the limit"):
            await pool.run(decode_clip, faults.HANG, "face", LIMITS, deadline=PATIENT, timeout=0.5)

    in_pool(work, faults.misbehave, decode_timeout=60.0)


def test_a_crash_in_a_timeline_costs_that_one(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        with pytest.raises(DecodeWorkerLostError):
            await pool.run(decode_timeline, faults.CRASH, 0.5, 60.0, "face", LIMITS, deadline=PATIENT)
        with pytest.raises(DeadlineExceededError):
            await pool.run(decode_timeline, faults.HANG, 0.5, 60.0, "face", LIMITS, deadline=Deadline.after(0.5))
        result = await pool.run(decode_timeline, clip, 0.5, 60.0, "face", LIMITS, deadline=PATIENT)
        assert len(result.value.windows) == 1

    in_pool(work, faults.misbehave)


def test_every_error_of_media_survives_the_way_out_of_a_worker() -> None:
    def subclasses(base: type[EmotionError]) -> set[type[EmotionError]]:
        return set(base.__subclasses__()).union(*(subclasses(each) for each in base.__subclasses__()))

    for kind in subclasses(MediaError):
        if kind.__module__.startswith("preprocessing"):
            error = pickle.loads(pickle.dumps(kind("The clip is odd.")))  # noqa: S301 (written a moment ago)
            assert (type(error), error.message) == (kind, "The clip is odd.")


def test_first_clip_of_a_new_worker_is_not_slower_than_its_tenth(clip: bytes) -> None:
    firsts, tenths = [], []

    async def work(pool: DecodePool) -> None:
        for _ in range(5):
            times = [(await pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT)).seconds for _ in range(10)]
            firsts.append(times[0])
            tenths.append(times[9])

    in_pool(work, decode_recycle_after=10)
    assert min(firsts) < 2.5 * min(tenths)


def test_work_for_a_worker_that_was_lost_while_idle_goes_to_its_successor(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        for _ in range(5):
            for worker in pool._workers:
                worker.kill()
            results = [pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT) for _ in range(4)]
            assert all(all(result.value.present) for result in await asyncio.gather(*results))

    in_pool(work, decode_workers=3)


def test_a_worker_killed_while_it_sends_its_result_delays_nobody_else(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        lost = 0
        for number in range(20):
            running = asyncio.create_task(pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT))
            await asyncio.sleep(0.005 * number)  # at any stage of the work: that is the point
            for worker in pool._workers:
                worker.kill()
            try:
                await running
            except DecodeWorkerLostError:
                lost += 1
            result = await pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT)
            assert all(result.value.present)
        assert lost > 0

    in_pool(work)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_a_clip_is_decoded_in_the_memory_of_the_one_before() -> None:
    clip = synthetic_clip(width=640, height=480)
    rounds, frame_pages = 4, 640 * 480 * 3 // 2 // resource.getpagesize()

    async def work(pool: DecodePool) -> int:
        async def decode() -> None:
            for _ in range(rounds):
                await pool.run(decode_clip, clip, "face", LIMITS, deadline=PATIENT)

        await decode()
        before = (await pool.run(faults.page_faults, deadline=PATIENT)).value
        await decode()
        return (await pool.run(faults.page_faults, deadline=PATIENT)).value - before

    assert in_pool(work, decode_workers=1) < rounds * frame_pages
