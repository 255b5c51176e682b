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

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.errors import DamagedMediaError

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


_HELD_OUT_SHARE: Final = 0.05
_HELD_OUT_SEED: Final = 0


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


def read_parts(archive: Path) -> tuple[Faces, Faces, Faces]:
    """The faces to train on, to validate on and to test on; no picture is in two of them.

    Test faces are PublicTest. Training leaves out the pictures that are also, to the pixel, in PublicTest, and holds
    out a share for validation, copies of one picture together: the archive repeats pictures within and across parts.

    Raises:
        DamagedMediaError: The archive holds no faces.
    """
    test = read_faces(archive, "PublicTest")
    known = {picture.tobytes() for picture in test.pictures}
    faces = read_faces(archive, "Training")
    faces = _subset(faces, np.array([picture.tobytes() not in known for picture in faces.pictures]))
    return *_hold_out(faces), test


def _hold_out(faces: Faces) -> tuple[Faces, Faces]:
    """Faces kept and faces held out, at random by distinct picture."""
    pictures = [picture.tobytes() for picture in faces.pictures]
    distinct = sorted(set(pictures))
    chosen = np.random.default_rng(_HELD_OUT_SEED).permutation(len(distinct))[: int(len(distinct) * _HELD_OUT_SHARE)]
    held_out = {distinct[i] for i in chosen}
    mask = np.array([picture in held_out for picture in pictures])
    return _subset(faces, ~mask), _subset(faces, mask)


def _subset(faces: Faces, mask: npt.NDArray[np.bool_]) -> Faces:
    names = [name for name, chosen in zip(faces.names, mask, strict=True) if chosen]
    return Faces(faces.pictures[mask], faces.labels[mask], names)
