"""A decoded frame, upright, converted only when and as far as it is used.

Most frames of a clip are not used, and most of a frame is not face, so that RGB conversion of whole frames would
take longer than everything that follows.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from avemotion.preprocessing.contract import FRAME_SIZE

UInt8Array = npt.NDArray[np.uint8]

_PLANAR_420: Final = ("yuv420p", "yuvj420p")
"""The pixel formats of nearly all cameras and browsers."""


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
class Frame:
    """A decoded frame and its rotation.

    Attributes:
        stored: PyAV's frame, as stored in the file.
        quarter_turns: Counter-clockwise quarter turns that make the frame upright, 0 to 3.
    """

    stored: VideoFrame
    quarter_turns: int

    @classmethod
    def of(cls, stored: VideoFrame) -> Frame:
        """PyAV's frame, to be turned as the file's display matrix says."""
        return cls(stored, round(stored.rotation / 90) % 4)

    @property
    def width(self) -> int:
        """Width of the upright frame, in pixels."""
        return self.stored.height if self.quarter_turns % 2 else self.stored.width

    @property
    def height(self) -> int:
        """Height of the upright frame, in pixels."""
        return self.stored.width if self.quarter_turns % 2 else self.stored.height

    def rgb(self, region: Square | None = None) -> UInt8Array:
        """Convert the upright frame, or only a region of it.

        Args:
            region: The region; None for the whole frame.

        Returns:
            uint8 [height, width, 3] RGB.
        """
        if region is None:
            return np.rot90(_converted(self.stored, format="rgb24").to_ndarray(), self.quarter_turns)
        left, top, size = self._position_in_stored(region)
        part = _cut_planes(self.stored, left, top, size)
        if part is None:
            part, inner_left, inner_top = self.stored, left, top
        else:
            inner_left, inner_top = left % 2, top % 2
        array = _converted(part, format="rgb24").to_ndarray()
        array = array[inner_top : inner_top + size, inner_left : inner_left + size]
        return np.rot90(array, self.quarter_turns)

    def _position_in_stored(self, region: Square) -> tuple[int, int, int]:
        """Left, top and size in the stored frame of a region of the upright frame."""
        right = self.width - region.left - region.size
        below = self.height - region.top - region.size
        left, top = {
            0: (region.left, region.top),
            1: (below, region.left),
            2: (right, below),
            3: (region.top, right),
        }[self.quarter_turns]
        return left, top, region.size

    def reduced(self, pixels: int) -> Frame:
        """This frame, reduced if it has more pixels than the limit `pixels`."""
        scale = (pixels / (self.stored.width * self.stored.height)) ** 0.5
        if scale >= 1:
            return self
        width, height = (max(1, int(side * scale)) for side in (self.stored.width, self.stored.height))
        reduced = _converted(self.stored, width=width, height=height, interpolation="AREA")
        return Frame(reduced, self.quarter_turns)

    def grey(self, longest_side: int) -> UInt8Array:
        """The upright frame in grey, reduced so that its longest side is at most `longest_side` pixels.

        Returns:
            uint8 [height, width], contiguous.
        """
        scale = min(1.0, longest_side / max(self.stored.width, self.stored.height))
        reduced = _converted(
            self.stored,
            width=max(1, round(self.stored.width * scale)),
            height=max(1, round(self.stored.height * scale)),
            format="gray",
        )
        return np.ascontiguousarray(np.rot90(reduced.to_ndarray(), self.quarter_turns))

    def resized(self, region: Square | None) -> UInt8Array:
        """A region of the upright frame at the contract's size.

        Args:
            region: The square to crop; None squeezes the whole frame.

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

    PyAV's frames would create one for each call, which takes several times as long as the conversion.
    """

    def __init__(self) -> None:
        self.by_kind: dict[frozenset[str], VideoReformatter] = {}


_reformatters = _Reformatters()


def _converted(frame: VideoFrame, **target: int | str) -> VideoFrame:
    """A frame in another size or format, by the arguments of `VideoReformatter.reformat`.

    On one thread: for frames of this size, starting threads takes longer than the conversion.
    """
    reformatter = _reformatters.by_kind.setdefault(frozenset(target), VideoReformatter())
    return reformatter.reformat(frame, threads=1, **target)  # type: ignore[arg-type]


def _cut_planes(frame: VideoFrame, left: int, top: int, size: int) -> VideoFrame | None:
    """The smallest part of a frame that holds a square and begins and ends with a whole chroma sample.

    Args:
        frame: The frame.
        left: Left edge of the square, in pixels.
        top: Upper edge.
        size: Width and height.

    Returns:
        A frame whose pixels equal those of the whole; None if the format is not 8 bits with 4:2:0 chroma, or the part
        would extend beyond an edge.
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
