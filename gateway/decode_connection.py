"""The gateway's end of the sockets between it and a decode worker; the worker's end is in `gateway.decode_worker`.

The event loop itself writes and reads, so that no thread is woken for a clip: it takes the bytes that are there and
never waits for others.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, cast

from gateway.decode_messages import LENGTH, packed_work
from gateway.decode_worker import Work


class WorkerConnection(asyncio.BufferedProtocol):
    """What one worker is told and says, until it ends.

    Attributes:
        busy: Whether the worker owes an answer; at first, that it is ready.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[Any] | None = None
        self.busy = True
        self._expect(LENGTH.size, self._take_length)

    @property
    def is_open(self) -> bool:
        """Whether the worker was not seen to end."""
        return not self._transport.is_closing()

    def send(self, work: Work) -> None:
        """Give the worker something to do, whose answer is to be waited for before the next."""
        self.busy = True
        self._transport.writelines(packed_work(work))

    async def answer(self) -> Any:  # noqa: ANN401 (whatever the worker says)
        """What the worker says next. One that is cancelled leaves it to the next call.

        Raises:
            EOFError: The worker ended first.
        """
        if not self.is_open:
            raise EOFError
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None  # Nothing of a clip outlives its request.

    def close(self) -> None:
        """Close at once, which ends a worker that waits for work, and whoever waits for an answer."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has taken up the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it.

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """The worker has ended, or this end was closed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(EOFError())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's signature)
        """Where the next bytes belong."""
        return self._expected[self._received :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self._received += nbytes
        if self._received == len(self._expected):
            self._take(self._expected)

    def _expect(self, size: int, take: Callable[[memoryview], None]) -> None:
        self._expected, self._received, self._take = memoryview(bytearray(size)), 0, take

    def _take_length(self, data: memoryview) -> None:
        self._expect(LENGTH.unpack(data)[0], self._take_message)

    def _take_message(self, data: memoryview) -> None:
        self._expect(LENGTH.size, self._take_length)
        message = pickle.loads(data)  # noqa: S301 (from a process of our own)
        self.busy = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(message)
