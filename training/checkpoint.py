"""Checkpoint files: weights, configuration, calibration, metrics and a description of the run.

They are read with PyTorch's weights-only loader, so that a file cannot run code, and written atomically.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from avemotion.preprocessing import contract
from avemotion.preprocessing.contract import CROP_MODES, CropMode
from avemotion.preprocessing.errors import ModelFileError
from training.network import EmotionNetwork, NetworkConfig, ServingNetwork, Temperatures

_FORMAT: Final = "audio-visual-emotion checkpoint 1"
_BRANCH_FORMAT: Final = "audio-visual-emotion branch 1"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and its metadata.

    Attributes:
        config: How to build the network.
        weights: Its state, by parameter name.
        crop: Crop mode of its clips, in training and serving.
        temperatures: Calibration of its probabilities.
        metrics: Results by part of the data, ready for JSON.
        training: Description of the run, ready for JSON: options, data, git commit.
    """

    config: NetworkConfig
    weights: dict[str, Tensor]
    crop: CropMode = "face"
    temperatures: Temperatures = field(default_factory=Temperatures)
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def network(self) -> EmotionNetwork:
        """The network with its weights, in evaluation mode.

        Raises:
            ModelFileError: The weights do not fit the configuration.
        """
        network = EmotionNetwork(self.config)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise ModelFileError(f"The checkpoint's weights do not fit its configuration: {error}") from error
        return network.eval()

    def serving_network(self) -> ServingNetwork:
        """The network in the form that is exported."""
        return ServingNetwork(self.network(), self.temperatures).eval()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint.

    Args:
        path: The file, e.g. `checkpoints/best.pt`; its folder is created.
        checkpoint: The checkpoint.
    """
    _save(
        path,
        {
            "format": _FORMAT,
            "contract": contract.parameters(),
            "config": asdict(checkpoint.config),
            "weights": checkpoint.weights,
            "crop": checkpoint.crop,
            "temperatures": asdict(checkpoint.temperatures),
            "metrics": checkpoint.metrics,
            "training": checkpoint.training,
        },
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: The file.

    Raises:
        ModelFileError: The file is missing, damaged, or not a checkpoint of this project.
        ContractMismatchError: It was trained for another tensor contract.
    """
    data = _load(path, (_FORMAT,), "a checkpoint of `python -m training.train`")
    missing = {"contract", "config", "weights", "crop", "temperatures", "metrics", "training"} - data.keys()
    if missing:
        raise ModelFileError(f"{path} lacks the entries {', '.join(sorted(missing))}.")
    contract.check_parameters(data["contract"], source=str(path))
    if data["crop"] not in CROP_MODES:
        raise ModelFileError(f"{path} has the crop mode {data['crop']!r}; expected {' or '.join(CROP_MODES)}.")
    try:
        config, temperatures = NetworkConfig(**data["config"]), Temperatures(**data["temperatures"])
    except TypeError as error:
        raise ModelFileError(f"{path} describes another network than this code builds: {error}.") from error
    return Checkpoint(config, data["weights"], data["crop"], temperatures, data["metrics"], data["training"])


def save_branch(path: Path, weights: dict[str, Tensor], metrics: dict[str, Any]) -> None:
    """Write the weights of one pre-trained branch, for `--init_from`.

    Args:
        path: The file.
        weights: State by the names it has in `EmotionNetwork`, e.g. `video.conv1.weight`.
        metrics: Results, ready for JSON.
    """
    _save(path, {"format": _BRANCH_FORMAT, "weights": weights, "metrics": metrics})


def is_branch(path: Path) -> bool:
    """Whether a file holds a pre-trained branch, not a whole checkpoint.

    Raises:
        ModelFileError: The file cannot be read, or is neither.
    """
    return bool(_load(path, (_BRANCH_FORMAT, _FORMAT), "weights of this network")["format"] == _BRANCH_FORMAT)


def load_weights(path: Path, network: EmotionNetwork) -> list[str]:
    """Copy the weights of a branch or of a whole checkpoint into a network.

    Args:
        path: A file of `save_branch` or `save_checkpoint`.
        network: Changed in place.

    Returns:
        Names of the copied weights.

    Raises:
        ModelFileError: The file cannot be read, or a weight does not fit the network.
    """
    weights: dict[str, Tensor] = _load(path, (_BRANCH_FORMAT, _FORMAT), "weights of this network")["weights"]
    own = network.state_dict()
    for name, value in weights.items():
        if name not in own or own[name].shape != value.shape:
            raise ModelFileError(
                f"{path} has the weight {name} of shape {list(value.shape)}, which does not fit the network."
            )
    network.load_state_dict(weights, strict=False)
    return sorted(weights)


def _save(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(data, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _load(path: Path, formats: tuple[str, ...], expected: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist; expected {expected}.")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"{path} is damaged or not a checkpoint: {(str(error) or 'it is empty').splitlines()[0]}"
        ) from error
    if not isinstance(data, dict) or data.get("format") not in formats:
        raise ModelFileError(f"{path} is not {expected}.")
    return data
