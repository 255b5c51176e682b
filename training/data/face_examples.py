"""Faces against pictures without one: the detector's own mistakes, and others at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from avemotion.preprocessing.contract import FRAME_SIZE
from avemotion.preprocessing.face_detector import CERTAINTY
from avemotion.preprocessing.frame import Frame
from training.data.cache import Cache
from training.data.examples import UNSEEN_SHARE, Examples, is_unseen
from training.data.face_augmentation import augment
from training.data.faces import IMAGE_SUFFIXES, found_squares
from training.data.motion import moving_face
from training.data.pairing import TEST, TRAINING
from training.data.splits import split_clips

_FACES: Final = 4000
"""Faces of the cache to train on; a quarter as many are measured on."""

_DOUBTFUL: Final = 0.2
"""Score of doubtful detections: too low for serving, yet the closest to a face."""

_MISTAKES: Final = 3
"""Most mistakes of the detector in one picture or part."""

_PARTS: Final = 3
"""Most random parts of a picture."""

_SMALLEST_PICTURE: Final = 60
"""Side of the smallest picture of which a part is cut out, in pixels."""


def face_examples(cache: Cache, faces: Sequence[Path], pictures: Sequence[Path], *, seed: int = 0) -> Examples:
    """Crops of faces against crops of pictures without a face: the detector's own mistakes, and others at random.

    Args:
        cache: Faces of a paired cache, whose test faces are measured on; or the frames of its clips.
        faces: Folders of pictures of further faces.
        pictures: Folders of pictures without a face.
        seed: Seed of all random draws.

    Raises:
        FileNotFoundError: A folder holds no picture.
    """
    random = np.random.default_rng(seed)
    examples = Examples()
    for frame, training in _cached_faces(cache, random):
        examples.add(frame, "faces", positive=True, training=training)
    for name, picture in _pictures(faces):
        for crop in _detected(picture, CERTAINTY)[:1]:
            examples.add(crop, "further faces", positive=True, training=not is_unseen(name))
    for name, picture in _pictures(pictures):
        training = not is_unseen(name)
        for part in _parts(picture, random):
            for kind, certainty in (("false detections", CERTAINTY), ("doubtful detections", _DOUBTFUL)):
                for mistake in _detected(part, certainty)[:_MISTAKES]:
                    examples.add(mistake, kind, positive=False, training=training)
            side = int(random.uniform(0.2, 1) * min(part.shape[:2]))
            top, left = (int(random.integers(size - side + 1)) for size in part.shape[:2])
            other = _resized(part[top : top + side, left : left + side])
            examples.add(other, "parts of pictures", positive=False, training=training)
    _add_changed(examples, random)
    return examples


def _add_changed(examples: Examples, random: np.random.Generator) -> None:
    """Add a changed copy of each example to train on, so that neither blur nor the lack of colour tells a face."""
    for number in np.flatnonzero(examples.training):
        positive = bool(examples.positive[number])
        example = examples.inputs[number]
        mirrored = np.ascontiguousarray(example[:, ::-1]) if random.random() < 0.5 else example
        changed = augment(mirrored, random)
        examples.add(changed, f"changed {examples.kinds[number]}", positive=positive, training=True)


def _cached_faces(cache: Cache, random: np.random.Generator) -> Iterator[tuple[npt.NDArray[np.uint8], bool]]:
    """Frames of faces, and whether they are trained on."""
    if cache.faces is not None:
        for part, count in ((TRAINING, _FACES), (TEST, _FACES // UNSEEN_SHARE)):
            for index in random.permutation(np.flatnonzero(cache.faces.parts == part))[:count]:
                yield moving_face(cache.faces.images[index], random)[0], part == TRAINING
        return
    trained = set(split_clips(cache, "subject").training.tolist())
    for clip in range(len(cache.records)):
        if cache.records[clip].video:
            for frame in np.array(cache.frames[cache.rows[clip]])[::4]:
                yield frame, clip in trained


def _pictures(folders: Iterable[Path]) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Names and RGB pictures [height, width, 3] below some folders; other files are left out."""
    for folder in folders:
        count = 0
        for path in sorted(folder.rglob("*")):
            picture = cv2.imread(str(path)) if path.suffix.lower() in IMAGE_SUFFIXES else None
            if picture is not None and min(picture.shape[:2]) >= _SMALLEST_PICTURE:
                count += 1
                yield path.name, np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8)
        if not count:
            raise FileNotFoundError(f"{folder} holds no picture.")


def _parts(picture: npt.NDArray[np.uint8], random: np.random.Generator) -> Iterator[npt.NDArray[np.uint8]]:
    """A picture, and random parts of it if it is large."""
    yield picture
    height, width = picture.shape[:2]
    for _ in range(min(_PARTS, height * width // 150_000)):
        share = random.uniform(0.25, 0.8)
        rows, columns = int(height * share), int(width * share)
        top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
        yield picture[top : top + rows, left : left + columns]


def _detected(picture: npt.NDArray[np.uint8], certainty: float) -> list[npt.NDArray[np.uint8]]:
    """The crops that serving would take of a picture, the likeliest face first."""
    frame = Frame.of(VideoFrame.from_ndarray(picture, format="rgb24"))
    return [frame.resized(square) for square in found_squares(picture, certainty)]


def _resized(part: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(part, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
