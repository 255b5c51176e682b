"""The video branch learns faces, is averaged, and its training resumes exactly after any epoch."""

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
from training.data.fer2013 import LABEL_OF_CLASS, Faces
from training.faces import CLASSES, EpochResult, FaceModel, FaceTraining, Recipe, Stage, accuracy, smoothed_targets
from training.network import EmotionNetwork, NetworkConfig
from training.pretrain_faces import main

STAGES = [Stage(32, 2), Stage(40, 1)]


def draw(each: int) -> Faces:
    """Some faces of every class in every part."""
    drawn = draw_faces(np.random.default_rng(0), each)
    return Faces(drawn.images, drawn.labels, [str(number) for number in range(len(drawn.labels))])


def training_of(stages: list[Stage], *, batch_size: int = 7) -> FaceTraining:
    torch.manual_seed(0)
    return FaceTraining(FaceModel(), Recipe(batch_size, learning_rate=0.02, average=0.5), stages, seed=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_faces_are_learned_and_the_average_is_what_is_validated() -> None:
    faces, training = draw(4), training_of([Stage(32, 10)], batch_size=14)
    results = list(training.epochs(faces, faces))
    assert [result.epoch for result in results] == list(range(1, 11))
    assert results[-1].loss < 0.8 * results[0].loss
    assert results[-1].validation_accuracy == accuracy(training.average, faces, 32) > 0.5


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
        resumed = training_of(STAGES)
        resumed.resume(tmp_path / "state.pt", faces)
        found += _all(resumed.epochs(faces, faces))
        assert found == expected
        for name, value in whole.average.state_dict().items():
            assert torch.equal(resumed.average.state_dict()[name], value), name


def test_a_state_of_other_stages_is_refused(tmp_path: Path) -> None:
    training_of(STAGES).save(tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"\(32, 2\), \(40, 1\).*not \[\(48, 1\)\].*--output"):
        training_of([Stage(48, 1)]).resume(tmp_path / "state.pt", draw(1))


def test_targets_are_of_the_seven_classes_and_sum_to_one() -> None:
    targets = smoothed_targets(torch.tensor(CLASSES), 0.14)
    torch.testing.assert_close(targets, 0.86 * torch.eye(7) + 0.02)


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
    assert 0 <= report["public_test_accuracy"] <= 1
    network = EmotionNetwork(NetworkConfig())
    assert "video.conv1.weight" in load_weights(output / "video.pt", network)
    main(command)
    assert json.loads((output / "faces.json").read_text()) == report


def _all(results: Iterator[EpochResult]) -> list[EpochResult]:
    return list(results)
