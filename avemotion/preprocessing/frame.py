"""A decoded frame, upright, converted only when and as far as it is used.

Most frames of a clip are not used, and most of a frame is not face, so that RGB conversion of whole frames would
take longer than everything that follows.
"""

from __future__ import annotations

import math
import struct
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from avemotion.preprocessing.colour import ToSdr, to_sdr
from avemotion.preprocessing.contract import FRAME_SIZE

UInt8Array = npt.NDArray[np.uint8]

_PLANAR_420: Final = {"yuv420p": np.uint8, "yuvj420p": np.uint8, "yuv420p10le": np.uint16}
"""The pixel formats of nearly all cameras and browsers, the last one that of HDR, and the types of their samples."""


_UNSPECIFIED: Final = 2
_MATRICES: Final = frozenset({0, 1, _UNSPECIFIED, 4, 5, 6, 7, 9})
"""The matrices (ITU-T H.273, table 4) that swscale converts; it raises an error for others, which no camera uses."""


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
    """A decoded frame, and what makes it upright, with square pixels.

    Attributes:
        stored: PyAV's frame, as stored in the file.
        quarter_turns: Counter-clockwise quarter turns that make the frame upright, 0 to 3.
        mirrored: Whether the stored frame is to be mirrored left to right before it is turned.
        pixel_ratio: Width of a stored pixel relative to its height.
    """

    stored: VideoFrame
    quarter_turns: int = 0
    mirrored: bool = False
    pixel_ratio: float = 1.0

    @classmethod
    def of(cls, stored: VideoFrame, pixel_ratio: float = 1.0) -> Frame:
        """PyAV's frame, to be mirrored and turned as the file's display matrix says."""
        if stored.colorspace not in _MATRICES:
            stored.colorspace = _UNSPECIFIED
        try:
            # Not `stored.side_data`: the frame would keep what refers to it, and such a cycle, with all its memory,
            # waits for the garbage collector.
            matrix: Any = SideDataContainer(stored).get("DISPLAYMATRIX")  # type: ignore[call-arg]
        except ValueError:  # PyAV knows no name for some other side data, as that of stereoscopic video.
            return cls(stored, round(stored.rotation / 90) % 4, pixel_ratio=pixel_ratio)
        if matrix is None:
            return cls(stored, pixel_ratio=pixel_ratio)
        a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
        mirrored = a * d < b * c
        if mirrored:
            a, b = -a, -b
        return cls(stored, round(math.degrees(math.atan2(c - b, a + d)) / 90) % 4, mirrored, pixel_ratio)

    @cached_property
    def _square_size(self) -> tuple[int, int]:
        """Width and height of the stored frame with square pixels: the shorter side of a pixel is stretched."""
        width, height = self.stored.width, self.stored.height
        return round(width * max(1.0, self.pixel_ratio)), round(height * max(1.0, 1 / self.pixel_ratio))

    @property
    def width(self) -> int:
        """Width of the upright frame, in square pixels."""
        return self._square_size[self.quarter_turns % 2]

    @property
    def height(self) -> int:
        """Height of the upright frame, in square pixels."""
        return self._square_size[1 - self.quarter_turns % 2]

    @property
    def _to_sdr(self) -> ToSdr | None:
        """The conversion of HDR to ordinary video, for such frames."""
        return to_sdr(self.stored.color_trc, self.stored.color_primaries)

    def rgb(self) -> UInt8Array:
        """Convert the whole upright frame.

        Returns:
            uint8 [height, width, 3] RGB, with square pixels.
        """
        array = self._upright(self._rgb_of(self.stored))
        if array.shape[:2] != (self.height, self.width):
            array = cv2.resize(np.ascontiguousarray(array), (self.width, self.height))
        return self._ordinary(array)

    def _rgb_of(self, stored: VideoFrame) -> npt.NDArray[Any]:
        """A part of the stored frame in RGB, 8 bits a channel, or 16 before a conversion by `_ordinary`."""
        # Planes of 16 bits: swscale's packed format of 16 bits, rgb48, has wrong colours if the width is odd.
        return _converted(stored, format="rgb24" if self._to_sdr is None else "gbrp16le").to_ndarray()

    def _ordinary(self, rgb: npt.NDArray[Any]) -> UInt8Array:
        """Pixels from `_rgb_of` as those of ordinary video, 8 bits a channel."""
        conversion = self._to_sdr
        return np.asarray(rgb, np.uint8) if conversion is None else conversion.pixels(rgb)

    def _upright(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array [height, width, ...] of the stored frame, mirrored and turned."""
        return np.rot90(array[:, ::-1] if self.mirrored else array, self.quarter_turns)

    def _cut(self, region: Square) -> npt.NDArray[Any]:
        """A region of the upright frame from `_rgb_of`, in stored pixels."""
        left, top, width, height = self._position_in_stored(region)
        part = _cut_planes(self.stored, left, top, width, height)
        if part is None:
            part, inner_left, inner_top = self.stored, left, top
        else:
            inner_left, inner_top = left % 2, top % 2
        array = self._rgb_of(part)
        return self._upright(array[inner_top : inner_top + height, inner_left : inner_left + width])

    def _position_in_stored(self, region: Square) -> tuple[int, int, int, int]:
        """Left, top, width and height in the stored frame, in its pixels, of a region of the upright frame."""
        right = self.width - region.left - region.size
        below = self.height - region.top - region.size
        left, top = {
            0: (region.left, region.top),
            1: (below, region.left),
            2: (right, below),
            3: (region.top, right),
        }[self.quarter_turns]
        if self.mirrored:
            left = self._square_size[0] - left - region.size
        if self.pixel_ratio == 1:
            return left, top, region.size, region.size
        square_width, square_height = self._square_size
        across, down = self.stored.width / square_width, self.stored.height / square_height
        begin_x = min(round(left * across), self.stored.width - 1)
        begin_y = min(round(top * down), self.stored.height - 1)
        end_x = max(begin_x + 1, round((left + region.size) * across))
        end_y = max(begin_y + 1, round((top + region.size) * down))
        return begin_x, begin_y, end_x - begin_x, end_y - begin_y

    def reduced(self, pixels: int) -> Frame:
        """This frame, reduced if it has more pixels than the limit `pixels`."""
        scale = (pixels / (self.stored.width * self.stored.height)) ** 0.5
        if scale >= 1:
            return self
        width, height = (max(1, int(side * scale)) for side in (self.stored.width, self.stored.height))
        reduced = _converted(self.stored, width=width, height=height, interpolation="AREA")
        return replace(self, stored=reduced)

    def grey(self, longest_side: int) -> UInt8Array:
        """The upright frame in grey, reduced so that its longest side is at most `longest_side` pixels.

        Returns:
            uint8 [height, width], contiguous.
        """
        width, height = self._square_size
        scale = min(1.0, longest_side / max(width, height))
        reduced = _converted(
            self.stored, width=max(1, round(width * scale)), height=max(1, round(height * scale)), format="gray"
        )
        grey = np.ascontiguousarray(self._upright(reduced.to_ndarray()))
        conversion = self._to_sdr
        return grey if conversion is None else np.asarray(cv2.LUT(grey, conversion.grey_table()), np.uint8)

    def resized(self, region: Square | None) -> UInt8Array:
        """A region of the upright frame at the contract's size.

        Args:
            region: The square to crop; None squeezes the whole frame.

        Returns:
            uint8 [112, 112, 3] RGB.
        """
        part = self._upright(self._rgb_of(self.stored)) if region is None else self._cut(region)
        shrinking = min(part.shape[:2]) >= FRAME_SIZE
        interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        resized = cv2.resize(np.ascontiguousarray(part), (FRAME_SIZE, FRAME_SIZE), interpolation=interpolation)
        return self._ordinary(resized)


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


def _cut_planes(frame: VideoFrame, left: int, top: int, width: int, height: int) -> VideoFrame | None:
    """The smallest part of a frame that holds a region and begins and ends with a whole chroma sample.

    Args:
        frame: The frame.
        left: Left edge of the region, in pixels.
        top: Upper edge.
        width: Width.
        height: Height.

    Returns:
        A frame whose pixels equal those of the whole; None if the format is not one of `_PLANAR_420`, or the part would
        extend beyond an edge.
    """
    sample = _PLANAR_420.get(frame.format.name)
    begin_x, begin_y = left & ~1, top & ~1
    end_x, end_y = (left + width + 1) & ~1, (top + height + 1) & ~1
    if sample is None or end_x > frame.width or end_y > frame.height:
        return None
    planes = []
    for plane, shift in zip(frame.planes, (0, 1, 1), strict=True):
        rows = np.frombuffer(memoryview(plane), sample).reshape(plane.height, -1)
        planes.append(rows[begin_y >> shift : end_y >> shift, begin_x >> shift : end_x >> shift])
    packed = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, end_x - begin_x)
    part = VideoFrame.from_ndarray(packed, format=frame.format.name)
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    return part
