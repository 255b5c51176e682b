"""Boxes of mp4 files, rewritten as editors and cameras do (ISO 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence


def with_edits(data: bytes, parts: Sequence[tuple[float, float]]) -> bytes:
    """Show parts of a clip only, as an editor does that cuts without encoding again.

    Args:
        data: An mp4 or mov file whose `moov` box is the last one, so that nothing else moves.
        parts: Start and end of each part, in seconds.
    """

    def cut(track: bytes, movie_scale: int) -> bytes:
        media = _find(track, b"mdia", b"mdhd")
        (media_scale,) = struct.unpack_from(">I", media, 20 if media[0] else 12)
        old = _find(track, b"edts", b"elst")
        (first,) = struct.unpack_from(">i", old, 12 + 12 * (struct.unpack_from(">I", old, 4)[0] - 1))
        entries = b"".join(
            struct.pack(">IiI", round((end - start) * movie_scale), first + round(start * media_scale), 1 << 16)
            for start, end in parts
        )
        elst = _box(b"elst", struct.pack(">II", 0, len(parts)) + entries)
        return b"".join(_box(kind, elst if kind == b"edts" else content) for kind, content in _boxes(track))

    return _with_tracks(data, cut)


def with_matrix(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """Give every track a display matrix.

    Args:
        data: An mp4 or mov file whose `moov` box is the last one.
        matrix: a, b, c and d: a stored pixel at (p, q) is shown at (a·p + c·q, b·p + d·q).
    """

    def turned(track: bytes, _: int) -> bytes:
        changed = bytearray(track)
        a, b, c, d = (value << 16 for value in matrix)
        struct.pack_into(">9i", changed, track.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
        return bytes(changed)

    return _with_tracks(data, turned)


def _with_tracks(data: bytes, change: Callable[[bytes, int], bytes]) -> bytes:
    top = list(_boxes(data))
    assert top[-1][0] == b"moov"
    header = _find(top[-1][1], b"mvhd")
    (scale,) = struct.unpack_from(">I", header, 20 if header[0] else 12)
    moov = b"".join(
        _box(kind, change(content, scale) if kind == b"trak" else content) for kind, content in _boxes(top[-1][1])
    )
    return b"".join(_box(*item) for item in top[:-1]) + _box(b"moov", moov)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _find(data: bytes, *path: bytes) -> bytes:
    for kind in path:
        data = next(content for name, content in _boxes(data) if name == kind)
    return data
