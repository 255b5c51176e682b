"""One person is found, at any size and tilt that users have, and followed; without a face there is no video."""

from __future__ import annotations

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from avemotion.preprocessing.clip import DecodedWindow, make_window, read_clip
from avemotion.preprocessing.contract import FRAME_COUNT
from avemotion.preprocessing.execution import parallelism
from avemotion.preprocessing.face import Person, choose, crop_frames, crop_square, find_people, link
from avemotion.preprocessing.face_detector import FaceBox, faces_in
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.timeline import read_timeline
from loadtest import drawn_face
from tests.support.clips import synthetic_clip, without_face

UNSEEN = "No face was found."

WALL = (214, 220, 232)
DRAWN_HEIGHT = 0.58
"""Height of the drawn face as a fraction of the drawing's."""

Picture = npt.NDArray[np.uint8]


def drawings(width: int = 480, height: int = 270) -> list[Picture]:
    """Eight drawings of a talking face, at the middle."""
    return drawn_face.frames(width, height, 3.2)[::10][:FRAME_COUNT]


def as_frames(pictures: list[Picture]) -> list[Frame]:
    return [Frame.of(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")) for picture in pictures]


def placed(picture: Picture, scale: float, left: float, width: int = 480, height: int = 270) -> Picture:
    """A drawing on a wall, reduced and moved right by a fraction of the width."""
    moved = np.array([[scale, 0, left * width], [0, scale, 0.2 * height]], np.float32)
    return np.asarray(cv2.warpAffine(picture, moved, (width, height), flags=cv2.INTER_AREA, borderValue=WALL), np.uint8)


def box(left: float, side: float = 0.2, top: float = 0.3) -> FaceBox:
    return FaceBox(left, top, side, side)


@pytest.mark.parametrize("share", [0.08, 0.09, 0.15, 0.3, 0.5])
def test_a_face_is_found_from_8_percent_of_the_height_on(share: float) -> None:
    scale = share / DRAWN_HEIGHT
    frames = as_frames([placed(picture, scale, 0.3, 1920, 1080) for picture in drawings(1920, 1080)])
    [person] = find_people(frames)
    assert 0.7 < person.box.height / share < 1.4
    assert person.box.centre[0] == pytest.approx(0.3 + 0.5 * scale, abs=0.02)


@pytest.mark.parametrize("degrees", [-35, -20, 0, 20, 35])
def test_a_tilted_head_is_found(degrees: float) -> None:
    turn = cv2.getRotationMatrix2D((240, 132), degrees, 1)
    frames = [cv2.warpAffine(picture, turn, (480, 270), borderValue=WALL) for picture in drawings()]
    [person] = find_people(as_frames(frames))
    assert person.box.centre == pytest.approx((0.5, 0.49), abs=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (10, 30), (64, 200), (240, 320), (720, 1280)])
def test_frames_of_any_size_without_a_face_show_nobody(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    noise = cv2.GaussianBlur(random.integers(0, 256, (*shape, 3), np.uint8), (0, 0), 4)
    assert find_people(as_frames([noise] * FRAME_COUNT)) == []
    assert find_people(as_frames([np.full((*shape, 3), 127, np.uint8)] * FRAME_COUNT)) == []


@pytest.mark.parametrize("size", [(115, 32), (32, 302), (145, 28), (20, 20), (64, 64), (290, 24)])
def test_a_narrow_frame_gives_finite_boxes_and_the_same_ones_again(size: tuple[int, int]) -> None:
    [frame] = as_frames([cv2.resize(drawings()[0], size)])
    found = [faces_in(frame, 0) for _ in range(30)]
    assert all(boxes == found[0] for boxes in found)
    assert all(0 <= value <= 1 for boxes in found for each in boxes for value in vars(each).values())


def test_without_a_face_video_is_missing() -> None:
    clip = read_clip(synthetic_clip(picture=without_face))
    assert clip.present.tolist() == [False, True]
    assert clip.missing == {"video": UNSEEN}
    assert (clip.face, clip.faces) == (None, 0)
    assert not clip.frames.any()
    assert (clip.quality.face_height, clip.quality.brightness) == (None, None)


def test_with_neither_a_face_nor_sound_the_window_is_empty() -> None:
    clip = read_clip(synthetic_clip(picture=without_face, audio_codec=None))
    assert clip.present.tolist() == [False, False]
    assert clip.missing == {"video": UNSEEN, "audio": "The file has no audio track."}


def test_the_whole_frame_needs_no_face() -> None:
    clip = read_clip(synthetic_clip(audio_codec=None), crop="none")
    assert clip.present.tolist() == [True, False]
    assert (clip.face, clip.faces) == (None, 0)


def test_a_face_in_one_frame_only_counts_for_nothing() -> None:
    empty = np.full((270, 480, 3), WALL, np.uint8)
    frames = [drawings()[0] if index == 1 else empty for index in range(FRAME_COUNT)]
    assert find_people(as_frames(frames)) == []


@pytest.mark.parametrize("seen", [(1, 4), (1, 6), (4, 6)])
def test_a_person_whom_one_of_three_frames_does_not_show_is_found(seen: tuple[int, ...]) -> None:
    empty = np.full((270, 480, 3), WALL, np.uint8)
    pictures = [picture if index in seen else empty for index, picture in enumerate(drawings())]
    assert len(find_people(as_frames(pictures))) == 1


def test_a_large_spurious_box_in_one_frame_does_not_win() -> None:
    people = link({1: [box(0.1)], 4: [box(0.3, 0.7), box(0.1)], 6: [box(0.1)]})
    assert [person.boxes for person in people] == [{1: box(0.1), 4: box(0.1), 6: box(0.1)}]


def test_two_people_stay_apart_whatever_the_order_of_their_boxes() -> None:
    people = link({1: [box(0.1), box(0.35)], 4: [box(0.36), box(0.12)], 6: [box(0.14), box(0.37)]})
    assert sorted([found.left for found in person.boxes.values()] for person in people) == [
        [0.1, 0.12, 0.14],
        [0.35, 0.36, 0.37],
    ]


def test_the_person_seen_largest_and_most_often_is_chosen() -> None:
    often = Person({1: box(0.1), 4: box(0.1), 6: box(0.1)})
    large = Person({1: box(0.5, 0.4), 6: box(0.5, 0.4)})
    small = Person({1: box(0.5, 0.25), 6: box(0.5, 0.25)})
    assert choose([often, large]) is large
    assert choose([small, often]) is often


def test_the_person_before_is_followed_though_another_is_larger() -> None:
    one, larger = Person({1: box(0.1), 6: box(0.12)}), Person({1: box(0.5, 0.4), 6: box(0.5, 0.4)})
    assert choose([one, larger], follow=box(0.15)) is one
    assert choose([one, larger], follow=box(0.8, 0.1)) is larger


def test_one_box_serves_all_frames_of_a_person_who_hardly_moves() -> None:
    steady = Person({1: box(0.40), 4: box(0.44), 6: box(0.42)})
    assert {steady.box_at(index) for index in range(FRAME_COUNT)} == {box(0.42)}


def test_the_box_goes_along_with_a_person_who_walks() -> None:
    walking = Person({1: box(0.1), 4: box(0.25), 6: box(0.4)})
    lefts = [walking.box_at(index).left for index in range(FRAME_COUNT)]
    assert lefts == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.25, 0.325, 0.4, 0.4])


