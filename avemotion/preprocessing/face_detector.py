"""Faces in one frame, found by YuNet through OpenCV.

`yunet.onnx` is the network of libfacedetection by Shiqi Yu (3-clause BSD licence, `yunet.LICENSE`) as the ONNX file
that OpenCV's `FaceDetectorYN` reads. docs/decisions/face-detector.md compares it with other detectors and says how the
file was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import cv2
import numpy as np

from avemotion.preprocessing.frame import Frame

SEARCHES: Final = (160 * 90, 320 * 180, 640 * 360)
"""Pixels of the reduced frame in successive searches. Each costs four times the one before it and finds faces of half
the size; the last one finds faces of 8 % of the frame's height."""

CERTAINTY: Final = 0.6
"""Smallest score of a face, 0 to 1."""

_OVERLAP: Final = 0.3
"""Boxes that overlap by more than this (intersection over union) are one face."""

_MOST_FACES: Final = 50

_SMALLEST_SIDE: Final = 64
"""Smaller images are padded to this, in pixels: if a side shrinks to one cell of the network's coarsest map, OpenCV's
depthwise convolution reads memory that was never written, and the boxes are not finite."""

_SIDE: Final = 1.1
_CENTRE: Final = 0.48
"""Side of the square in units of the geometric mean of YuNet's width and height, and its centre's distance from YuNet's
upper edge in units of the height. They give about the squares of OpenCV's Haar cascade (medians over 280 faces), which
resemble the images of FER2013."""


@dataclass(frozen=True)
class FaceBox:
    """A face, as fractions of the upright frame's width and height.

    Attributes:
        left: Left edge, 0 to 1.
        top: Upper edge, 0 to 1.
        width: Width, 0 to 1.
        height: Height, 0 to 1.
    """

    left: float
    top: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, as fractions of the frame's width and height."""
        return self.left + self.width / 2, self.top + self.height / 2


def faces_in(frame: Frame, search: int, certainty: float = CERTAINTY) -> list[FaceBox]:
    """Find the faces of a frame.

    Args:
        frame: The frame; it is never enlarged.
        search: Index of the search, which says how far the frame is reduced.
        certainty: Smallest score of a face, 0 to 1.

    Returns:
        The faces in descending order of their scores; a box is cut off at the edges of the frame.
    """
    scale = min(1.0, (SEARCHES[search] / (frame.width * frame.height)) ** 0.5)
    grey = frame.grey(max(1, round(max(frame.width, frame.height) * scale)))
    height, width = grey.shape
    below, beside = max(0, _SMALLEST_SIDE - height), max(0, _SMALLEST_SIDE - width)
    if below or beside:
        grey = cv2.copyMakeBorder(grey, 0, below, 0, beside, cv2.BORDER_CONSTANT)
    detector = _take(search)
    detector.setScoreThreshold(certainty)
    detector.setInputSize((width + beside, height + below))
    _, found = detector.detect(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    _idle[search].append(detector)
    return [] if found is None else [_square(row[:4], (width, height)) for row in found.tolist()]


def _square(box: Sequence[float], frame: tuple[int, int]) -> FaceBox:
    """The square around one of YuNet's boxes, as far as it lies in the frame.

    Args:
        box: Left, top, width and height in pixels.
        frame: Width and height of the frame in pixels.
    """
    left, top, width, height = box
    side = _SIDE * (width * height) ** 0.5
    corner = np.array([left + width / 2 - side / 2, top + _CENTRE * height - side / 2])
    begin, end = np.clip([corner / frame, (corner + side) / frame], 0, 1)
    return FaceBox(*begin.tolist(), *(end - begin).tolist())


_idle: Final[dict[int, list[cv2.FaceDetectorYN]]] = defaultdict(list)
"""Detectors that no thread uses, by search: each holds the image, and another size sets it up again."""


def _take(search: int) -> cv2.FaceDetectorYN:
    try:
        return _idle[search].pop()
    except IndexError:
        size, settings = (_SMALLEST_SIDE, _SMALLEST_SIDE), np.empty(0, np.uint8)
        return cv2.FaceDetectorYN.create("onnx", _model(), settings, size, CERTAINTY, _OVERLAP, _MOST_FACES)


@cache
def _model() -> np.ndarray:
    """The file's bytes, read once: a decode worker cannot open files later."""
    return np.frombuffer((files(__package__) / "yunet.onnx").read_bytes(), np.uint8)
