"""One worker process, spoken to by the event loop itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from avemotion.preprocessing.errors import UnsupportedMediaError
from gateway.decode.messages import DecodeTask, MalformedAnswerError
from gateway.decode.process import DecodeProcess, WorkerExitedError, WorkerGoneError, worker_context
from gateway.decode.worker import Decoded, Runner, WorkerLimits, run_task
from tests.support.clips import synthetic_clip

PATIENCE = 60.0
LIMITS = WorkerLimits(memory=2**30, cpu_seconds=60, open_files=64, cores=1)
CLIP = synthetic_clip(frame_times=range(0, 200, 40), audio_seconds=0.2, width=64, height=48)


def obey(task: DecodeTask) -> Decoded:
    """Do what the first file says, and then decode the second; a process id is reported as the duration."""
    word, _, number = task.files[0].decode().partition(" ")
    if word == "sleep":
        time.sleep(float(number))
    elif word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    decoded = run_task(replace(task, files=task.files[1:]))
    if word == "garble":
        return replace(decoded, duration="not a number")  # type: ignore[arg-type]
    return replace(decoded, duration=float(os.getpid()))


def task(command: str, clip: bytes = CLIP) -> DecodeTask:
    return DecodeTask("clip", [command.encode(), clip], "none")


@asynccontextmanager
async def started(runner: Runner = obey) -> AsyncIterator[DecodeProcess]:
    process = DecodeProcess(worker_context(), LIMITS, runner)
    await process.start(PATIENCE)
    try:
        yield process
    finally:
        await process.stop()


def test_a_file_larger_than_a_sockets_buffer_arrives() -> None:
    async def send_both() -> None:
        async with started(run_task) as process:
            large = CLIP + np.random.default_rng(0).bytes(20_000_000)
            assert (await process.run(DecodeTask("clip", [large], "none"))).tensors["present"].all()
            with pytest.raises(UnsupportedMediaError):
                await process.run(DecodeTask("clip", [large[::-1]], "face"))

    asyncio.run(send_both())


def test_an_answer_to_a_cancelled_call_is_not_taken_for_the_next() -> None:
    async def give_up_and_ask_again() -> tuple[bool, bool, list[list[bool]]]:
        async with started() as process:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.run(task("sleep 0.3"))
            busy = process.busy
            await process.drain(PATIENCE)
            silent = synthetic_clip(audio_codec=None, frame_times=range(0, 200, 40), width=64, height=48)
            answer = await process.run(task("go", silent))
            return busy, process.busy, answer.tensors["present"].tolist()

    assert asyncio.run(give_up_and_ask_again()) == (True, False, [[True, False]])


def test_a_cancelled_call_ends_its_work_after_the_grace() -> None:
    async def give_up() -> tuple[bool, bool]:
        async with started() as process:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.run(task("sleep 3600"))
            before = process.alive
            await process.drain(0.05)
            return before, process.alive

    assert asyncio.run(give_up()) == (True, False)


def test_the_end_of_the_process_is_the_tasks_doing_only_if_it_was_received() -> None:
    async def lose_both_ways() -> int:
        async with started() as process:
            with pytest.raises(WorkerExitedError) as caught:
                await process.run(task("die"))
            with pytest.raises(WorkerGoneError):
                await process.run(task("go"))
            await process.start(PATIENCE)
            pid = int((await process.run(task("go"))).duration)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerGoneError):
                await process.run(task("go"))
            return caught.value.code

    assert asyncio.run(lose_both_ways()) == -signal.SIGKILL


def test_a_process_that_answers_garbage_is_ended() -> None:
    async def garble() -> bool:
        async with started() as process:
            with pytest.raises(MalformedAnswerError):
                await process.run(task("garble"))
            return process.alive

    assert not asyncio.run(garble())
