"""The image of training and export does what it is for, without root and without a network.

Built last and removed at once: with torch inside it is larger than all others together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avemotion.preprocessing.contract import INPUTS, OUTPUTS
from export.parity import open_session, random_inputs, run
from tests.containers.engine import Engine
from tests.containers.images import build, name_of
from tests.export.conftest import untrained_checkpoint
from tests.support.caches import synthetic_cache
from training.checkpoint import save_checkpoint
from training.data.splits import FOLDS
from training.network import NetworkConfig


@pytest.fixture(scope="module")
def image(engine: Engine, bases: dict[str, str]) -> Iterator[str]:
    assert bases
    build(engine, "training")
    yield name_of("training")
    engine.docker("image", "rm", name_of("training"))


def test_the_training_image_trains_without_root(engine: Engine, image: str) -> None:
    assert "--early_stopping_patience" in engine.docker("run", "--rm", "--network", "none", image)
    user = engine.docker("run", "--rm", "--network", "none", "--entrypoint", "id", image, "-u")
    assert user.strip() not in {"", "0"}


def test_a_checkpoint_that_the_training_image_exports_answers_as_it_does_here(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    checkpoint = untrained_checkpoint(NetworkConfig(fusion="concat"))
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    synthetic_cache(tmp_path / "cache", actors=range(1, FOLDS + 1))
    repository = tmp_path / "repository"
    repository.mkdir()
    engine.docker(
        *("run", "--rm", "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"),
        *("--volume", f"{tmp_path / 'best.pt'}:/checkpoint.pt:ro", "--volume", f"{tmp_path / 'cache'}:/cache:ro"),
        *("--volume", f"{repository}:/model_repository"),
        *(image, "export", "/checkpoint.pt", "--repository", "/model_repository", "--cache", "/cache"),
        *("--calibration-clips", "4", "--runs", "1", "--min-agreement", "0", "--max-accuracy-loss", "1"),
    )
    clips = random_inputs(2, (True, True), seed=3)
    found = run(open_session(repository / "emotion_fp32" / "1" / "model.onnx"), clips)
    with torch.inference_mode():
        expected = checkpoint.serving_network()(*(torch.from_numpy(clips[spec.name]) for spec in INPUTS))
    for spec, tensor in zip(OUTPUTS, expected, strict=True):
        np.testing.assert_allclose(found[spec.name], tensor.numpy(), rtol=0, atol=1e-4)
    assert (repository / "emotion_int8" / "1" / "model.onnx").is_file()
