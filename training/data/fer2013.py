"""FER2013 faces from the archive as it is downloaded.

48×48 grey pictures in `Training/<class>/` and `PublicTest/<class>/`; seven classes, no "calm".
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.contract import LABELS
from preprocessing.errors import DamagedMediaError

Part = Literal["Training", "PublicTest"]

LABEL_OF_CLASS: Final = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}
"""The contract's label of each class of FER2013."""

FACE_SIDE: Final = 48
"""Height and width of a picture, in pixels."""


@dataclass(frozen=True)
class Faces:
    """Pictures of faces.

    Attributes:
        pictures: uint8 [N, 48, 48], grey.
        labels: int64 [N], indices into the contract's labels.
        names: Name of each picture in the archive.
    """

    pictures: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: list[str]


def without_copies(faces: Faces, others: Faces) -> Faces:
    """Faces that are not, to the pixel, among others: the archive holds copies across its parts."""
    known = {picture.tobytes() for picture in others.pictures}
    return subset(faces, np.array([picture.tobytes() not in known for picture in faces.pictures]))


def subset(faces: Faces, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Faces:
    """Faces by position or by mask."""
    names = np.array(faces.names, object)[index].tolist()
    return Faces(faces.pictures[index], faces.labels[index], names)


def hold_out(faces: Faces, share: float, seed: int) -> tuple[Faces, Faces]:
    """Split faces at random, copies of one picture together.

    Args:
        faces: What to split.
        share: Share of distinct pictures that is held out, 0 to 1.
        seed: Seed of the choice.

    Returns:
        The faces kept and the faces held out.
    """
    pictures = [picture.tobytes() for picture in faces.pictures]
    distinct = sorted(set(pictures))
    chosen = np.random.default_rng(seed).permutation(len(distinct))[: int(len(distinct) * share)]
    held_out = {distinct[i] for i in chosen}
    mask = np.array([picture in held_out for picture in pictures])
    return subset(faces, ~mask), subset(faces, mask)


def read_faces(archive: Path, part: Part) -> Faces:
    """Read one part of the archive.

    Args:
        archive: `fer2013.zip`.
        part: `Training` (28,709 pictures) or `PublicTest` (3,589).

    Raises:
        DamagedMediaError: A picture cannot be read, or there is none.
    """
    pictures, labels, names = [], [], []
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            parts = name.split("/")
            if len(parts) != 3 or parts[0] != part or parts[1] not in LABEL_OF_CLASS:
                continue
            picture = cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
            if picture is None or picture.shape != (FACE_SIDE, FACE_SIDE):
                raise DamagedMediaError(f"{archive}: {name} is not a {FACE_SIDE}x{FACE_SIDE} picture.")
            pictures.append(picture.astype(np.uint8))
            labels.append(LABELS.index(LABEL_OF_CLASS[parts[1]]))
            names.append(name)
    if not names:
        raise DamagedMediaError(f"{archive} holds no pictures in {part}/<class>/.")
    return Faces(np.stack(pictures), np.array(labels, np.int64), names)
