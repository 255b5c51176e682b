"""Voices get faces of their emotion, and no face is in two parts."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avemotion.preprocessing.contract import FRAMES, LABELS, LOG_MEL
from tests.support.caches import draw_faces
from tests.support.data import data_path
from training.data.cache import Cache
from training.data.fer2013 import FACE_SIDE, read_parts
from training.data.motion import moving_face
from training.data.pairing import TEST, TRAINING, VALIDATION, face_store, matching_faces
from training.data.samples import ClipSamples

PARTS = (TRAINING, VALIDATION, TEST)


@pytest.mark.parametrize("part", PARTS)
def test_a_voice_gets_faces_of_its_emotion_and_part_and_a_calm_voice_neutral_ones(part: int) -> None:
    faces = draw_faces(np.random.default_rng(0))
    for label, index in zip(LABELS, matching_faces(faces, part), strict=True):
        assert set(faces.labels[index].tolist()) == {LABELS.index("neutral" if label == "calm" else label)}
        assert set(faces.parts[index].tolist()) == {part}
        assert len(index) == 2


def test_a_part_without_faces_of_an_emotion_is_refused() -> None:
    faces = draw_faces(np.random.default_rng(0))
    faces.parts[(faces.labels == LABELS.index("sad")) & (faces.parts == VALIDATION)] = TRAINING
    with pytest.raises(ValueError, match="part 1 has no sad face for a sad voice"):
        matching_faces(faces, VALIDATION)


@pytest.mark.parametrize("part", PARTS)
def test_samples_show_faces_of_their_own_part_only(paired_cache: Cache, part: int) -> None:
    faces = paired_cache.faces
    assert faces is not None
    brightness = np.array([60, 130, 200], np.uint8)[faces.parts]
    plain = replace(faces, images=np.broadcast_to(brightness[:, None, None], faces.images.shape))
    clips = range(2 * len(LABELS))
    samples = ClipSamples(replace(paired_cache, faces=plain), np.array(clips), part)
    shown = {int(value) for place in clips for value in np.unique(samples.arrays(place)[FRAMES.name])}
    assert shown == {(60, 130, 200)[part]}


def test_held_out_samples_are_the_same_whenever_they_are_asked_for(paired_cache: Cache) -> None:
    first, second = (ClipSamples(paired_cache, np.arange(20), VALIDATION) for _ in range(2))
    for place in range(20):
        for name, value in first.arrays(place).items():
            assert np.array_equal(value, second.arrays(place)[name])


def test_a_later_epoch_gives_a_voice_another_face_and_motion(paired_cache: Cache) -> None:
    samples = ClipSamples(paired_cache, np.arange(4), TRAINING)
    first, second = samples.arrays(2), samples.arrays(2 + len(samples))
    assert not np.array_equal(first[FRAMES.name], second[FRAMES.name])
    assert np.array_equal(first[LOG_MEL.name], second[LOG_MEL.name])


def test_a_face_moves_smoothly_and_little() -> None:
    random = np.random.default_rng(0)
    picture = np.kron(random.integers(0, 256, (6, 6)), np.ones((8, 8))).astype(np.uint8)
    for seed in range(20):
        frames = moving_face(picture, np.random.default_rng(seed)).astype(float)
        steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
        assert frames.shape == FRAMES.shape
        assert 0 < steps.max() < 25


def test_copies_of_a_picture_never_straddle_parts(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (60, FACE_SIDE, FACE_SIDE), np.uint8)
    archive = tmp_path / "faces.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for number, picture in enumerate(pictures):
            encoded = cv2.imencode(".png", picture)[1].tobytes()
            files.writestr(f"Training/happy/{number}.jpg", encoded)
            files.writestr(f"Training/sad/{number} again.jpg", encoded)
            if number < 10:
                files.writestr(f"PublicTest/happy/{number}.jpg", encoded)
    training, validation, test = read_parts(archive)
    contents = [{picture.tobytes() for picture in part.images} for part in (training, validation, test)]
    assert [len(content) for content in contents] == [48, 2, 10]
    assert len(set.union(*contents)) == 60
    assert (len(training.labels), len(validation.labels)) == (96, 4)


@pytest.mark.slow
def test_real_faces_are_split_without_a_picture_in_two_parts() -> None:
    faces = face_store(data_path("fer2013.zip"))
    contents = [{picture.tobytes() for picture in faces.images[faces.parts == part]} for part in PARTS]
    assert not contents[0] & contents[1]
    assert not (contents[0] | contents[1]) & contents[2]
    assert [len(content) > 1000 for content in contents] == [True] * 3
