"""What every predictor offers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gateway.deadline import Deadline
from gateway.errors import ModelUnavailableError
from preprocessing.contract import (
    CROP_MODES,
    FRAMES,
    INPUTS,
    LOG_MEL,
    OUTPUTS,
    PRESENT,
    CropMode,
    check_parameters,
)
from preprocessing.errors import ContractMismatchError

Tensors = Mapping[str, npt.NDArray[Any]]

CONTRACT_KEY = "contract"
"""Key of the contract's JSON, in ONNX metadata and in Triton's model configuration alike."""

CROP_KEY = "crop"
"""Key of the crop mode beside it."""


@dataclass(frozen=True)
class ModelDescription:
    """What must be known of a model before a clip is decoded for it.

    Attributes:
        name: Name of the model.
        crop: How it wants frames to be cut.
    """

    name: str
    crop: CropMode


@dataclass(frozen=True)
class Prediction:
    """The outputs of the contract for one batch, and who computed them.

    Attributes:
        probabilities: float32 [batch, labels], each row summing to 1.
        logits: float32 [batch, labels].
        video_probabilities: float32 [batch, labels]; without meaning where there is no video.
        audio_probabilities: float32 [batch, labels]; without meaning where there is no audio.
        frame_attention: float32 [batch, frames], each row summing to 1.
        model: Name of the model.
        model_version: Its version.
    """

    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    video_probabilities: npt.NDArray[np.float32]
    audio_probabilities: npt.NDArray[np.float32]
    frame_attention: npt.NDArray[np.float32]
    model: str
    model_version: str


class Predictor(Protocol):
    """Computes predictions. Every method may be called by many requests at once."""

    async def start(self) -> None:
        """Get ready.

        Raises:
            ContractMismatchError: The model was made for other tensors.
            ModelFileError: The model cannot be loaded.
        """

    async def stop(self) -> None:
        """Release everything."""

    async def describe(self, deadline: Deadline) -> ModelDescription:
        """What the model wants.

        Raises:
            ModelUnavailableError: The model does not answer.
            ContractMismatchError: The model was made for other tensors.
        """

    async def predict(self, tensors: Tensors, deadline: Deadline) -> Prediction:
        """Run the model.

        Args:
            tensors: The contract's inputs by name, each with a leading batch dimension.
            deadline: When the result is of no more use.

        Raises:
            ModelUnavailableError: The model does not answer, or not in time.
        """


def description_of(name: str, metadata: Mapping[str, str]) -> ModelDescription:
    """Check what a model carries beside its graph.

    Args:
        name: Name of the model.
        metadata: The ONNX metadata or the parameters of Triton's model configuration.

    Raises:
        ContractMismatchError: It was made for other tensors, or does not say for which.
    """
    source = f"The model '{name}'"
    try:
        found = json.loads(metadata.get(CONTRACT_KEY, ""))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ContractMismatchError(f"{source} does not say which tensors it was made for; export it again.")
    check_parameters(found, source=source)
    crop = metadata.get(CROP_KEY, "")
    for mode in CROP_MODES:
        if crop == mode:
            return ModelDescription(name, mode)
    raise ContractMismatchError(f"{source} wants the crop mode '{crop}'; this code knows {', '.join(CROP_MODES)}.")


def prediction_of(outputs: Mapping[str, npt.NDArray[Any] | None], model: str, model_version: str) -> Prediction:
    """Check a model's outputs and give them their names.

    Raises:
        ModelUnavailableError: An output is missing, has another shape or holds no numbers.
    """
    arrays = {}
    for spec in OUTPUTS:
        array = outputs.get(spec.name)
        if array is None or array.dtype != spec.dtype or array.shape[1:] != spec.shape or not np.isfinite(array).all():
            raise ModelUnavailableError(f"The model '{model}' gave no usable output '{spec.name}'.")
        arrays[spec.name] = array
    return Prediction(**arrays, model=model, model_version=model_version)


def random_tensors(rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Inputs of one clip that does not exist, within the ranges of the contract."""
    tensors = {spec.name: spec.zeros() for spec in INPUTS}
    tensors[FRAMES.name] = rng.integers(0, 256, tensors[FRAMES.name].shape, np.uint8)
    tensors[LOG_MEL.name] = rng.uniform(-1, 1, tensors[LOG_MEL.name].shape).astype(LOG_MEL.dtype)
    tensors[PRESENT.name] = ~tensors[PRESENT.name]
    return tensors
