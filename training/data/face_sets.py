"""Faces to measure on, none of which a face branch was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.frame import UInt8Array
from training.data.examples import is_unseen
from training.data.faces import FACE_LABELS, fer2013_images, folder_images, read_votes
from training.data.fer2013 import read_faces

ARCHIVE: Final = "fer2013.zip"
VOTES: Final = "ferplus/ferplus_for_fer2013zip.csv"
POSED: Final = "faces_ckplus48"
WEB: Final = "faces_web"
"""Where the sets lie below the folder of data."""

_MAJORITY: Final = 0.5
"""Share of the votes that a label must exceed (Barsoum et al. 2016, section 4)."""


@dataclass(frozen=True)
class FaceSet:
    """Faces of one source with one kind of labels.

    Attributes:
        name: For the report.
        rows: int64 [N], the faces among those of the source.
        labels: int64 [N], indices into the contract's labels.
        classes: Labels that a prediction is chosen from.
    """

    name: str
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...] = FACE_LABELS


@dataclass(frozen=True)
class FaceSource:
    """Faces, and the sets that are made of them.

    Attributes:
        images: uint8 [M, 112, 112, 3] RGB, cropped as in serving.
        sets: The sets.
    """

    images: UInt8Array
    sets: tuple[FaceSet, ...]


def face_sources(folder: Path) -> Iterator[FaceSource]:
    """The sources below a folder of data; those that are absent are left out.

    Raises:
        DamagedMediaError: A source has an image that cannot be read.
    """
    if (folder / ARCHIVE).exists():
        yield _fer2013(folder)
    if (folder / POSED).is_dir():
        faces = folder_images(folder / POSED, detect=False)
        every = np.arange(len(faces))
        occurring = tuple(label for label in FACE_LABELS if LABELS.index(label) in faces.labels)
        among = f"CK+, among its {len(occurring)} classes"
        sets = FaceSet("CK+", every, faces.labels), FaceSet(among, every, faces.labels, occurring)
        yield FaceSource(faces.cropped(), sets)
    if (folder / WEB).is_dir():
        faces = folder_images(folder / WEB)
        faces = faces.subset(np.array([is_unseen(Path(name).name) for name in faces.names]))
        yield FaceSource(faces.cropped(), (FaceSet("web, a quarter", np.arange(len(faces)), faces.labels),))


def _fer2013(folder: Path) -> FaceSource:
    faces = read_faces(folder / ARCHIVE, "PublicTest")
    sets = [FaceSet("FER2013, PublicTest", np.arange(len(faces.labels)), faces.labels)]
    if (folder / VOTES).exists():
        voted = fer2013_images(faces, read_votes(folder / VOTES), label_share=0)
        row_of = {name: row for row, name in enumerate(faces.names)}
        rows = np.array([row_of[name] for name in voted.names], np.int64)
        clear = voted.targets.max(axis=1) > _MAJORITY
        sets += [
            FaceSet("FER+, most votes", rows, voted.labels),
            FaceSet("FER+, majority", rows[clear], voted.labels[clear]),
        ]
    return FaceSource(fer2013_images(faces).cropped(), tuple(sets))
