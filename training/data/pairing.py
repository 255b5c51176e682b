"""Pairing of voices with faces: audio-visual samples from separate sources, in place of real pairs.

A voice of an emotion gets a face of the same emotion. No sample shows a single person, so that a network cannot learn
what only a real pair shows, such as lips that match the words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import LABELS
from training.data.cache import FaceStore
from training.data.fer2013 import read_parts

TRAINING, VALIDATION, TEST = range(3)

FACES_OF_LABEL: Final = {label: "neutral" if label == "calm" else label for label in LABELS}
"""FER2013 has no calm faces; calm voices get neutral ones."""


def face_store(archive: Path) -> FaceStore:
    """Read the faces of FER2013 with their parts, which are those of `training.pretrain_faces`.

    Raises:
        DamagedMediaError: The archive has no faces.
    """
    parts = read_parts(archive)
    return FaceStore(
        np.concatenate([faces.images for faces in parts]),
        np.concatenate([faces.labels for faces in parts]),
        np.repeat((TRAINING, VALIDATION, TEST), [len(faces.labels) for faces in parts]),
    )


def matching_faces(faces: FaceStore, part: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Indices of the faces of one part that match each label.

    Raises:
        ValueError: A label has no face in this part.
    """
    matches = []
    for label in LABELS:
        wanted = LABELS.index(FACES_OF_LABEL[label])
        index = np.flatnonzero((faces.labels == wanted) & (faces.parts == part))
        if not len(index):
            raise ValueError(f"part {part} has no {FACES_OF_LABEL[label]} face for a {label} voice")
        matches.append(index)
    return tuple(matches)
