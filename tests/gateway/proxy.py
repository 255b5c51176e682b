"""A TCP proxy whose connections can be cut, or frozen as a network is that drops every packet."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """One proxy.

    Attributes:
        port: Where it listens on loopback.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Close every connection at once; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._abort)

    def stop_listening(self) -> None:
        """Welcome no new connections."""
        self._open = False

    def freeze(self) -> None:
        """Pass nothing on, in either direction, on the connections that are open."""
        self._loop.call_soon_threadsafe(self._replace_flowing)

    def run(self) -> None:
        """Serve until `stop`."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener))
        self._loop.run_forever()
        server.close()
        self._abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()

    def stop(self) -> None:
        """End `run`."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _replace_flowing(self) -> None:
        self._flowing.clear()  # for the connections that know it
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        flowing = self._flowing
        ends = {writer, back}
        self._writers |= ends
        await asyncio.gather(self._pass(reader, back, flowing), self._pass(there, writer, flowing))
        self._writers -= ends

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(2**16):
                await flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy before a port of loopback, while the context is open."""
    opened = Proxy(target)
    thread = threading.Thread(target=opened.run)
    thread.start()
    try:
        yield opened
    finally:
        opened.stop()
        thread.join(10)
        assert not thread.is_alive()
