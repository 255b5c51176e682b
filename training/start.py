"""Initial weights of a network: ImageNet, pre-trained branches, a checkpoint or an exported model."""

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
    """Initial weights were trained on actors that the run validates or tests on."""

    code = "split_leak"


def load_video_weights(network: EmotionNetwork, source: str) -> None:
    """Load ResNet18 weights in torchvision's format into the video branch.

    Args:
        network: Changed in place.
        source: `imagenet`, which is downloaded once, or a file.

    Raises:
        ModelFileError: The file is missing, cannot be downloaded, or has other weights.
    """
    if source == "imagenet":
        try:
            weights = torch.hub.load_state_dict_from_url(IMAGENET_URL, map_location="cpu", check_hash=True)
        except OSError as error:
            raise ModelFileError(
                f"The ImageNet weights could not be downloaded ({error}); "
                f"download {IMAGENET_URL} on another machine and pass the file to --video_weights."
            ) from error
    else:
        weights = _read(Path(source))
    weights = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    try:
        network.video.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{source} does not contain torchvision's ResNet18: {reason}") from error


def start_from(
    network: EmotionNetwork, files: Iterable[Path], tested_actors: set[int], example: dict[str, Tensor] | None = None
) -> list[str]:
    """Load branches, checkpoints, or the branches of exported models into a network; later files override earlier ones.

    Args:
        network: Changed in place.
        files: Files written by `training.checkpoint`, or ONNX files.
        tested_actors: Actors of the validation and test parts; empty for a split that mixes actors.
        example: A training batch, which sets the statistics of the batch normalisations of exported models.

    Returns:
        Names of the loaded weights.

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
            raise LeakError(f"{file} was trained on actors that this run validates or tests on: {actors}.")
    return names


def training_actors(file: Path) -> list[int]:
    """Actors that a branch, a checkpoint or an exported model was trained on, if its metadata names them."""
    if file.suffix == ".onnx":
        return exported_training_actors(file)
    data = _read(file)
    described = data.get("metrics", {}) | data.get("training", {})
    return list(described.get("training_actors", []))


def share_neutral_with_calm(network: EmotionNetwork) -> None:
    """Make a video classifier without a calm class split neutral evenly into neutral and calm; repeatable."""
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    if torch.equal(network.video_classifier.weight[calm], network.video_classifier.weight[neutral]):
        return
    with torch.no_grad():
        network.video_classifier.weight[calm] = network.video_classifier.weight[neutral]
        network.video_classifier.bias[neutral] -= math.log(2)
        network.video_classifier.bias[calm] = network.video_classifier.bias[neutral]


def _load_branches(network: EmotionNetwork, file: Path, example: dict[str, Tensor] | None) -> list[str]:
    """Load both branches and their classifiers; return the names of the weights."""
    if example is None:
        raise ModelFileError(f"{file} is an exported model; loading it needs a batch of clips.")
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
        raise ModelFileError(f"{path} does not contain weights.")
    return data
