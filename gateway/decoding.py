"""The pool of processes that decode: a clip that crashes, hangs or hoards costs its own request and nothing else.

Each worker has a connection of its own and is forked from a server process that has used the codecs already, so that a
lost worker is replaced in well under a second, and its first clip is no slower than its tenth.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from avemotion.preprocessing.errors import EmotionError
from gateway.deadline import Deadline
from gateway.decode_process import DecodeProcess, WorkerExitedError, WorkerGoneError, worker_context
from gateway.decode_worker import Perform, Performed, Task, Work, WorkerLimits, perform
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

logger = logging.getLogger(__name__)

T = TypeVar("T")

_GRACE = 0.5
"""Seconds in which a worker may finish what nobody waits for any more: a fresh process costs more than most clips."""


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
            metrics: Takes note of the stages of decoding.
            perform: How a worker runs a task. Tests pass one that misbehaves.
        """
        self._settings = settings
        self._metrics = metrics
        limits = WorkerLimits(
            memory=settings.decode_memory,
            cpu_seconds=settings.decode_cpu_seconds,
            open_files=settings.decode_open_files,
            cores=settings.decode_cores,
        )
        context = worker_context()
        self._workers = [DecodeProcess(context, limits, perform) for _ in range(settings.decode_workers)]
        self._idle: asyncio.LifoQueue[DecodeProcess] = asyncio.LifoQueue()
        self._reviving: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.capacity = settings.decode_workers + settings.decode_queue
        self.admitted = 0

    async def start(self) -> None:
        """Start the workers and wait until each is warm.

        Raises:
            DecodeWorkerLostError: They did not start in time.
        """
        timeout = self._settings.decode_start_timeout
        outcomes = await asyncio.gather(*(worker.start(timeout) for worker in self._workers), return_exceptions=True)
        started = [outcome for outcome in outcomes if outcome is None]
        if len(started) < len(self._workers):
            await self.stop()
            raise DecodeWorkerLostError(
                f"Of the {len(self._workers)} processes that decode clips, {len(started)} started within {timeout:g} s."
            )
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def stop(self) -> None:
        """End all workers."""
        self._stopping = True
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._reviving, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def check_capacity(self) -> None:
        """Refuse early what `run` would refuse.

        Raises:
            OverloadedError: As many clips are waiting as may.
        """
        if self.admitted >= self.capacity:
            raise OverloadedError(
                f"{self.admitted} clips are being decoded or waiting, which is the limit; try again in a moment."
            )

    async def run(
        self,
        task: Task[T],
        *args: object,
        deadline: Deadline,
        timeout: float | None = None,
        together: int = 1,
    ) -> DecodeResult[T]:
        """Run one task in a worker. Cancelling ends the worker's work, too, in a moment at the latest.

        Args:
            task: One of `gateway.decode_worker`'s tasks.
            *args: Its arguments.
            deadline: When the result is of no more use.
            timeout: Longest time of this task, in seconds; the setting's where None.
            together: How many tasks the caller has to be run, this one among them: they are to share the cores.

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
                done = await self._run(task, args, together, deadline, timeout or self._settings.decode_timeout)
        finally:
            self.admitted -= 1
        self._metrics.observe_stages(done.stages)
        return DecodeResult(done.value, done.seconds, time.perf_counter() - begin - done.seconds)

    async def _run(
        self, task: Task[Any], args: tuple[Any, ...], together: int, deadline: Deadline, timeout: float
    ) -> Performed[Any]:
        try:
            for _ in range(len(self._workers) + 1):
                worker = await self._idle_worker(deadline)
                work = task, args, self._cores_for_one(together)
                with suppress(WorkerGoneError):  # It was lost while idle: the work waits for another.
                    return await self._run_in(worker, work, deadline, timeout)
        except TimeoutError:
            raise DeadlineExceededError(
                f"The clip was not decoded within {deadline.seconds:g} s, the limit for a whole request; "
                "the server is busy."
            ) from None
        except WorkerExitedError as error:
            raise self._explain_exit(error.code) from None
        except DecodeFailedError:
            logger.exception("decoding failed in an unforeseen way")
            raise
        raise DecodeWorkerLostError("The clip could not be handed to a process that decodes.")

    async def _idle_worker(self, deadline: Deadline) -> DecodeProcess:
        remaining = deadline.remaining()
        if not remaining:
            raise TimeoutError
        if not self._idle.empty():
            return self._idle.get_nowait()
        async with asyncio.timeout(remaining):
            return await self._idle.get()

    async def _run_in(self, worker: DecodeProcess, work: Work, deadline: Deadline, timeout: float) -> Performed[Any]:
        """Run work in a worker, and see to it that the worker, or another in its place, becomes idle again."""
        limit = deadline.within(timeout)
        try:
            async with asyncio.timeout(limit.remaining()):
                return await worker.run(work)
        except TimeoutError:
            if limit is deadline:  # Tasks notice it by themselves: their process need not be killed for it.
                raise
            worker.kill()
            raise DecodeTimeoutError(
                f"The clip was not decoded within {timeout:g} s, the limit for one clip."
            ) from None
        finally:
            if not worker.busy and self._can_go_on(worker):
                self._idle.put_nowait(worker)
            elif not self._stopping:
                reviving = asyncio.create_task(self._revive(worker))
                self._reviving.add(reviving)
                reviving.add_done_callback(self._reviving.discard)

    def _cores_for_one(self, together: int) -> int:
        """Cores for one of the clips that are there now: all for a lone one, one each on a busy machine."""
        return max(1, self._settings.decode_cores // max(self.admitted, together))

    def _can_go_on(self, worker: DecodeProcess) -> bool:
        return worker.alive and worker.given < self._settings.decode_recycle_after

    async def _revive(self, worker: DecodeProcess) -> None:
        """End the work that nobody waits for, and start a fresh process in place of one that ended or did its share."""
        await worker.settle(_GRACE)
        if self._can_go_on(worker):
            self._idle.put_nowait(worker)
            return
        pause = 0.01
        while not self._stopping:
            try:
                await worker.start(self._settings.decode_start_timeout)
            except (WorkerGoneError, OSError):
                logger.exception("a process that decodes could not be started; trying again")
                await asyncio.sleep(pause)
                pause = min(1.0, 2 * pause)
            else:
                self._idle.put_nowait(worker)
                return

    def _explain_exit(self, code: int) -> EmotionError:
        """The error for a worker that ended with a clip."""
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            return DecodeTimeoutError(
                f"The clip took more than {self._settings.decode_cpu_seconds} s of CPU time, the limit for one clip."
            )
        logger.error("decode worker lost", extra={"exit_code": code})
        return DecodeWorkerLostError(f"The process that decoded the clip was ended by {_cause(code)}.")


def _cause(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        try:
            return f"signal {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"signal {-exit_code}"
    return f"exit code {exit_code}"
