"""One process that decodes, with a connection of its own.

Nothing is shared between two of them, no queue and no lock: whatever happens to one, at whatever moment, is seen as
the end of its connection and concerns nobody else. Each has a counter in shared memory, which only tells whether a
lost worker had begun. Pools of libraries share a channel, and a worker that is killed while it holds the channel's
lock delays all the others.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
from ctypes import c_ulong
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from gateway.decode_connection import WorkerConnection
from gateway.decode_worker import Failed, Perform, Performed, Work, WorkerLimits, perform, serve

_END_SECONDS = 5.0
"""A process that was killed is gone long before this."""

_SEND_BUFFER = 4 * 2**20
"""Bytes that may be under way to a process, or from it: a clip, so that neither side waits for the other to read.

The system may allow less; then a clip goes in several turns.
"""


class WorkerExitedError(Exception):
    """The process ended while it worked.

    Attributes:
        code: Its exit code, negative for a signal.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WorkerGoneError(Exception):
    """The process ended before it took the work."""


def worker_context() -> BaseContext:
    """How workers are started: forked from a server process that has imported and used the codecs already."""
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        context.set_forkserver_preload(["gateway.decode_warmup"])
    return context


class DecodeProcess:
    """A worker process. It is started and ended by a thread, since that blocks; work goes to it from the event loop.

    Attributes:
        given: How many pieces of work the process was given since it started.
    """

    def __init__(self, context: BaseContext, limits: WorkerLimits, perform: Perform = perform) -> None:
        """Prepare a process; `start` starts it.

        Args:
            context: How processes are started.
            limits: What it may use.
            perform: How it runs a task.
        """
        self._context = context
        self._limits = limits
        self._perform = perform
        self._taken = context.RawValue(c_ulong)
        self._process: BaseProcess | None = None
        self._connection: WorkerConnection | None = None
        self.given = 0

    @property
    def alive(self) -> bool:
        """Whether the process was started and not seen to end."""
        return self._connection is not None and self._connection.is_open

    @property
    def busy(self) -> bool:
        """Whether the process works, be it for nobody any more."""
        return self._connection is not None and self._connection.busy

    async def start(self, timeout: float) -> None:
        """Start the process, in place of the one before, and wait until it is warm.

        Args:
            timeout: Longest time for that, in seconds.

        Raises:
            WorkerGoneError: It ended.
            TimeoutError: It is not warm in time; it was ended.
        """
        await self.stop()
        self._process, ours = await asyncio.to_thread(self._spawn)
        _, self._connection = await asyncio.get_running_loop().create_connection(WorkerConnection, sock=ours)
        self.given = self._taken.value = 0
        try:
            async with asyncio.timeout(timeout):
                await self._connection.answer()
        except TimeoutError:
            await self.stop()
            raise
        except EOFError:
            raise WorkerGoneError from None

    async def run(self, work: Work) -> Performed[Any]:
        """Let the process do something. One that is cancelled leaves the process at work: see `settle`.

        Args:
            work: How, what, and with which arguments.

        Raises:
            WorkerGoneError: The process had ended before.
            WorkerExitedError: The process ended meanwhile.
            Exception: What the task raised.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise WorkerGoneError
        self.given += 1
        connection.send(work)
        try:
            outcome = await connection.answer()
        except EOFError:
            if self._taken.value == self.given:
                raise WorkerExitedError(await self._exit_code()) from None
            raise WorkerGoneError from None
        if isinstance(outcome, Failed):
            raise outcome.error
        assert isinstance(outcome, Performed)  # noqa: S101 (for the type checker)
        return outcome

    async def settle(self, grace: float) -> None:
        """Let the process finish what nobody waits for any more; end it if that takes longer.

        Args:
            grace: How much longer it may take, in seconds.
        """
        if self._connection is None or not self._connection.busy:
            return
        try:
            async with asyncio.timeout(grace):
                await self._connection.answer()
        except (TimeoutError, EOFError):
            self.kill()

    def kill(self) -> None:
        """End the process at once, whatever it does and whoever waits for it."""
        if self._process is not None:
            self._process.kill()
        if self._connection is not None:
            self._connection.close()

    async def stop(self) -> None:
        """End the process, if there is one, and wait for that."""
        self.kill()
        if self._process is not None:
            await self._exit_code()
            self._process = self._connection = None

    async def _exit_code(self) -> int:
        """The exit code of the process, which has ended or is about to."""
        assert self._process is not None  # noqa: S101 (for the type checker)
        process = self._process
        await asyncio.to_thread(process.join, _END_SECONDS)
        return process.exitcode or 0

    def _spawn(self) -> tuple[BaseProcess, socket.socket]:
        """Start a process; returns it and this end of its socket."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        with theirs:
            try:
                process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
                    target=serve, args=(theirs, self._limits, self._perform, self._taken), name="decode", daemon=True
                )
                process.start()
            except BaseException:
                ours.close()
                raise
        return process, ours
