"""The pool runs each kind of task in an isolated worker, with the same limits, deadlines and errors."""

from __future__ import annotations

import asyncio
import io
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
    SampledAudioError,
    TooManyFramesError,
    UnsupportedMediaError,
)
from avemotion.preprocessing.timeline import read_timeline
from gateway.deadlines import Deadline
from gateway.decode.messages import DecodeTask
from gateway.decode.pool import DecodePool
from gateway.decode.worker import Runner, run_task
from gateway.errors import DeadlineExceededError, DecodeTimeoutError, DecodeWorkerLostError
from gateway.telemetry import Metrics
from tests.gateway import faults
from tests.gateway.running import settings_for_tests
from tests.support.clips import noise, synthetic_clip

FAR = Deadline.after(3600)

T = TypeVar("T")


def in_pool(work: Callable[[DecodePool], Awaitable[T]], runner: Runner = run_task, **settings: Any) -> T:
    """Do something with a running pool."""

    async def run() -> T:
        pool = DecodePool(settings_for_tests(**settings), Metrics(), runner=runner)
        await pool.start()
        try:
            return await work(pool)
        finally:
            await pool.stop()

    return asyncio.run(run())


def whole(data: bytes) -> DecodeTask:
    return DecodeTask("clip", [data], "face")


def timeline(data: bytes, longest: float = 60.0) -> DecodeTask:
    return DecodeTask("timeline", [data], "face", step=0.5, longest=longest)


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((noise(1.0, 16_000) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def test_each_task_returns_what_its_reader_returns(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        decoded = await pool.run(whole(clip), deadline=FAR)
        expected = read_clip(clip)
        for name, tensor in decoded.tensors.items():
            np.testing.assert_array_equal(tensor, expected.tensors()[name], strict=True)
        [window] = decoded.windows
        assert expected.face is not None
        assert window.face is not None
        assert window.face.model_dump() == vars(expected.face)
        assert window.faces == expected.faces == 1
        assert window.quality.model_dump() == vars(expected.quality)
        assert window.missing == expected.missing == {}
        several = await pool.run(timeline(clip), deadline=FAR)
        np.testing.assert_array_equal(several.tensors["log_mel"], read_timeline(clip).tensors()["log_mel"])
        sampled = await pool.run(DecodeTask("sampled", [wav()], "face", has_sound=True), deadline=FAR)
        assert sampled.tensors["present"].tolist() == [[False, True]]
        assert sampled.windows[0].missing.keys() == {"video"}
        for result in (decoded, several, sampled):
            assert result.seconds > 0
            assert result.queue_seconds >= 0

    in_pool(work)


def test_a_lone_clip_gets_all_cores_and_clips_beside_each_other_share_them(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        async def cores(together: int) -> float:
            return (await pool.run(whole(clip), deadline=FAR, together=together)).duration

        for clips, each in (2, 2), (4, 1), (1, 4):
            assert await asyncio.gather(*(cores(clips) for _ in range(clips))) == [each] * clips
        # Of clips that come by themselves, the first cannot know of the others.
        assert await asyncio.gather(*(cores(1) for _ in range(4))) == [4, 2, 1, 1]

    in_pool(work, faults.report_cores, decode_workers=4, decode_cores=4)


def test_errors_of_each_task_come_back_as_they_were_raised(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        for expected, task in (
            (UnsupportedMediaError, whole(b"a letter")),
            (TooManyFramesError, whole(clip)),
            (ClipTooLongError, timeline(clip, longest=1.0)),
            (TooManyFramesError, timeline(clip)),
            (SampledAudioError, DecodeTask("sampled", [b"not a sound"], "face", has_sound=True)),
        ):
            with pytest.raises(expected):
                await pool.run(task, deadline=FAR)

    in_pool(work, decode_frames=10)


def test_a_task_may_have_a_limit_of_its_own() -> None:
    async def work(pool: DecodePool) -> None:
        with pytest.raises(DecodeTimeoutError, match=r"within 0\.5 s, the limit"):
            await pool.run(whole(faults.HANG), deadline=FAR, timeout=0.5)

    in_pool(work, faults.misbehave, decode_timeout=60.0)


def test_a_crash_in_a_timeline_costs_that_one(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        with pytest.raises(DecodeWorkerLostError):
            await pool.run(timeline(faults.CRASH), deadline=FAR)
        with pytest.raises(DeadlineExceededError):
            await pool.run(timeline(faults.HANG), deadline=Deadline.after(0.5))
        result = await pool.run(timeline(clip), deadline=FAR)
        assert len(result.windows) == 1

    in_pool(work, faults.misbehave)


def test_first_clip_of_a_new_worker_finds_it_warm(clip: bytes) -> None:
    async def work(pool: DecodePool) -> float:
        return min([(await pool.run(whole(clip), deadline=FAR)).duration for _ in range(3)])

    # A worker that was warmed up asks for 100 to 500 pages of memory; one that was only forked asks for 1,600.
    assert in_pool(work, faults.report_page_faults, decode_workers=1, decode_recycle_after=1) < 800


def test_work_for_a_worker_that_was_lost_while_idle_goes_to_its_successor(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        for _ in range(3):
            for worker in pool._workers:
                worker.kill()
            results = [pool.run(whole(clip), deadline=FAR) for _ in range(4)]
            assert all(result.tensors["present"].all() for result in await asyncio.gather(*results))

    in_pool(work, decode_workers=3)


def test_a_worker_killed_while_it_sends_its_result_delays_nobody_else(clip: bytes) -> None:
    async def work(pool: DecodePool) -> None:
        lost = 0
        for number in range(10):
            running = asyncio.create_task(pool.run(whole(clip), deadline=FAR))
            await asyncio.sleep(0.01 * number)  # at any stage of the work: that is the point
            for worker in pool._workers:
                worker.kill()
            try:
                await running
            except DecodeWorkerLostError:
                lost += 1
            result = await pool.run(whole(clip), deadline=FAR)
            assert result.tensors["present"].all()
        assert lost > 0

    in_pool(work)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_a_clip_is_decoded_in_the_memory_of_the_one_before() -> None:
    clip = synthetic_clip(width=640, height=480)
    rounds, frame_pages = 4, 640 * 480 * 3 // 2 // resource.getpagesize()

    async def work(pool: DecodePool) -> float:
        asked = [(await pool.run(whole(clip), deadline=FAR)).duration for _ in range(2 * rounds)]
        return sum(asked[rounds:])

    assert in_pool(work, faults.report_page_faults, decode_workers=1) < rounds * frame_pages