@pytest.mark.parametrize("cores", [1, 3])
def test_two_people_are_counted_and_one_is_shown_in_all_frames(cores: int) -> None:
    pictures = [
        np.hstack([placed(picture, 0.7, -0.1)[:, :240], placed(picture, 0.8, -0.15)[:, :240]]) for picture in drawings()
    ]
    with parallelism(cores):
        crops = crop_frames(as_frames(pictures), "face")
    assert crops.people == 2
    alone = crop_frames(as_frames([picture[:, 240:] for picture in pictures]), "face")
    assert crops.face is not None
    assert alone.face is not None
    assert crops.face.centre == pytest.approx((0.5 + alone.face.centre[0] / 2, alone.face.centre[1]), abs=0.02)


def test_a_timeline_follows_one_person_though_another_grows() -> None:
    def scene(index: int, width: int, height: int) -> Picture:
        left, right = 0.8 + 0.002 * index, 0.95 - 0.002 * index
        drawn = drawn_face.frames(width, height, 0.04)[0]
        return np.hstack(
            [placed(drawn, scale, 0.25 - 0.5 * scale, width, height)[:, : width // 2] for scale in (left, right)]
        )

    data = synthetic_clip(picture=scene, width=480, height=270, frame_times=range(0, 8000, 100), audio_seconds=8.0)
    windows = read_timeline(data, step=1.0).windows
    assert {window.faces for window in windows} == {2}
    assert {window.face is not None and window.face.left > 0.5 for window in windows} == {True}


@pytest.mark.parametrize("face", [FaceBox(0, 0, 1, 1), FaceBox(0, 0, 0.1, 0.1), FaceBox(0.95, 0.9, 0.05, 0.1)])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1, 1), (3, 200)])
def test_the_crop_lies_in_the_frame(face: FaceBox, size: tuple[int, int]) -> None:
    square = crop_square(face, *size)
    assert square.size >= 1
    assert square.left >= 0
    assert square.top >= 0
    assert square.left + square.size <= size[0]
    assert square.top + square.size <= size[1]


def test_a_window_without_frames_keeps_its_own_reason() -> None:
    window = make_window(DecodedWindow([], None, 0.0, 3.0, {"video": "The file has no video track."}), "face")
    assert window.missing == {"video": "The file has no video track."}
    assert window.faces == 0
