"""The frames a viewer would have seen at given times, upright.

Frames are chosen by presentation time, never by index: browser recordings have a variable frame rate, with gaps
of up to 400 ms. Only packets from the last key frame before the window on are decoded, decoding stops with the
last frame that is needed, and only frames that are used are converted.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from preprocessing.contract import FRAME_COUNT, FRAME_SIZE
from preprocessing.limits import Spending
from preprocessing.media import Track, packet_time

UInt8Array = npt.NDArray[np.uint8]

_PLANAR_420: Final = ("yuv420p", "yuvj420p")
"""What nearly all cameras and browsers record."""


@dataclass(frozen=True)
class Square:
    """A square region of an upright frame, in pixels.

    Attributes:
        left: Left edge.
        top: Upper edge.
        size: Width and height.
    """

    left: int
    top: int
    size: int


@dataclass(frozen=True)
class Picture:
    """A decoded frame that is converted when and as it is used.

    Attributes:
        frame: PyAV's frame, as stored in the file.
        quarter_turns: Counter-clockwise quarter turns that make the frame upright, 0 to 3.
    """

    frame: VideoFrame
    quarter_turns: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Picture:
        """The picture of a frame, to be turned as the file's display matrix says."""
        return cls(frame, round(frame.rotation / 90) % 4)

    @property
    def width(self) -> int:
        """Width of the upright frame, in pixels."""
        return self.frame.height if self.quarter_turns % 2 else self.frame.width

    @property
    def height(self) -> int:
        """Height of the upright frame, in pixels."""
        return self.frame.width if self.quarter_turns % 2 else self.frame.height

    def rgb(self, region: Square | None = None) -> UInt8Array:
        """The upright frame or a region of it, uint8 [height, width, 3] RGB.

        Only the region is converted: most of a frame is not face.
        """
        if region is None:
            return np.rot90(_converted(self.frame, format="rgb24").to_ndarray(), self.quarter_turns)
        left, top, size = self._stored(region)
        part = cut_planes(self.frame, left, top, size)
        if part is None:
            part, inner_left, inner_top = self.frame, left, top
        else:
            inner_left, inner_top = left % 2, top % 2
        array = _converted(part, format="rgb24").to_ndarray()
        array = array[inner_top : inner_top + size, inner_left : inner_left + size]
        return np.rot90(array, self.quarter_turns)

    def _stored(self, region: Square) -> tuple[int, int, int]:
        """Left, top and size of a region of the upright frame in the frame as it is stored."""
        right = self.width - region.left - region.size
        below = self.height - region.top - region.size
        left, top = {
            0: (region.left, region.top),
            1: (below, region.left),
            2: (right, below),
            3: (region.top, right),
        }[self.quarter_turns]
        return left, top, region.size

    def reduced(self, pixels: int) -> Picture:
        """This picture, or a smaller one where it has more pixels than that."""
        scale = (pixels / (self.frame.width * self.frame.height)) ** 0.5
        if scale >= 1:
            return self
        width, height = (max(1, int(side * scale)) for side in (self.frame.width, self.frame.height))
        reduced = _converted(self.frame, width=width, height=height, interpolation="AREA")
        return Picture(reduced, self.quarter_turns)

    def grey(self, longest_side: int) -> UInt8Array:
        """The upright frame in grey, reduced so that its longest side is at most `longest_side` pixels.

        Returns:
            uint8 [height, width], contiguous.
        """
        scale = min(1.0, longest_side / max(self.frame.width, self.frame.height))
        reduced = _converted(
            self.frame,
            width=max(1, round(self.frame.width * scale)),
            height=max(1, round(self.frame.height * scale)),
            format="gray",
        )
        return np.ascontiguousarray(np.rot90(reduced.to_ndarray(), self.quarter_turns))

    def resized(self, region: Square | None) -> UInt8Array:
        """A region of the upright frame, or all of it, at the contract's size.

        Args:
            region: The square to cut out; None squeezes the whole frame.

        Returns:
            uint8 [112, 112, 3] RGB.
        """
        part = self.rgb(region)
        shrinking = min(part.shape[:2]) >= FRAME_SIZE
        interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        resized = cv2.resize(np.ascontiguousarray(part), (FRAME_SIZE, FRAME_SIZE), interpolation=interpolation)
        return np.asarray(resized, np.uint8)


class _Reformatters(threading.local):
    """A converter for each kind of conversion, in each thread.

    Frames make their own, which takes several times as long as the conversion.
    """

    def __init__(self) -> None:
        self.by_kind: dict[frozenset[str], VideoReformatter] = {}


_reformatters = _Reformatters()


