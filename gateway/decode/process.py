"""One worker process, with a connection of its own.

Workers share nothing, no queue and no lock: whatever happens to one worker, at whatever moment, is seen as the end of
its connection and affects no other. Library pools share a channel, and a worker that is killed while it holds the
channel's lock stalls the rest.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sys
from contextlib import suppress
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from gateway.decode.messages import DecodedMedia, DecodeTask, MalformedAnswerError, pack_task, read_answer
from gateway.decode.worker import Runner, WorkerLimits, run_task, serve

_END_SECONDS = 5.0
"""A killed process is gone long before this."""

_SEND_BUFFER = 4 * 2**20
"""Bytes on their way to a worker or from it: most clips go in one turn of the event loop. The system may allow less."""


class WorkerExitedError(Exception):
    """The process ended while it worked on a task.

    Attributes:
        code: Its exit code, negative for a signal.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WorkerGoneError(Exception):
    """The process ended before it had received the task."""


def worker_context() -> BaseContext:
    """How workers are started: forked from a server that has imported and used the codecs already."""
    # numpy reads it when the fork server imports it. A second thread does not make the log-mel's small matrix product
    # faster, but spins while it waits: measured, 23 ms of CPU time a clip on two busy cores instead of 3.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload(["gateway.decode.warmup"])
    return context


class DecodeProcess:
    """A worker process. Threads start and end it, since that blocks; the event loop speaks to it.

    Attributes:
        sent: Tasks that the process was sent since it started.
    """

    def __init__(self, context: BaseContext, limits: WorkerLimits, runner: Runner = run_task) -> None:
        self._context = context
        self._limits = limits
        self._runner = runner
        self._process: BaseProcess | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None
        self._exchange: asyncio.Task[DecodedMedia] | None = None
        self.sent = 0

    @property
    def alive(self) -> bool:
        """Whether the process was started and not seen to end."""
        return self._writer is not None and not self._writer.is_closing() and not self._reader.at_eof()

    @property
    def busy(self) -> bool:
        """Whether the process works on a task, even if the caller no longer waits for it."""
        return self._exchange is not None and not self._exchange.done()

    async def start(self, timeout: float) -> None:
        """Start the process, in place of the one before, and wait until it is warm.

        Raises:
            WorkerGoneError: It ended.
            TimeoutError: It was not warm in time and was ended.
        """
        await self.stop()
        self._process, ours = await asyncio.to_thread(self._spawn)
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self.sent = 0
        try:
            async with asyncio.timeout(timeout):
                await self._reader.readexactly(1)
        except TimeoutError:
            await self.stop()
            raise
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerGoneError from None

    async def run(self, task: DecodeTask) -> DecodedMedia:
        """Let the process work on a task. A cancelled call leaves the process at work: see `drain`.

        Args:
            task: What to decode.

        Raises:
            WorkerGoneError: The process had ended before.
            WorkerExitedError: The process ended meanwhile.
            MalformedAnswerError: The process sent something that is not an answer; it was ended.
            EmotionError: A subclass says why the files cannot be read.
            TimeoutError: The task's deadline passed.
        """
        if not self.alive:
            raise WorkerGoneError
        self.sent += 1
        self._exchange = asyncio.create_task(self._send_and_receive(task))
        return await asyncio.shield(self._exchange)

    async def drain(self, grace: float) -> None:
        """Let the process finish a task that the caller no longer waits for; end it if that takes longer."""
        if self._exchange is None:
            return
        done, _ = await asyncio.wait({self._exchange}, timeout=grace)
        if not done:
            self.kill()
            await asyncio.wait({self._exchange})
        self._exchange.exception()  # Retrieved, or asyncio would log it.
        self._exchange = None

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        if self._process is not None:
            self._process.kill()
        if self._writer is not None:
            self._writer.close()

    async def stop(self) -> None:
        """End the process, if there is one, and wait for its end."""
        self.kill()
        await self.drain(_END_SECONDS)
        if self._process is not None:
            await self._exit_code()
        if self._writer is not None:
            with suppress(ConnectionError):
                await self._writer.wait_closed()
        self._process = self._writer = None

    async def _send_and_receive(self, task: DecodeTask) -> DecodedMedia:
        assert self._writer is not None  # noqa: S101 (for the type checker)
        try:
            self._writer.writelines(pack_task(task))
            del task  # Nothing of an upload is kept while the process works.
            await self._reader.readexactly(1)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerGoneError from None
        try:
            return await read_answer(self._reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerExitedError(await self._exit_code()) from None
        except MalformedAnswerError:
            self.kill()
            raise

    async def _exit_code(self) -> int:
        """The exit code of the process, which has ended or is about to."""
        assert self._process is not None  # noqa: S101 (for the type checker)
        process = self._process
        await asyncio.to_thread(process.join, _END_SECONDS)
        return process.exitcode or 0

    def _spawn(self) -> tuple[BaseProcess, socket.socket]:
        """Start a process; returns it and the gateway's end of its connection."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        with theirs:
            try:
                process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
                    target=serve, args=(theirs, self._limits, self._runner), name="decode", daemon=True
                )
                process.start()
            except BaseException:
                ours.close()
                raise
        return process, ours
