"""Where a network's weights come from before training: ImageNet, branches trained alone, or an earlier checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch

from preprocessing.contract import LABELS
from preprocessing.errors import EmotionError, ModelFileError
from training.checkpoint import load_weights
from training.network import EmotionNetwork

IMAGENET_URL: Final = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
"""torchvision's `ResNet18_Weights.IMAGENET1K_V1`."""


class LeakError(EmotionError):
    """Weights were trained on people whom the run would test."""

    code = "split_leak"


def load_video_weights(network: EmotionNetwork, source: str) -> None:
    """Load ResNet18 weights in torchvision's format into the video branch.

    Args:
        network: Changed in place.
        source: `imagenet`, which is downloaded once, or a file.

    Raises:
        ModelFileError: The file is missing, cannot be downloaded, or holds other weights.
    """
    if source == "imagenet":
        try:
            weights = torch.hub.load_state_dict_from_url(IMAGENET_URL, map_location="cpu", check_hash=True)
        except OSError as error:
            raise ModelFileError(
                f"ImageNet's weights could not be downloaded ({error}): "
                f"fetch {IMAGENET_URL} elsewhere and give the file to --video_weights."
            ) from error
    else:
        weights = _read(Path(source))
    weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    try:
        network.video.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{source} does not hold torchvision's ResNet18: {reason}") from error


def start_from(network: EmotionNetwork, files: Iterable[Path], tested_actors: set[int]) -> list[str]:
    """Load branches or checkpoints into a network, later files over earlier ones.

    Args:
        network: Changed in place.
        files: What `training.checkpoint` wrote.
        tested_actors: Actors of the validation and test parts, where the split keeps actors apart.

    Returns:
        Names of the weights that were loaded.

    Raises:
        ModelFileError: A file cannot be read or does not fit.
        LeakError: A file was trained on one of the tested actors.
    """
    names: list[str] = []
    for file in files:
        names += load_weights(file, network)
        trained = set(training_actors(file))
        if trained & tested_actors:
            actors = ", ".join(map(str, sorted(trained & tested_actors)))
            raise LeakError(f"{file} was trained on actors whom this run validates or tests on: {actors}.")
    return names


def training_actors(file: Path) -> list[int]:
    """Actors whom a branch or a checkpoint was trained on, as far as it says."""
    data = _read(file)
    described = data.get("metrics", {}) | data.get("training", {})
    return list(described.get("training_actors", []))


def share_neutral_with_calm(network: EmotionNetwork) -> None:
    """Let a video classifier that knows no calm faces split what it calls neutral evenly between both."""
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    with torch.no_grad():
        network.video_classifier.weight[calm] = network.video_classifier.weight[neutral]
        network.video_classifier.bias[neutral] -= math.log(2)
        network.video_classifier.bias[calm] = network.video_classifier.bias[neutral]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist.")
    data = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(data, dict):
        raise ModelFileError(f"{path} holds no weights.")
    return data
