"""A file as it was uploaded: in the pieces in which it arrived.

Putting them together would copy it once more. The decode worker does that for nothing, as it has to take the bytes
out of its socket anyhow.
"""

from __future__ import annotations

from collections.abc import Sequence


class UploadedFile:
    """The bytes of one file.

    Attributes:
        pieces: The bytes, in order; not to be changed.
    """

    def __init__(self, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        """Keep pieces as they are.

        Args:
            pieces: The bytes of the file, in order.
        """
        self.pieces = pieces
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        """Number of bytes."""
        return self._size

    def __bytes__(self) -> bytes:
        """A copy in one piece."""
        return b"".join(self.pieces)
