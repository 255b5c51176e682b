"""Images of faces are read with what people see in them, cut out as serving does, and changed as cameras do."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.errors import DamagedMediaError
from avemotion.preprocessing.frame import Square
from tests.support.data import data_path
from training.data.face_augmentation import augment, crop, random_crop
from training.data.faces import FACE_LABELS, VOTED, fer2013_images, folder_images, read_votes
from training.data.fer2013 import Faces

COLUMNS = ["zip_path", *VOTED, "contempt", "unknown", "NF"]


def write_votes(path: Path, rows: dict[str, dict[str, int]], columns: list[str] = COLUMNS) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, restval="0", extrasaction="ignore")
        table.writeheader()
        table.writerows({"zip_path": name} | votes for name, votes in rows.items())
    return path


def disc(side: int, centre: tuple[float, float], radius: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A white disc on black, antialiased."""
    picture = np.zeros((side, side), np.uint8)
    place = tuple(round(16 * value) for value in centre)
    return cv2.circle(picture, place, round(16 * radius), 255, -1, cv2.LINE_AA, 4).astype(np.uint8)  # type: ignore[no-any-return]


def test_votes_become_shares_and_pictures_that_most_could_not_read_are_left_out(tmp_path: Path) -> None:
    votes = read_votes(
        write_votes(
            tmp_path / "votes.csv",
            {
                "a": {"sadness": 6, "neutral": 2, "contempt": 2},
                "no face": {"NF": 6, "happiness": 4},
                "unknown": {"unknown": 5, "fear": 5},
                "contempt": {"contempt": 6, "anger": 4},
            },
        )
    )
    assert list(votes) == ["a"]
    shares = dict(zip(FACE_LABELS, votes["a"].tolist(), strict=True))
    assert shares == pytest.approx(dict.fromkeys(FACE_LABELS, 0.0) | {"sad": 0.75, "neutral": 0.25})


def test_votes_without_a_column_are_refused_by_its_name(tmp_path: Path) -> None:
    path = write_votes(tmp_path / "votes.csv", {}, [name for name in COLUMNS if name not in ("fear", "NF")])
    with pytest.raises(DamagedMediaError, match=r"votes\.csv lacks the columns NF, fear"):
        read_votes(path)


def test_targets_mix_votes_with_the_archives_own_label() -> None:
    faces = Faces(
        np.zeros((3, 48, 48), np.uint8), np.full(3, LABELS.index("fearful")), ["seen", "left out", "no votes"]
    )
    votes = np.zeros(7, np.float32)
    votes[FACE_LABELS.index("surprised")] = 1
    images = fer2013_images(faces, {"seen": votes, "left out": votes}, label_share=0.3, leave_out={"left out"})
    assert list(images.names) == ["seen"]
    target = dict(zip(FACE_LABELS, images.targets[0].tolist(), strict=True))
    assert target == pytest.approx(dict.fromkeys(FACE_LABELS, 0.0) | {"fearful": 0.3, "surprised": 0.7})
    assert images.labels.tolist() == [LABELS.index("surprised")]


def test_faces_of_a_folder_are_cut_out_as_in_serving_and_pictures_without_one_are_left_out(tmp_path: Path) -> None:
    portrait = next(iter(sorted(data_path("faces_web/happy").glob("*.jpg"))))
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "a.jpg").write_bytes(portrait.read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "happy" / "b.png"), noise)
    images = folder_images(tmp_path)
    assert list(images.names) == ["happy/a.jpg"]
    assert images.labels.tolist() == [LABELS.index("happy")]
    assert 0.3 * 224 < images.squares[0].size <= 224
    assert len(folder_images(tmp_path, detect=False)) == 2


def test_a_folder_without_labelled_faces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "joyful").mkdir()
    with pytest.raises(DamagedMediaError, match="no faces in folders named neutral, happy"):
        folder_images(tmp_path)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "sad").mkdir()
    (tmp_path / "sad" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DamagedMediaError, match=r"broken\.jpg is not an image"):
        folder_images(tmp_path)


def test_a_square_is_cut_out_where_it_lies() -> None:
    cut = crop(disc(200, (120.0, 90.0), 20.0), Square(70, 40, 100), 50)
    expected = disc(50, (24.75, 24.75), 10.0)
    assert cut.shape == (50, 50, 3)
    assert np.abs(cut[:, :, 0].astype(int) - expected).mean() < 3


def test_another_framing_moves_a_face_by_no_more_than_a_detector_does() -> None:
    random = np.random.default_rng(0)
    picture = disc(200, (100.0, 100.0), 25.0)
    areas, places = [], []
    for _ in range(200):
        moved = random_crop(picture, Square(50, 50, 100), 64, random)[:, :, 0].astype(float)
        rows, columns = np.mgrid[:64, :64]
        areas.append(moved.sum() / 255)
        places.append([(moved * each).sum() / moved.sum() / 64 for each in (rows, columns)])
    zoom = np.sqrt(np.array(areas) / (np.pi * 16**2))
    assert zoom.min() < 0.87
    assert zoom.max() > 1.15
    assert np.abs(np.log(zoom)).max() < 0.25
    assert 0.03 < np.std(places, axis=0).mean() < 0.07
    assert np.abs(np.array(places) - 0.5).max() < 0.2


def test_a_mirrored_face_is_as_frequent_as_an_unmirrored_one() -> None:
    random = np.random.default_rng(0)
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 255
    mirrored = [random_crop(left, Square(0, 0, 64), 64, random)[:, 32:].mean() > 127 for _ in range(200)]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_augment_pictures_are_still_like_the_picture_and_never_alike() -> None:
    random = np.random.default_rng(0)
    face = cv2.GaussianBlur(random.integers(0, 256, (112, 112, 3)).astype(np.uint8), (0, 0), 8)
    face = cv2.normalize(face, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    taken = [augment(face, random) for _ in range(60)]
    assert all(picture.shape == face.shape and picture.dtype == np.uint8 for picture in taken)
    alike = [np.corrcoef(face.mean(axis=2).ravel(), picture.mean(axis=2).ravel())[0, 1] for picture in taken]
    assert np.median(alike) > 0.8
    assert len({picture.tobytes() for picture in taken}) == len(taken)


def test_the_same_seed_makes_the_same_picture() -> None:
    face = np.random.default_rng(1).integers(0, 256, (48, 48)).astype(np.uint8)
    made = [
        augment(random_crop(face, Square(0, 0, 48), 112, random), random)
        for random in (np.random.default_rng(7), np.random.default_rng(7), np.random.default_rng(8))
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
