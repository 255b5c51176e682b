"""Searching for large faces first finds the same face as a search over all sizes."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from avemotion.preprocessing.face import largest_face
from tests.support.data import data_path


def grey_frames(name: str, count: int) -> list[np.ndarray]:
    """Frames of a recording, a dozen apart, 320 pixels on the longer side."""
    with av.open(data_path(name)) as container:
        shown = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)][: 12 * count : 12]
    scale = 320 / max(shown[0].shape)
    return [cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for picture in shown]


def area_by_all_sizes(grey: np.ndarray) -> int:
    """Area of the largest face that OpenCV finds when it looks for all sizes and groups what it found by itself."""
    smallest = max(20, round(min(grey.shape) * 0.1))
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    found = cascade.detectMultiScale(grey, scaleFactor=1.2, minNeighbors=3, minSize=(smallest, smallest))
    return max((int(width) * int(height) for _, _, width, height in found), default=0)


def area(box: tuple[int, int, int, int] | None) -> int:
    return 0 if box is None else box[2] * box[3]


@pytest.mark.parametrize("name", ["chrome_a01_disgust_vp8.webm", "fire2.mp4", "woman2.mp4", "face_noface.mov"])
def test_the_largest_face_is_that_of_a_search_for_all_sizes(name: str) -> None:
    random = np.random.default_rng(5)
    for picture in grey_frames(f"clips/{name}", 4):
        moved = np.array([[0.4, 0, random.uniform(0, 150)], [0, 0.4, random.uniform(0, 80)]], np.float32)
        small = cv2.warpAffine(picture, moved, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT)
        for grey in (
            picture,
            small,
            np.ascontiguousarray(picture[::2, ::2]),
            picture[:, : picture.shape[1] // 3].copy(),
        ):
            assert area(largest_face(grey)) == area_by_all_sizes(grey)


@pytest.mark.parametrize("shape", [(20, 20), (10, 30), (64, 200), (240, 320)])
def test_noise_of_any_size_has_the_same_answer_either_way(shape: tuple[int, int]) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, shape, np.uint8), (0, 0), 4)
    assert area(largest_face(noise)) == area_by_all_sizes(noise)
