"""One JPEG file becomes a picture, decoded by the same library as the frames of a clip.

The size of a JPEG is read from its frame header before anything is decoded: a few hundred bytes can ask for
gigabytes.
"""

from __future__ import annotations

import struct
from typing import Final

from av.codec import CodecContext
from av.error import FFmpegError
from av.packet import Packet

from avemotion.preprocessing.limits import DecodeBudget
from avemotion.preprocessing.picture import Picture

_START: Final = b"\xff\xd8\xff"
_END: Final = b"\xff\xd9"
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that start a frame header (ITU-T T.81, table B.1)."""
_WITHOUT_LENGTH: Final = frozenset(range(0xD0, 0xD9)) | {0x01, 0xFF}


def decode_jpeg(data: bytes, budget: DecodeBudget) -> Picture:
    """Decode one JPEG file.

    Args:
        data: The file's bytes.
        budget: Counts what is decoded.

    Raises:
        ValueError: The file is no JPEG, or damaged; the message continues "frame 1 ".
        TooManyPixelsError: The picture is larger than the limit.
    """
    if not data.startswith(_START):
        raise ValueError("is no JPEG file")
    size = _size(data)
    if size is None or not data.rstrip(b"\0").endswith(_END):
        raise ValueError("is a JPEG file that is damaged or cut off")
    budget.add_frame(*size)
    context = CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    # A second frame header would be obeyed by the decoder: it gets the same limit.
    context.options = {"max_pixels": str(budget.limits.pixels), "err_detect": "explode"}
    try:
        frames = [*context.decode(Packet(data)), *context.decode(None)]
    except FFmpegError as error:
        raise ValueError("is a JPEG file that is damaged or cut off") from error
    if len(frames) != 1 or frames[0].is_corrupt:
        raise ValueError("is a JPEG file that is damaged or cut off")
    return Picture.of(frames[0])


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the first frame header; None where there is none."""
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return (width, height) if width and height else None
        position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    return None
