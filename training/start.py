"""Where a network's weights come from before training: ImageNet, branches trained alone, or an earlier checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from avemotion.preprocessing.contract import FRAMES, LABELS, LOG_MEL
from avemotion.preprocessing.errors import EmotionError, ModelFileError
from training.checkpoint import load_weights
from training.exported import exported_training_actors, load_exported
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


def start_from(
    network: EmotionNetwork, files: Iterable[Path], tested_actors: set[int], example: dict[str, Tensor] | None = None
) -> list[str]:
    """Load branches, checkpoints, or the branches of exported models into a network, later files over earlier ones.

    Args:
        network: Changed in place.
        files: What `training.checkpoint` wrote, or ONNX files.
        tested_actors: Actors of the validation and test parts, where the split keeps actors apart.
        example: A batch to train on, which gives the batch normalisations of exported models their statistics.

    Returns:
        Names of the weights that were loaded.

    Raises:
        ModelFileError: A file cannot be read or does not fit.
        LeakError: A file was trained on one of the tested actors.
    """
    names: list[str] = []
    for file in files:
        if file.suffix == ".onnx":
            names += _load_branches(network, file, example)
        else:
            names += load_weights(file, network)
        trained = set(training_actors(file))
        if trained & tested_actors:
            actors = ", ".join(map(str, sorted(trained & tested_actors)))
            raise LeakError(f"{file} was trained on actors whom this run validates or tests on: {actors}.")
    return names


def training_actors(file: Path) -> list[int]:
    """Actors whom a branch, a checkpoint or an exported model was trained on, as far as it says."""
    if file.suffix == ".onnx":
        return exported_training_actors(file)
    data = _read(file)
    described = data.get("metrics", {}) | data.get("training", {})
    return list(described.get("training_actors", []))


def share_neutral_with_calm(network: EmotionNetwork) -> None:
    """Let a video classifier that knows no calm faces split what it calls neutral evenly between both, once."""
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    if torch.equal(network.video_classifier.weight[calm], network.video_classifier.weight[neutral]):
        return
    with torch.no_grad():
        network.video_classifier.weight[calm] = network.video_classifier.weight[neutral]
        network.video_classifier.bias[neutral] -= math.log(2)
        network.video_classifier.bias[calm] = network.video_classifier.bias[neutral]


def _load_branches(network: EmotionNetwork, file: Path, example: dict[str, Tensor] | None) -> list[str]:
    """Both branches and their classifiers."""
    if example is None:
        raise ModelFileError(f"{file} is an exported model: starting from it takes a batch of clips.")
    runs: dict[str, Callable[[], object]] = {
        "video": lambda: network.encode_video(example[FRAMES.name]),
        "audio": lambda: network.encode_audio(example[LOG_MEL.name]),
        "video_classifier": lambda: None,
        "audio_classifier": lambda: None,
    }
    for name, run in runs.items():
        load_exported(network.get_submodule(name), file, name=name, run=run)
    return [name for name, _ in network.named_parameters() if name.startswith(tuple(f"{branch}." for branch in runs))]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist.")
    data = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(data, dict):
        raise ModelFileError(f"{path} holds no weights.")
    return data
