"""Face detection and crop, with one box for a whole window.

The detector is OpenCV's Haar cascade, which takes milliseconds and needs no further model; the median over a few frames
makes the box steady. One box for all frames keeps the movement of the head in the clip, which a box per frame would
cancel. docs/decisions/face-detector.md has the measurements.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from cv2.data import haarcascades

from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.execution import for_each
from avemotion.preprocessing.frame import Frame, Square, UInt8Array

CROP_FACTOR: Final = 1.1
"""Side of the crop relative to the detected box: room for an open mouth, yet close to the images of FER2013, on which
video branches are pre-trained and which are cropped at about the detector's own box."""

_DETECTION_FRAMES: Final = (1, 4, 6)
_DETECTION_SIDE: Final = 320
_SMALLEST_FACE: Final = 0.1
"""Size of the smallest face to find, as a fraction of the frame's shorter side."""

_SCALE: Final = 1.2
"""Ratio between successive sizes of the detector's search."""

_NEIGHBOURS: Final = 3
_GROUPING: Final = 0.2
"""Number of further candidates that make a face, and how far apart they may lie (OpenCV's `GROUP_EPS`)."""

_LADDER: Final = (0.32, 0.18)
"""Lower bounds of the first two searches, as fractions of the shorter side. Large faces are found in a fraction of the
time that small ones take, and once a large face is found, smaller sizes are skipped. No size is searched twice."""

_MARGIN: Final = _SCALE**2
"""A face ends the search if the neighbouring sizes have been searched, too: the result then equals that of a search
over all sizes."""


@dataclass(frozen=True)
class FaceBox:
    """The median detected face, as fractions of the upright frame's width and height.

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


def crop_frames(frames: Sequence[Frame], crop: CropMode) -> tuple[UInt8Array, FaceBox | None]:
    """Crop and resize the frames of one window into the contract's tensor.

    Args:
        frames: The window's eight frames in order.
        crop: `face` crops a square around the face; `none` squeezes the whole frame.

    Returns:
        uint8 [8, 112, 112, 3] RGB, and the face; None if none was found or looked for.
    """
    face = find_face(frames) if crop == "face" else None

    def cropped(frame: Frame) -> UInt8Array:
        # Each frame has a size of its own: it can change within a window, as when a phone is turned.
        return frame.resized(crop_square(face, frame.width, frame.height) if crop == "face" else None)

    return np.stack(for_each(cropped, frames)), face


def find_face(frames: Sequence[Frame]) -> FaceBox | None:
    """Find the largest face in a few frames of a window.

    Args:
        frames: The window's eight frames in order.

    Returns:
        The median box; None if none of these frames shows a face.
    """
    boxes = [box for box in for_each(_box, [frames[index] for index in _DETECTION_FRAMES]) if box is not None]
    if not boxes:
        return None
    left, top, width, height = (float(value) for value in np.median(boxes, axis=0))
    return FaceBox(left, top, width, height)


def _box(frame: Frame) -> tuple[float, float, float, float] | None:
    """Left, top, width and height of the largest face as fractions of the frame, or None."""
    grey = frame.grey(_DETECTION_SIDE)
    box = largest_face(grey)
    if box is None:
        return None
    height, width = grey.shape
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def largest_face(grey: np.ndarray) -> tuple[int, int, int, int] | None:
    """Find the largest face in a grey image.

    Args:
        grey: uint8 [height, width].

    Returns:
        Left, top, width and height in pixels, or None.
    """
    shorter = min(grey.shape)
    smallest = max(20, round(shorter * _SMALLEST_FACE))
    candidates: list[Sequence[int]] = []
    larger = None
    for fraction in _LADDER:
        at_least = round(shorter * fraction)
        if at_least > smallest * _SCALE:
            candidates.extend(_candidates(grey, at_least, larger))
            box = _largest(candidates)
            if box is not None and box[2] > at_least * _MARGIN:
                return box
            larger = at_least
    return _largest([*candidates, *_candidates(grey, smallest, larger)])


def _candidates(grey: np.ndarray, smallest: int, larger: int | None) -> Sequence[Sequence[int]]:
    """All candidates of at least the smallest size and below the larger one; a face has many candidates."""
    largest = 0 if larger is None else larger - 1
    found: Sequence[Sequence[int]] = _cascade().classifier.detectMultiScale(
        grey, scaleFactor=_SCALE, minNeighbors=0, minSize=(smallest, smallest), maxSize=(largest, largest)
    )
    return found


def _largest(candidates: Sequence[Sequence[int]]) -> tuple[int, int, int, int] | None:
    found, _ = cv2.groupRectangles(candidates, _NEIGHBOURS, _GROUPING)
    if len(found) == 0:
        return None
    # A fixed choice among equally large faces: the order of candidates depends on threads.
    left, top, width, height = max(found, key=lambda box: (int(box[2]) * int(box[3]), -int(box[0]), -int(box[1])))
    return int(left), int(top), int(width), int(height)


def crop_square(face: FaceBox | None, width: int, height: int) -> Square:
    """The square that is cropped from every frame of a window.

    Args:
        face: The face, or None for the centre of the frame.
        width: Width of the upright frames, in pixels.
        height: Height of the upright frames, in pixels.

    Returns:
        A square inside the frame: around the face, enlarged by `CROP_FACTOR`, or the largest one at the centre.
    """
    shorter = min(width, height)
    if face is None:
        return Square((width - shorter) // 2, (height - shorter) // 2, shorter)
    size = min(shorter, round(max(face.width * width, face.height * height) * CROP_FACTOR))
    size = max(1, size)
    left = round((face.left + face.width / 2) * width - size / 2)
    top = round((face.top + face.height / 2) * height - size / 2)
    return Square(min(max(0, left), width - size), min(max(0, top), height - size), size)


class _Cascade(threading.local):
    """OpenCV's detector, one per thread, because it holds the image that it searches."""

    def __init__(self) -> None:
        self.classifier = cv2.CascadeClassifier(f"{haarcascades}haarcascade_frontalface_alt2.xml")


@cache
def _cascade() -> _Cascade:
    return _Cascade()
