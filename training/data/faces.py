"""Labelled images of faces: FER2013, the votes of FER+, and folders of images.

FER2013's labels are the terms of the web search that found the images. For FER+, ten people each voted for the emotion
that they saw (Barsoum et al. 2016, arXiv 1608.01041). The two differ in a third of the images. Training uses both:
votes are what is perceived, labels are closer to what actors intend.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from avemotion.preprocessing.contract import FRAME_SIZE, LABELS
from avemotion.preprocessing.errors import DamagedMediaError
from avemotion.preprocessing.face import crop_square
from avemotion.preprocessing.face_detector import CERTAINTY, SEARCHES, faces_in
from avemotion.preprocessing.frame import Frame, Square, UInt8Array
from training.data.face_augmentation import crop
from training.data.fer2013 import FACE_SIDE, Faces

FACE_LABELS: Final = tuple(label for label in LABELS if label != "calm")
"""What a face is taught: no data set at hand has calm faces."""

VOTED: Final = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "disgust": "disgust",
    "surprise": "surprised",
}
"""The contract's label of each column of votes; contempt has none."""

NO_EMOTION: Final = ("unknown", "NF")
"""Columns of votes for images that show no face, or none that can be read."""

_FEWEST_VOTES: Final = 5
"""Of ten, for one of the labels; an image with fewer is left out."""

_LABEL_SHARE: Final = 0.3
"""Share of FER2013's own label in a target, beside the votes."""

IMAGE_SUFFIXES: Final = {".jpg", ".jpeg", ".png", ".webp"}

Votes = dict[str, npt.NDArray[np.float32]]
"""Shares of the seven labels by the name of an image in FER2013's archive."""


@dataclass(frozen=True)
class FaceImages:
    """Faces in their natural size.

    Attributes:
        images: uint8 [height, width] or [height, width, 3] RGB each.
        squares: The crop of serving for each.
        targets: float32 [N, 7], shares of `FACE_LABELS` that sum to 1.
        names: Name of each image.
    """

    images: Sequence[UInt8Array]
    squares: Sequence[Square]
    targets: npt.NDArray[np.float32]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N], the likeliest label, as an index into the contract's labels."""
        places = np.array([LABELS.index(label) for label in FACE_LABELS])
        return np.asarray(places[self.targets.argmax(axis=1)], np.int64)

    def cropped(self, side: int = FRAME_SIZE) -> UInt8Array:
        """The crops of serving: uint8 [N, side, side, 3] RGB."""
        return np.stack([crop(*pair, side) for pair in zip(self.images, self.squares, strict=True)])

    def subset(self, chosen: npt.NDArray[np.bool_]) -> FaceImages:
        """The images of a mask [N]."""
        index = [int(number) for number in np.flatnonzero(chosen)]
        return FaceImages(
            [self.images[number] for number in index],
            [self.squares[number] for number in index],
            self.targets[index],
            [self.names[number] for number in index],
        )


def joined(parts: Sequence[FaceImages]) -> FaceImages:
    """All images of several sources."""
    return FaceImages(
        [image for part in parts for image in part.images],
        [square for part in parts for square in part.squares],
        np.concatenate([part.targets for part in parts]),
        [name for part in parts for name in part.names],
    )


def read_votes(path: Path) -> Votes:
    """Read the votes of FER+, matched to FER2013's archive.

    Args:
        path: A table with the columns `zip_path`, those of `VOTED`, and `NO_EMOTION`.

    Returns:
        Shares of the votes for an image's labels. Images that a majority could not read are left out, as are those
        with fewer than five votes for a label.

    Raises:
        DamagedMediaError: The table lacks a column.
    """
    found: Votes = {}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {"zip_path", *VOTED, *NO_EMOTION} - set(rows.fieldnames or ())
        if missing:
            raise DamagedMediaError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        column_of = {label: column for column, label in VOTED.items()}
        for row in rows:
            votes = np.array([float(row[column_of[label]]) for label in FACE_LABELS], np.float32)
            unread = sum(float(row[column]) for column in NO_EMOTION)
            if votes.sum() >= _FEWEST_VOTES and votes.max() > unread:
                found[row["zip_path"]] = votes / votes.sum()
    return found


def read_names(path: Path) -> set[str]:
    """Names in the first column of a table with a heading, e.g. of images to be left out."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        return {row[0] for row in rows if row}


def fer2013_images(
    faces: Faces, votes: Votes | None = None, *, label_share: float = _LABEL_SHARE, leave_out: Container[str] = ()
) -> FaceImages:
    """FER2013's faces with targets.

    Args:
        faces: Some faces of the archive.
        votes: Of FER+; None for FER2013's labels alone. Images without votes are left out.
        label_share: Share of FER2013's label in a target, beside the votes.
        leave_out: Names of images that are not taken.
    """
    own = _one_hot(faces.labels)
    taken = np.array([name not in leave_out and (votes is None or name in votes) for name in faces.names], np.bool_)
    index = [int(number) for number in np.flatnonzero(taken)]
    targets = own[index]
    if votes is not None and index:
        targets = label_share * targets + (1 - label_share) * np.stack([votes[faces.names[number]] for number in index])
    return FaceImages(
        [faces.images[number] for number in index],
        [Square(0, 0, FACE_SIDE)] * len(index),
        np.asarray(targets, np.float32),
        [faces.names[number] for number in index],
    )


def folder_images(folder: Path, *, detect: bool = True) -> FaceImages:
    """Images of `<label>/*.jpg`, where the folders are named by the contract's labels.

    Args:
        folder: The folder.
        detect: Cut out the face that serving's detector finds, and leave out images without one; else the whole
            image is the face.

    Raises:
        DamagedMediaError: The folder has no image of a face, or one that cannot be read.
    """
    images, squares, labels, names = [], [], [], []
    for path, label in _labelled(folder):
        image = cv2.imread(str(path))
        if image is None:
            raise DamagedMediaError(f"{path} is not an image.")
        colour = np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8)
        found = found_squares(colour) if detect else [Square(0, 0, min(colour.shape[:2]))]
        if found:
            is_grey = bool((colour == colour[:, :, :1]).all())
            images.append(np.ascontiguousarray(colour[:, :, 0]) if is_grey else colour)
            squares.append(found[0])
            labels.append(LABELS.index(label))
            names.append(f"{label}/{path.name}")
    if not names:
        raise DamagedMediaError(f"{folder} has no faces in folders named {', '.join(FACE_LABELS)}.")
    return FaceImages(images, squares, _one_hot(np.array(labels, np.int64)), names)


def _labelled(folder: Path) -> Iterator[tuple[Path, str]]:
    for label in FACE_LABELS:
        for path in sorted((folder / label).glob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                yield path, label


def found_squares(image: UInt8Array, certainty: float = CERTAINTY) -> list[Square]:
    """What serving would cut out of an image, the likeliest face first; of the first search that finds any.

    Args:
        image: uint8 [height, width, 3] RGB.
        certainty: Smallest score of a face, 0 to 1.
    """
    frame = Frame.of(VideoFrame.from_ndarray(image, format="rgb24"))
    boxes = next(filter(None, (faces_in(frame, search, certainty) for search in range(len(SEARCHES)))), [])
    return [crop_square(box, frame.width, frame.height) for box in boxes]


def _one_hot(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Targets [N, 7] of the contract's labels [N]."""
    places = np.array([LABELS.index(label) for label in FACE_LABELS])
    return np.asarray(labels[:, None] == places, np.float32)
