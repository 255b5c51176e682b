"""The protocol of all predictors, and the checks that they share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import FRAMES, INPUTS, LOG_MEL, OUTPUTS, PRESENT, CropMode
from avemotion.preprocessing.model_metadata import checked_crop, metrics_of
from gateway.deadlines import Deadline
from gateway.errors import ModelNotFoundError, ModelUnavailableError

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ModelChoice:
    """Which model a caller asks for.

    Attributes:
        name: Its name; None for the server's default.
        version: Its version; None for the newest that is ready.
    """

    name: str | None = None
    version: str | None = None


DEFAULT_CHOICE = ModelChoice()
"""The choice of a caller who asks for no model."""


@dataclass(frozen=True)
class ModelDescription:
    """What must be known of a model before a clip is decoded for it.

    Attributes:
        name: Name of the model.
        version: The version that was asked for; None for the newest that is ready.
        crop: How it wants frames to be cropped.
        max_batch_size: Most clips that it takes at once.
        metrics: Its figures from training; None if no version was asked for or the model carries none.
    """

    name: str
    version: str | None
    crop: CropMode
    max_batch_size: int
    metrics: dict[str, Any] | None = None


@dataclass(frozen=True)
class ServableModel:
    """A model that is ready and was made for this contract.

    Attributes:
        name: Its name.
        versions: Versions that are ready, oldest first.
        crop: How it wants frames to be cropped.
        metrics: Figures of its newest version from training, if it carries any.
    """

    name: str
    versions: tuple[str, ...]
    crop: CropMode
    metrics: dict[str, Any] | None


class Predictor(Protocol):
    """Computes predictions. Every method may be called by many requests at once.

    Attributes:
        default_model: Name of the model if the caller asks for none.
    """

    default_model: str

    async def start(self) -> None:
        """Prepare for predictions.

        Raises:
            ContractMismatchError: The model was made for another tensor contract.
            ModelFileError: The model cannot be loaded.
        """

    async def stop(self) -> None:
        """Release everything."""

    async def models(self, deadline: Deadline) -> list[ServableModel]:
        """The models that are ready and fit the contract, sorted by name.

        Raises:
            ModelUnavailableError: The server of the models does not answer.
        """

    async def describe(self, choice: ModelChoice, deadline: Deadline) -> ModelDescription:
        """What a model needs.

        Args:
            choice: The model that is asked for.
            deadline: When the result is no longer of use.

        Raises:
            ModelNotFoundError: There is no such model or version; the message lists those that are ready.
            ModelUnavailableError: The model does not answer.
            ContractMismatchError: The model was made for another tensor contract.
        """

    async def predict(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> ModelOutputs:
        """Run a model.

        Args:
            tensors: The contract's inputs by name, each with a leading batch dimension of any size.
            model: The model, as `describe` gave it.
            deadline: When the result is no longer of use.

        Raises:
            ModelUnavailableError: The model does not answer, or not in time.
        """


def description_of(
    name: str, version: str | None, metadata: Mapping[str, str], *, max_batch_size: int
) -> ModelDescription:
    """Check the metadata of a model.

    Raises:
        ContractMismatchError: It was made for another tensor contract, or does not name one.
    """
    crop = checked_crop(metadata, source=f"The model '{name}'")
    return ModelDescription(name, version, crop, max(1, max_batch_size), metrics_of(metadata, version))


def check_choice(choice: ModelChoice, default: str, models: list[ServableModel]) -> None:
    """Reject a choice that is not among the models that are ready.

    Raises:
        ModelNotFoundError: It is not among them; the message lists them.
    """
    name = choice.name or default
    found = next((model for model in models if model.name == name), None)
    if found is not None and choice.version in {None, *found.versions}:
        return
    wanted = f"model '{name}'" + (f" with version {choice.version}" if choice.version else "")
    listed = "; ".join(
        f"'{model.name}' with version{'s' * (len(model.versions) > 1)} {', '.join(model.versions)}" for model in models
    )
    raise ModelNotFoundError(f"There is no {wanted}; there {'is' if len(models) == 1 else 'are'} {listed or 'none'}.")


async def predict_in_chunks(
    run: Callable[[Tensors], Awaitable[ModelOutputs]], tensors: Tensors, model: ModelDescription
) -> ModelOutputs:
    """Run a model on a batch of any size, in chunks of its largest batch.

    Args:
        run: Runs the model on at most `model.max_batch_size` clips.
        tensors: The contract's inputs by name.
        model: The model.
    """
    batch, size = len(tensors[PRESENT.name]), model.max_batch_size
    parts = [
        await run({name: array[begin : begin + size] for name, array in tensors.items()})
        for begin in range(0, batch, size)
    ]
    if len(parts) == 1:
        return parts[0]
    arrays: dict[str, Any] = {
        spec.name: np.concatenate([getattr(part, spec.name) for part in parts]) for spec in OUTPUTS
    }
    return replace(parts[-1], **arrays)


def prediction_of(outputs: Mapping[str, npt.NDArray[Any] | None], model: str, model_version: str) -> ModelOutputs:
    """Check a model's outputs.

    Raises:
        ModelUnavailableError: An output is missing, has another shape, is not finite or is not a distribution.
    """
    try:
        return ModelOutputs.checked(outputs, model, model_version)
    except ValueError as error:
        raise ModelUnavailableError(str(error)) from error


def random_tensors(rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Random inputs of one clip, within the ranges of the contract."""
    tensors = {spec.name: spec.zeros() for spec in INPUTS}
    tensors[FRAMES.name] = rng.integers(0, 256, tensors[FRAMES.name].shape, np.uint8)
    tensors[LOG_MEL.name] = rng.uniform(-1, 1, tensors[LOG_MEL.name].shape).astype(LOG_MEL.dtype)
    tensors[PRESENT.name] = ~tensors[PRESENT.name]
    return tensors
