"""The pool of decode workers: a clip that crashes, hangs or exhausts memory costs its own request and nothing else.

Workers are forked from a server process that has used the codecs already, so a lost worker is replaced in well under a
second, and its first clip is no slower than its tenth.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace

from opentelemetry.trace import Tracer

from avemotion.preprocessing.errors import EmotionError
from gateway.deadlines import Deadline
from gateway.decode.messages import DecodedMedia, DecodeTask, MalformedAnswerError
from gateway.decode.process import DecodeProcess, WorkerExitedError, WorkerGoneError, worker_context
from gateway.decode.worker import Runner, WorkerLimits, run_task
from gateway.errors import (
    DeadlineExceededError,
    DecodeFailedError,
    DecodeTimeoutError,
    DecodeWorkerLostError,
    OverloadedError,
)
from gateway.settings import Settings
from gateway.telemetry import NO_TRACER, Metrics, stage_span

logger = logging.getLogger(__name__)

_GRACE = 0.5
"""Seconds in which a worker may finish a task that the caller no longer waits for: a new process costs more than most
clips."""


class DecodePool:
    """Runs tasks in worker processes, as many at a time as there are workers; rejects tasks if too many wait.

    Attributes:
        admitted: Clips that are being decoded or wait for it.
        capacity: Most of them.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, tracer: Tracer = NO_TRACER, runner: Runner = run_task
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._tracer = tracer
        self._media_limits = settings.media_limits()
        limits = WorkerLimits(
            memory=settings.decode_memory,
            cpu_seconds=settings.decode_cpu_seconds,
            open_files=settings.decode_open_files,
            cores=settings.decode_cores,
        )
        context = worker_context()
        self._workers = [DecodeProcess(context, limits, runner) for _ in range(settings.decode_workers)]
        self._idle: asyncio.LifoQueue[DecodeProcess] = asyncio.LifoQueue()
        self._respawning: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.capacity = settings.decode_workers + settings.decode_queue
        self.admitted = 0

    async def start(self) -> None:
        """Start the workers and wait until each is warm.

        Raises:
            DecodeWorkerLostError: Not all of them started in time.
        """
        timeout = self._settings.decode_start_timeout
        outcomes = await asyncio.gather(*(worker.start(timeout) for worker in self._workers), return_exceptions=True)
        started = sum(outcome is None for outcome in outcomes)
        if started < len(self._workers):
            await self.stop()
            raise DecodeWorkerLostError(
                f"{started} of {len(self._workers)} decode workers started within {timeout:g} s, the limit."
            )
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def stop(self) -> None:
        """End all workers."""
        self._stopping = True
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._respawning, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def check_capacity(self) -> None:
        """Reject early what `run` would reject.

        Raises:
            OverloadedError: As many clips are waiting as may.
        """
        if self.admitted >= self.capacity:
            raise OverloadedError(
                f"{self.admitted} clips are being decoded or waiting, which is the limit; try again in a moment."
            )

    async def run(
        self, task: DecodeTask, *, deadline: Deadline, timeout: float | None = None, together: int = 1
    ) -> DecodedMedia:
        """Run one task in a worker. Cancelling ends the worker's work, too, after a short grace.

        Args:
            task: What to decode; its limits and cores are set here.
            deadline: When the result is no longer of use.
            timeout: Longest time of this task, in seconds; the setting's if None.
            together: How many tasks the caller runs at once, this one included; they share the cores.

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
            with stage_span(self._tracer, "decode"):
                media = await self._run(task, together, deadline, timeout or self._settings.decode_timeout)
        finally:
            self.admitted -= 1
        self._metrics.observe_stages(media.stages)
        return replace(media, queue_seconds=time.perf_counter() - begin - media.seconds)

    async def _run(self, task: DecodeTask, together: int, deadline: Deadline, timeout: float) -> DecodedMedia:
        limits = replace(self._media_limits, expires=deadline.expires)
        try:
            for _ in range(len(self._workers) + 1):
                worker = await self._idle_worker(deadline)
                limited = replace(task, limits=limits, cores=self._cores_for_one(together))
                with suppress(WorkerGoneError):  # It was lost while idle: the task goes to another.
                    return await self._run_in(worker, limited, deadline, timeout)
        except TimeoutError:
            raise DeadlineExceededError(
                f"The clip was not decoded within {deadline.seconds:g} s, the limit for a whole request; "
                "the server is busy."
            ) from None
        except WorkerExitedError as error:
            raise self._explain_exit(error.code) from None
        except MalformedAnswerError as error:
            logger.exception("a decode worker sent an answer that is not valid")
            raise DecodeFailedError("The clip could not be decoded: the worker's answer is not valid.") from error
        except DecodeFailedError:
            logger.exception("decoding failed in an unforeseen way")
            raise
        raise DecodeWorkerLostError("The clip could not be sent to a decode worker.")

    async def _idle_worker(self, deadline: Deadline) -> DecodeProcess:
        async with asyncio.timeout(deadline.remaining()):
            return await self._idle.get()

    async def _run_in(
        self, worker: DecodeProcess, task: DecodeTask, deadline: Deadline, timeout: float
    ) -> DecodedMedia:
        """Run a task in a worker, and see to it that the worker, or another in its place, becomes idle again."""
        limit = deadline.within(timeout)
        try:
            async with asyncio.timeout(limit.remaining()):
                return await worker.run(task)
        except TimeoutError:
            if limit is deadline:  # The task notices by itself: its process need not be killed.
                raise
            worker.kill()
            raise DecodeTimeoutError(
                f"The clip was not decoded within {timeout:g} s, the limit for one clip."
            ) from None
        finally:
            if not worker.busy and self._is_reusable(worker):
                self._idle.put_nowait(worker)
            elif not self._stopping:
                respawning = asyncio.create_task(self._respawn(worker))
                self._respawning.add(respawning)
                respawning.add_done_callback(self._respawning.discard)

    def _cores_for_one(self, together: int) -> int:
        """Cores for one of the clips in the pool: all for a lone one, one each on a busy machine."""
        return max(1, self._settings.decode_cores // max(self.admitted, together))

    def _is_reusable(self, worker: DecodeProcess) -> bool:
        return worker.alive and worker.sent < self._settings.decode_recycle_after

    async def _respawn(self, worker: DecodeProcess) -> None:
        """Let a worker finish what it does, and start a new process in place of one that ended or is worn out."""
        await worker.drain(_GRACE)
        if self._is_reusable(worker):
            self._idle.put_nowait(worker)
            return
        pause = 0.01
        while not self._stopping:
            try:
                await worker.start(self._settings.decode_start_timeout)
            except (WorkerGoneError, OSError):
                logger.exception("a decode worker could not be started; trying again")
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
