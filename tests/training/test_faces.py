"""The video branch learns faces whatever their shares, is averaged, and its training resumes exactly."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.support.caches import draw_faces
from training.checkpoint import load_weights
from training.data.faces import FACE_LABELS, FaceImages, fer2013_images
from training.data.fer2013 import LABEL_OF_CLASS, Faces
from training.faces import (
    EpochResult,
    FaceModel,
    FaceTraining,
    Recipe,
    Stage,
    adjusted_loss,
    class_log_prior,
    drawing_chances,
    predict_faces,
)
from training.network import EmotionNetwork, NetworkConfig
from training.pretrain_faces import main

STAGES = [Stage(32, 2), Stage(40, 1)]


def draw(each: int) -> FaceImages:
    """Some faces of every class in every part."""
    drawn = draw_faces(np.random.default_rng(0), each)
    names = [str(number) for number in range(len(drawn.labels))]
    return fer2013_images(Faces(drawn.images, drawn.labels, names))


def training_of(stages: list[Stage], *, batch_size: int = 7, workers: int = 0) -> FaceTraining:
    torch.manual_seed(0)
    recipe = Recipe(batch_size, learning_rate=0.02, average=0.5)
    return FaceTraining(FaceModel(), recipe, stages, seed=3, workers=workers)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_faces_are_learned_and_the_average_is_what_is_validated() -> None:
    faces = draw(8)
    torch.manual_seed(0)
    recipe = Recipe(14, learning_rate=0.05, average=0.5, mixup=0.0, dropout=0.0)
    training = FaceTraining(FaceModel(0.0), recipe, [Stage(32, 10)], seed=3)
    results = list(training.epochs(faces, faces))
    right = predict_faces(training.average, faces.cropped(32)).argmax(axis=1) == faces.targets.argmax(axis=1)
    assert [result.epoch for result in results] == list(range(1, 11))
    assert results[-1].loss < 0.8 * results[0].loss
    assert results[-1].validation_recall == pytest.approx(right.mean())
    assert right.mean() > 2 / 7  # twice what chance has


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_that_goes_on_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    faces = draw(2)
    whole = training_of(STAGES)
    expected = list(whole.epochs(faces, faces))
    for stop in (1, 2):
        interrupted = training_of(STAGES)
        found = list(islice(interrupted.epochs(faces, faces), stop))
        interrupted.save(tmp_path / "state.pt")
        resumed = training_of(STAGES, workers=stop)
        resumed.resume(tmp_path / "state.pt", faces)
        found += _all(resumed.epochs(faces, faces))
        assert found == expected
        for name, value in whole.average.state_dict().items():
            assert torch.equal(resumed.average.state_dict()[name], value), name


def test_a_state_of_other_stages_is_refused(tmp_path: Path) -> None:
    training_of(STAGES).save(tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"\(32, 2\), \(40, 1\).*not \[\(48, 1\)\].*--output"):
        training_of([Stage(48, 1)]).resume(tmp_path / "state.pt", draw(1))


def test_rare_classes_are_drawn_more_often_and_what_is_left_of_their_share_is_taken_from_the_logits() -> None:
    targets = np.repeat(np.eye(len(FACE_LABELS), dtype=np.float32), (64, 16, 4, 4, 4, 4, 4), axis=0)
    shares = targets.mean(axis=0)
    for balance, expected in ((0.0, shares), (0.5, np.sqrt(shares)), (1.0, np.ones(7))):
        log_prior = class_log_prior(targets, drawing_chances(targets, balance))
        np.testing.assert_allclose(log_prior.exp(), expected / expected.sum(), rtol=1e-5)


def test_a_network_that_sees_no_sign_of_emotion_is_taught_no_share_of_the_classes() -> None:
    targets = torch.eye(7).repeat_interleave(torch.tensor((64, 16, 4, 4, 4, 4, 4)), dim=0)
    logits = torch.zeros(7, requires_grad=True)
    (pull,) = torch.autograd.grad(adjusted_loss(logits.expand(100, 7), targets, targets.mean(dim=0).log()), logits)
    torch.testing.assert_close(pull, torch.zeros(7))


def test_the_command_writes_a_branch_that_loads_and_its_report(tmp_path: Path) -> None:
    archive = tmp_path / "fer2013.zip"
    random = np.random.default_rng(0)
    with zipfile.ZipFile(archive, "w") as files:
        for part, count in (("Training", 4), ("PublicTest", 1)):
            for name in LABEL_OF_CLASS:
                for number in range(count):
                    picture = random.integers(0, 256, (48, 48)).astype(np.uint8)
                    files.writestr(f"{part}/{name}/{number}.png", cv2.imencode(".png", picture)[1].tobytes())
    output = tmp_path / "runs"
    command = [str(archive), "--output", str(output), "--stages", "32x1,40x1", "--batch_size", "8"]
    main(command)
    report = json.loads((output / "faces.json").read_text())
    assert report["stages"] == ["32x1", "40x1"]
    assert report["faces"] == {"training": 27, "validation": 1}
    assert 0 <= report["last_epoch"]["validation_recall"] <= 1
    network = EmotionNetwork(NetworkConfig())
    assert "video.conv1.weight" in load_weights(output / "video.pt", network)
    main(command)
    assert json.loads((output / "faces.json").read_text()) == report


def _all(results: Iterator[EpochResult]) -> list[EpochResult]:
    return list(results)
