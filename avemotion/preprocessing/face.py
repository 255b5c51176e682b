"""One person's face in the frames of a window: who is looked at, and the crop.

Faces are looked for in three of the eight frames and linked to people, so that a spurious detection in one frame
counts for nothing and the crop never jumps from one person to another. One box serves all frames unless the person
moves far: a box per frame would cancel the movement of the head. docs/decisions/face-detector.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.execution import for_each
from avemotion.preprocessing.face_detector import SEARCHES, FaceBox, faces_in
from avemotion.preprocessing.frame import Frame, Square, UInt8Array

CROP_FACTOR: Final = 1.1
"""Side of the crop relative to the box: room for an open mouth, yet close to the images of FER2013, on which video
branches are pre-trained and which are cropped at about the detector's own box."""

_OUTER: Final = (1, 6)
_MIDDLE: Final = 4
"""Indices of the frames that are searched. The middle one is searched if one of the outer ones shows a face: a person
is seen in at least two."""

_FEWEST: Final = 2
"""Detections that make a person."""

_FARTHEST: Final = 1.0
"""Largest distance between two boxes of one person, in units of the larger box."""

_LARGEST_RATIO: Final = 1.7
"""Largest ratio of the sizes of two boxes of one person."""

_STEADY: Final = 1 / 3
"""A person who moves by at most this part of the box between two detections gets one box for all frames."""


@dataclass
class Person:
    """The detections of one person in a window.

    Attributes:
        boxes: Boxes by the index of the frame.
    """

    boxes: dict[int, FaceBox] = field(default_factory=dict)

    @property
    def box(self) -> FaceBox:
        """The median box."""
        return _median(list(self.boxes.values()))

    @property
    def prominence(self) -> float:
        """Sum of the heights of all boxes, as fractions of the frame's."""
        return sum(box.height for box in self.boxes.values())

    def box_at(self, index: int) -> FaceBox:
        """The box of a frame: the median one, or one between two detections if the person moves far."""
        boxes = [self.boxes[key] for key in sorted(self.boxes)]
        if all(_distance(before, after) <= _STEADY for before, after in pairwise(boxes)):
            return self.box
        values = np.array([_numbers(box) for box in boxes])
        return FaceBox(*(float(np.interp(index, sorted(self.boxes), column)) for column in values.T))


@dataclass(frozen=True)
class Crops:
    """The frames of a window, cropped.

    Attributes:
        pixels: uint8 [8, 112, 112, 3] RGB; None if no face was found.
        face: The median box of the person; None if no face was found or looked for.
        people: Number of people seen; 0 if none was looked for.
    """

    pixels: UInt8Array | None
    face: FaceBox | None
    people: int


def crop_frames(frames: Sequence[Frame], crop: CropMode, follow: FaceBox | None = None) -> Crops:
    """Crop and resize the frames of one window into the contract's tensor.

    Args:
        frames: The window's eight frames in order.
        crop: `face` crops a square around the face; `none` squeezes the whole frame.
        follow: Where the person to be followed was seen last; None for the most prominent person.
    """
    if crop == "none":
        return Crops(np.stack(for_each(lambda frame: frame.resized(None), frames)), None, 0)
    people = find_people(frames, follow)
    if not people:
        return Crops(None, None, 0)
    person = choose(people, follow)

    def cropped(numbered: tuple[int, Frame]) -> UInt8Array:
        index, frame = numbered
        return frame.resized(crop_square(person.box_at(index), frame.width, frame.height))

    return Crops(np.stack(for_each(cropped, enumerate(frames))), person.box, len(people))


def find_people(frames: Sequence[Frame], follow: FaceBox | None = None) -> list[Person]:
    """Find the people in a window; each search uses larger images, and the first that finds anyone is the last.

    Args:
        frames: The window's eight frames in order.
        follow: Where a person was seen last; the search goes on until that person is found, too.

    Returns:
        The people of the last search that found any.
    """
    found: list[Person] = []
    pixels = max(frame.width * frame.height for frame in frames)
    for search in range(len(SEARCHES)):
        if search and pixels <= SEARCHES[search - 1]:
            break  # The search before it has seen every pixel.
        people = _search(frames, search)
        if people and (follow is None or any(is_same(person.box, follow) for person in people)):
            return people
        found = found or people
    return found


def choose(people: Sequence[Person], follow: FaceBox | None = None) -> Person:
    """The person to be followed if seen, or else the most prominent one.

    Args:
        people: The people of a window, at least one.
        follow: Where the person to be followed was seen last.
    """
    same = [] if follow is None else [person for person in people if is_same(person.box, follow)]
    if follow is not None and same:
        return min(same, key=lambda person: _distance(person.box, follow))
    return max(people, key=lambda person: (person.prominence, -person.box.left, -person.box.top))


def link(detections: dict[int, list[FaceBox]]) -> list[Person]:
    """Link the faces of several frames to people, the closest pairs of boxes first.

    Args:
        detections: Faces by the index of the frame, in order.

    Returns:
        Everybody who is seen in at least two frames.
    """
    people: list[Person] = []
    for index, boxes in detections.items():
        last = [(person, person.boxes[max(person.boxes)]) for person in people]
        pairs = [
            (_distance(before, box), number, person)
            for number, box in enumerate(boxes)
            for person, before in last
            if is_same(before, box)
        ]
        taken: set[int] = set()
        for _, number, person in sorted(pairs, key=lambda pair: pair[:2]):
            if number not in taken and index not in person.boxes:
                person.boxes[index] = boxes[number]
                taken.add(number)
        people.extend(Person({index: box}) for number, box in enumerate(boxes) if number not in taken)
    return [person for person in people if len(person.boxes) >= _FEWEST]


def is_same(one: FaceBox, other: FaceBox) -> bool:
    """Whether two boxes, seconds apart, can be the same person's: close to each other and of similar size."""
    ratio = one.height / other.height
    return _distance(one, other) <= _FARTHEST and 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO


def crop_square(face: FaceBox, width: int, height: int) -> Square:
    """The square that is cropped from a frame.

    Args:
        face: The face.
        width: Width of the upright frame, in pixels.
        height: Height of the upright frame, in pixels.

    Returns:
        A square inside the frame, around the face and enlarged by `CROP_FACTOR`.
    """
    size = min(width, height, round(max(face.width * width, face.height * height) * CROP_FACTOR))
    size = max(1, size)
    x, y = face.centre
    left, top = round(x * width - size / 2), round(y * height - size / 2)
    return Square(min(max(0, left), width - size), min(max(0, top), height - size), size)


def _search(frames: Sequence[Frame], search: int) -> list[Person]:
    detections = dict(zip(_OUTER, for_each(lambda index: faces_in(frames[index], search), _OUTER), strict=True))
    if any(detections.values()):
        detections[_MIDDLE] = faces_in(frames[_MIDDLE], search)
    return link(dict(sorted(detections.items())))


def _distance(one: FaceBox, other: FaceBox) -> float:
    """Distance of the centres in units of the larger box, the same for any aspect ratio of the frame."""
    across = (one.centre[0] - other.centre[0]) / max(one.width, other.width)
    down = (one.centre[1] - other.centre[1]) / max(one.height, other.height)
    return float(np.hypot(across, down))


def _median(boxes: Sequence[FaceBox]) -> FaceBox:
    # Not numpy's: its first call loads 28 MB of modules.
    return FaceBox(*(median(values) for values in zip(*map(_numbers, boxes), strict=True)))


def _numbers(box: FaceBox) -> tuple[float, float, float, float]:
    return box.left, box.top, box.width, box.height
