"""How the gateway and a decode worker speak to each other over a socket.

Each message is a pickle with its length before it. Uploaded files are not in it: they follow, piece after piece as
they arrived, and the worker reads each into one block of bytes. So nobody copies a clip but the socket.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from typing import Any, Final

from gateway.uploaded_file import UploadedFile

LENGTH: Final = struct.Struct("!Q")
"""What comes before each pickle: its length in bytes."""


def packed_work(work: object) -> list[bytes | bytearray | memoryview]:
    """What is sent to a worker, in pieces.

    Args:
        work: Anything that can be pickled; it may hold uploaded files.
    """
    frame = io.BytesIO()
    frame.write(bytes(LENGTH.size))
    pickler = _WorkPickler(frame)
    pickler.dump(work)
    return [_framed(frame), *pickler.pieces]


def receive_work(connection: socket.socket) -> Any:  # noqa: ANN401 (whatever the gateway says)
    """What a worker is given to do next; uploaded files have become bytes.

    Args:
        connection: The worker's end.

    Raises:
        EOFError: The gateway closed its end.
    """
    (length,) = LENGTH.unpack(_receive(connection, LENGTH.size))
    return _WorkUnpickler(_receive(connection, length), connection).load()


def send_answer(connection: socket.socket, answer: object) -> None:
    """Say something to the gateway, in one piece, so that it wakes up once.

    Args:
        connection: The worker's end.
        answer: Anything that can be pickled.
    """
    frame = io.BytesIO()
    frame.write(bytes(LENGTH.size))
    pickle.dump(answer, frame, protocol=pickle.HIGHEST_PROTOCOL)
    connection.sendall(_framed(frame))


def _framed(frame: io.BytesIO) -> memoryview:
    """A pickle with space for its length before it, which is filled in."""
    data = frame.getbuffer()
    LENGTH.pack_into(data, 0, len(data) - LENGTH.size)
    return data


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    data = connection.recv(size, socket.MSG_WAITALL)
    while len(data) < size:  # It ended, or this process was stopped for a while.
        more = connection.recv(size - len(data), socket.MSG_WAITALL)
        if not more:
            raise EOFError
        data += more
    return data


class _WorkPickler(pickle.Pickler):
    """Leaves uploaded files out, and collects their pieces."""

    def __init__(self, frame: io.BytesIO) -> None:
        super().__init__(frame, pickle.HIGHEST_PROTOCOL)
        self.pieces: list[bytes | bytearray | memoryview] = []

    def persistent_id(self, obj: object) -> int | None:
        """The size of an uploaded file, which is all that the worker must know of it."""
        if not isinstance(obj, UploadedFile):
            return None
        self.pieces += obj.pieces
        return len(obj)


class _WorkUnpickler(pickle.Unpickler):
    """Takes the files that were left out from what follows the pickle."""

    def __init__(self, data: bytes, connection: socket.socket) -> None:
        super().__init__(io.BytesIO(data))
        self._connection = connection

    def persistent_load(self, pid: int) -> bytes:
        """The next file, of this size."""
        return _receive(self._connection, pid)
