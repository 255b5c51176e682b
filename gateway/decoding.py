"""The pool of processes that decode: a clip that crashes, hangs or hoards costs its own request and nothing else.

Workers are forked from a server process that has imported the codecs already, so that a lost worker is replaced in
well under a second.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pebble import CONSTS, ProcessExpired, ProcessPool

from gateway.deadline import Deadline
from gateway.decode_worker import Performed, Task, WorkerLimits, perform, start_worker
from gateway.errors import (
    DeadlineExceededError,
    DecodeFailedError,
    DecodeTimeoutError,
    DecodeWorkerLostError,
    OverloadedError,
)
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.tracing import span
from preprocessing.errors import EmotionError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_Work = tuple[Task[Any], tuple[Any, ...]]

Perform = Callable[[Task[Any], tuple[Any, ...]], Performed[Any]]

# pebble holds the channel of all workers while it waits for one to end: keep that short.
CONSTS.term_timeout = 0.2
CONSTS.sleep_unit = 0.02
# A worker that is killed while it holds the channel never gives it back; the others end after this, and are replaced.
CONSTS.channel_lock_timeout = 2


@dataclass(frozen=True)
class DecodeResult(Generic[T]):
    """What came out of a worker, and how long it took.

    Attributes:
        value: What the task returned.
        seconds: Time that the worker took, in seconds.
        queue_seconds: Time spent waiting for a worker and moving bytes, in seconds.
    """

    value: T
    seconds: float
    queue_seconds: float


class DecodePool:
    """Runs tasks in worker processes, as many at a time as there are workers, and refuses when too many wait.

    Attributes:
        admitted: Clips that are being decoded or wait for it.
        capacity: Most of them.
    """

    def __init__(self, settings: Settings, metrics: Metrics, perform: Perform = perform) -> None:
        """Prepare a pool; `start` starts its workers.

        Args:
            settings: Number of workers and their limits.
            metrics: Takes note of the parts of decoding.
            perform: How a worker runs a task. Tests pass one that misbehaves.
        """
        self._settings = settings
        self._metrics = metrics
        self._perform = perform
        self._limits = WorkerLimits(settings.decode_memory, settings.decode_cpu_seconds, settings.decode_open_files)
        self._context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self._context.set_forkserver_preload(["gateway.decode_warmup"])
        self.capacity = settings.decode_workers + settings.decode_queue
        self.admitted = 0
        self._free_workers = asyncio.Semaphore(settings.decode_workers)
        self._started = self._context.Semaphore(0)
        self._replacing = asyncio.Lock()
        self._generation: _Generation

    async def start(self) -> None:
        """Start the workers and wait until each is warm.

        Raises:
            DecodeWorkerLostError: They did not start in time.
        """
        self._generation = self._new_generation()
        await asyncio.to_thread(self._wait_for_start)

    async def stop(self) -> None:
        """End all workers."""
        await asyncio.to_thread(_stop, self._generation.pool)

    def check_capacity(self) -> None:
        """Refuse early what `decode` would refuse.

        Raises:
            OverloadedError: As many clips are waiting as may.
        """
        if self.admitted >= self.capacity:
            raise OverloadedError(
                f"{self.admitted} clips are being decoded or waiting, which is the limit; try again in a moment."
            )

    async def run(
        self, task: Task[T], *args: object, deadline: Deadline, timeout: float | None = None
    ) -> DecodeResult[T]:
        """Run one task in a worker. Cancelling ends the worker's work, too.

        Args:
            task: One of `gateway.decode_worker`'s tasks.
            *args: Its arguments.
            deadline: When the result is of no more use.
            timeout: Longest time of this task, in seconds; the setting's where None.

        Raises:
            MediaError: A subclass says why the clip cannot be read.
            OverloadedError: As many clips are waiting as may.
            DeadlineExceededError: No worker was free in time.
            DecodeTimeoutError: Decoding took too long.
            DecodeMemoryError: Decoding took too much memory.
            DecodeWorkerLostError: The worker ended.
        """
        self.check_capacity()
        begin = time.perf_counter()
        self.admitted += 1
        try:
            with span("decode"):
                done = await self._run((task, args), deadline, timeout or self._settings.decode_timeout)
        finally:
            self.admitted -= 1
        self._metrics.observe_stages(done.parts)
        return DecodeResult(done.value, done.seconds, time.perf_counter() - begin - done.seconds)

    async def _run(self, work: _Work, deadline: Deadline, timeout: float) -> Performed[Any]:
        try:
            # Clips wait here and not inside pebble, where giving up on a clip that waits would cost a worker.
            async with asyncio.timeout(deadline.remaining()), self._free_workers:
                while True:
                    generation = self._generation
                    try:
                        return await self._run_in(generation, work, deadline, timeout)
                    except _PoolBrokenError:
                        await asyncio.shield(self._replace(generation))
        except TimeoutError:
            raise DeadlineExceededError(
                f"The clip was not decoded within {deadline.seconds:g} s, the limit for a whole request; "
                "the server is busy."
            ) from None

    async def _run_in(self, generation: _Generation, work: _Work, deadline: Deadline, timeout: float) -> Performed[Any]:
        limit = deadline.within(timeout)
        try:
            future = generation.pool.schedule(self._perform, args=work, timeout=limit.remaining())
        except RuntimeError as error:
            raise _PoolBrokenError from error
        result: asyncio.Future[Performed[Any]] = asyncio.wrap_future(future)
        try:
            # A pool that ends forgets the clips that no worker has taken yet.
            awaited: set[asyncio.Future[Any]] = {result, generation.ended}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            failure = result.exception() if result.done() else _PoolBrokenError()
            if failure is None:
                return result.result()
            if isinstance(failure, TimeoutError) and not deadline.remaining():
                raise failure  # it was the request's limit, and not the clip's
            raise self._explain(failure, generation, timeout)
        finally:
            result.cancel()  # Whoever gives up ends the worker's work, too.

    def _explain(self, error: BaseException, generation: _Generation, timeout: float) -> BaseException:
        """The error that is ours for one that came out of the pool."""
        if isinstance(error, DecodeFailedError):
            logger.error("decoding failed in an unforeseen way", exc_info=error)
        if isinstance(error, (EmotionError, _PoolBrokenError)):
            return error
        if isinstance(error, TimeoutError):
            return DecodeTimeoutError(f"The clip was not decoded within {timeout:g} s, the limit for one clip.")
        if isinstance(error, ProcessExpired):
            return self._explain_exit(error.exitcode or 0)
        # The task itself raises nothing else: this is a pool that broke, or was cut off while it took the clip.
        if isinstance(error, BrokenExecutor) or generation is not self._generation or not generation.pool.active:
            return _PoolBrokenError()
        logger.error("the decode pool failed", exc_info=error)
        return DecodeWorkerLostError("The clip could not be handed to a process that decodes.")

    def _explain_exit(self, code: int) -> EmotionError:
        """The error for a worker that ended with a clip."""
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            return DecodeTimeoutError(
                f"The clip took more than {self._settings.decode_cpu_seconds} s of CPU time, the limit for one clip."
            )
        logger.error("decode worker lost", extra={"exit_code": code})
        return DecodeWorkerLostError(f"The process that decoded the clip was ended by {_cause(code)}.")

    async def repair(self) -> None:
        """Start new workers where all died while idle, which pebble takes for the end of the pool."""
        generation = self._generation
        if not generation.pool.active:
            await asyncio.shield(self._replace(generation))

    async def _replace(self, broken: _Generation) -> None:
        """Start a new pool in place of a broken one, unless another request has done so."""
        async with self._replacing:
            if self._generation is not broken:
                return
            logger.error("decode workers were lost while idle; starting new ones")
            await asyncio.to_thread(_stop, broken.pool)
            self._generation = self._new_generation()
            broken.ended.set_result(None)
            await asyncio.to_thread(lambda: self._generation.pool.active)

    def _new_generation(self) -> _Generation:
        settings = self._settings
        pool = ProcessPool(
            max_workers=settings.decode_workers,
            max_tasks=settings.decode_recycle_after,
            initializer=start_worker,
            initargs=(self._limits, self._started),
            context=self._context,
        )
        return _Generation(pool, asyncio.get_running_loop().create_future())

    def _wait_for_start(self) -> None:
        settings = self._settings
        pool = self._generation.pool
        deadline = Deadline.after(settings.decode_start_timeout)
        started = 0
        while started < settings.decode_workers:
            if not pool.active or not self._started.acquire(timeout=deadline.remaining()):
                _stop(pool)
                raise DecodeWorkerLostError(
                    f"Of the {settings.decode_workers} processes that decode clips, {started} started within "
                    f"{deadline.seconds:g} s."
                )
            started += 1


@dataclass(frozen=True)
class _Generation:
    """One pebble pool, replaced by another where it broke.

    Attributes:
        pool: The pool; asking whether it is active starts it.
        ended: Done when the pool was replaced.
    """

    pool: ProcessPool
    ended: asyncio.Future[None]


class _PoolBrokenError(Exception):
    """The pool can take no more clips, through no fault of this one."""


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _cause(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        try:
            return f"signal {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"
