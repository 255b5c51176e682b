"""One process that decodes, with a pipe of its own.

Nothing is shared between two of them, no queue and no lock: whatever happens to one, at whatever moment, is seen as
the end of its pipe and concerns nobody else. Pools of libraries share a channel, and a worker that is killed while it
holds the channel's lock delays all the others.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from gateway.decode_worker import Failed, Performed, Work, WorkerLimits, serve

_END_SECONDS = 5.0
"""A process that was killed is gone long before this."""


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
    """A worker process and this side of its pipe. All methods but `kill` block, and wait for each other.

    Attributes:
        finished: Tasks that this process has finished since it started.
    """

    def __init__(self, context: BaseContext, limits: WorkerLimits) -> None:
        """Prepare a process; `start` starts it.

        Args:
            context: How processes are started.
            limits: What it may use.
        """
        self._context = context
        self._limits = limits
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection
        self.finished = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self, timeout: float) -> None:
        """Start the process, in place of the one before, and wait until it is warm.

        Args:
            timeout: Longest time for that, in seconds.

        Raises:
            WorkerGoneError: It ended.
            TimeoutError: It is not warm in time.
        """
        with self._lock:
            self._end()
            self._pipe, theirs = Pipe()
            self._process = self._context.Process(  # type: ignore[attr-defined]
                target=serve, args=(theirs, self._limits), name="decode", daemon=True
            )
            self._process.start()
            theirs.close()
            self.finished = 0
            self._receive(timeout)

    def run(self, work: Work, timeout: float) -> Performed[Any]:
        """Let the process do something.

        Args:
            work: How, what, and with which arguments.
            timeout: Longest time for that, in seconds.

        Raises:
            TimeoutError: It took longer; the process was killed, unless the task itself gave up.
            WorkerGoneError: The process had ended before.
            WorkerExitedError: The process ended meanwhile.
            Exception: What the task raised.
        """
        with self._lock:
            try:
                self._pipe.send(work)
                self._receive(timeout)  # from now on, its end is the work's doing
            except TimeoutError:
                raise
            except (WorkerGoneError, OSError) as error:
                self._end()
                raise WorkerGoneError from error
            try:
                outcome = self._receive(timeout)
            except WorkerGoneError:
                raise WorkerExitedError(self._exit_code()) from None
            self.finished += 1
        if isinstance(outcome, Failed):
            raise outcome.error
        assert isinstance(outcome, Performed)  # noqa: S101 (for the type checker)
        return outcome

    def kill(self) -> None:
        """End the process at once, whatever it does and whoever waits for it."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the process, if there is one, and wait for that."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(_END_SECONDS)
            self._process = None
            self._pipe.close()

    def _receive(self, timeout: float) -> object:
        try:
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerGoneError from error
        self._end()
        raise TimeoutError

    def _exit_code(self) -> int:
        assert self._process is not None  # noqa: S101 (for the type checker)
        self._process.join(_END_SECONDS)
        return self._process.exitcode or 0