def _converted(frame: VideoFrame, **target: int | str) -> VideoFrame:
    """A frame in another size or format, by `VideoReformatter.reformat`'s arguments.

    On one thread: for pictures of this size, starting threads takes longer than what they do.
    """
    reformatter = _reformatters.by_kind.setdefault(frozenset(target), VideoReformatter())
    return reformatter.reformat(frame, threads=1, **target)  # type: ignore[arg-type]


def cut_planes(frame: VideoFrame, left: int, top: int, size: int) -> VideoFrame | None:
    """The smallest part of a frame that holds a square and begins and ends with a whole chroma sample.

    Args:
        frame: The frame.
        left: Left edge of the square, in pixels.
        top: Upper edge.
        size: Width and height.

    Returns:
        A frame whose pixels equal those of the whole; None where its format is not 8 bits with 4:2:0 chroma, or the
        part would reach beyond an edge.
    """
    begin_x, begin_y = left & ~1, top & ~1
    end_x, end_y = (left + size + 1) & ~1, (top + size + 1) & ~1
    if frame.format.name not in _PLANAR_420 or end_x > frame.width or end_y > frame.height:
        return None
    planes = []
    for plane, shift in zip(frame.planes, (0, 1, 1), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        planes.append(rows[begin_y >> shift : end_y >> shift, begin_x >> shift : end_x >> shift])
    packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, end_x - begin_x)
    part = VideoFrame.from_ndarray(packed, format=frame.format.name)
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    return part


def sample_times(start: float, length: float) -> list[float]:
    """Midpoints of the contract's number of equal parts of a window.

    Args:
        start: Start of the window, in seconds.
        length: Length of the window, in seconds.
    """
    return [start + (part + 0.5) * length / FRAME_COUNT for part in range(FRAME_COUNT)]


def read_pictures(track: Track, times: Sequence[float], spending: Spending) -> Iterator[Picture]:
    """The frames on display at given times: for each, the last one presented at or before it.

    A time before the first frame gives the first frame, a time after the last frame the last one.

    Args:
        track: The video track.
        times: Presentation times in seconds, ascending.
        spending: Counts what is decoded.

    Yields:
        As many pictures as times, each as soon as it is known, or none where nothing could be decoded.

    Raises:
        TooManyPixelsError: A frame is larger than the limit.
        TooManyFramesError: More frames than the limit would have to be decoded.
    """
    given = 0
    shown: VideoFrame | None = None
    for frame in _decode(track, times):
        spending.add_frame(frame.width, frame.height)
        while shown is not None and times[given] < frame.time:
            yield Picture.of(shown)
            given += 1
            if given == len(times):
                return
        shown = frame
    if shown is not None:
        for _ in times[given:]:
            yield Picture.of(shown)


def frame_rate(track: Track) -> float | None:
    """Mean frames per second by the packets' timestamps, which headers of recordings often misstate."""
    length = track.end - track.start
    return len(track.packets) / length if length > 0 else None


def _decode(track: Track, times: Sequence[float]) -> Iterator[VideoFrame]:
    """Decoded frames in order of presentation, from the key frame before the first time on.

    Frames that are on display at none of the times are left out where no other frame refers to them.
    """
    context = track.stream.codec_context
    context.thread_count = 1
    packets = _from_key_frame(track.packets, times[0])
    time_base = packets[0].time_base
    wanted = _on_display(packets, times)
    for index, packet in enumerate(packets):
        context.skip_frame = "DEFAULT" if wanted is None or index in wanted else "NONREF"
        try:
            yield from _with_time(context.decode(packet), time_base)
        except FFmpegError:
            continue  # A damaged packet costs its own frames, not the clip.
    try:
        yield from _with_time(context.decode(None), time_base)
    except FFmpegError:
        return


def _on_display(packets: Sequence[Packet[Any]], times: Sequence[float]) -> set[int] | None:
    """Indexes of the packets on display at given times; None where packets do not say when they are presented."""
    if any(packet.pts is None for packet in packets):
        return None
    presented = sorted((packet_time(packet), index) for index, packet in enumerate(packets))
    moments = [moment for moment, _ in presented]
    return {presented[max(0, bisect_right(moments, time) - 1)][1] for time in times}


def _from_key_frame(packets: Sequence[Packet[Any]], first_time: float) -> Sequence[Packet[Any]]:
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    times = [packet_time(packets[index]) for index in keys]
    position = bisect_right(times, first_time) - 1
    return packets[keys[position] :] if position >= 0 else packets


def _with_time(frames: Sequence[VideoFrame], time_base: Fraction) -> Iterator[VideoFrame]:
    """Frames that have a time; those that come when the decoder is emptied know no time base of their own."""
    for frame in frames:
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is not None:
            frame.time_base = time_base
            yield frame
