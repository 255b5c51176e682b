"""One worker process, spoken to by the event loop itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from gateway.decode_process import DecodeProcess, WorkerExitedError, WorkerGoneError, worker_context
from gateway.decode_worker import Work, WorkerLimits

PATIENCE = 60.0


@asynccontextmanager
async def started() -> AsyncIterator[DecodeProcess]:
    process = DecodeProcess(worker_context(), WorkerLimits(memory=2**30, cpu_seconds=60, open_files=64, cores=1))
    await process.start(PATIENCE)
    try:
        yield process
    finally:
        await process.stop()


def work(task: Callable[..., Any], *args: object) -> Work:
    return task, args, 1


def test_what_is_larger_than_a_sockets_buffer_goes_there_and_back_unchanged() -> None:
    sent = np.random.default_rng(0).bytes(20_000_000)

    async def there_and_back() -> bytes:
        async with started() as process:
            return bytes((await process.run(work(bytes, sent))).value)

    assert asyncio.run(there_and_back()) == sent


def test_answer_that_nobody_waits_for_any_more_is_not_taken_for_the_next() -> None:
    async def give_up_and_ask_again() -> tuple[bool, bool, int]:
        async with started() as process:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.run(work(time.sleep, 0.3))
            busy = process.busy
            await process.settle(PATIENCE)
            return busy, process.busy, (await process.run(work(len, b"four"))).value

    assert asyncio.run(give_up_and_ask_again()) == (True, False, 4)


def test_work_that_nobody_waits_for_any_more_ends_with_the_grace() -> None:
    async def give_up() -> tuple[bool, bool]:
        async with started() as process:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.run(work(time.sleep, 3600))
            before = process.alive
            await process.settle(0.05)
            return before, process.alive

    assert asyncio.run(give_up()) == (True, False)


def test_end_of_the_process_is_the_works_doing_only_where_it_had_begun() -> None:
    async def lose_both_ways() -> int:
        async with started() as process:
            with pytest.raises(WorkerExitedError) as caught:
                await process.run(work(signal.raise_signal, signal.SIGKILL))
            with pytest.raises(WorkerGoneError):
                await process.run(work(len, b""))
            await process.start(PATIENCE)
            pid = (await process.run(work(os.getpid))).value
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerGoneError):
                await process.run(work(len, b""))
            return caught.value.code

    assert asyncio.run(lose_both_ways()) == -signal.SIGKILL
