"""Straight to Triton: the clip becomes tensors on this machine, and 300 KB of them travel over gRPC.

This needs no gateway, and shows what direct clients in any language do. A model that was made for other tensors than
`avemotion.preprocessing` computes is rejected.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydantic import Field

from avemotion.api.predictions import ClipPrediction
from avemotion.client.errors import RefusedError, UnexpectedAnswerError, UnreachableError, needs_extra
from avemotion.preprocessing.contract import INPUTS, OUTPUTS, CropMode
from avemotion.preprocessing.model_metadata import checked_crop

with needs_extra("triton"):
    import numpy as np
    import numpy.typing as npt
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException, np_to_triton_dtype

    from avemotion.api.answers import ModelOutputs, Observation, clip_prediction, milliseconds
    from avemotion.preprocessing.clip import read_clip

MODEL: Final = "emotion_int8"
_OFFLINE: Final = {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"}


class DirectPrediction(ClipPrediction):
    """A prediction without a gateway, and the time that it took."""

    timings_ms: dict[str, float] = Field(description="Time by stage, in milliseconds: `decode` and `inference`.")


class TritonClient:
    """Client of one model of a Triton server. Use it as a context manager."""

    def __init__(self, address: str, *, model: str = MODEL, version: str = "", timeout: float = 10.0) -> None:
        """Prepare; the first call connects.

        Args:
            address: Host and port of Triton's gRPC service.
            model: Name of the model.
            version: Its version; the newest if empty.
            timeout: Longest time for one answer, in seconds.
        """
        self._address = address
        self._model = model
        self._version = version
        self._timeout = timeout
        self._client = InferenceServerClient(address)
        self._crop: CropMode | None = None

    def predict(self, clip: bytes | str | PathLike[str]) -> DirectPrediction:
        """Estimate which emotion a clip expresses.

        Raises:
            MediaError: The clip cannot be read.
            ContractMismatchError: The model was made for other tensors.
            UnreachableError: No connection, or no answer in time.
            RefusedError: Triton answered with an error.
        """
        return self.predict_many([clip])[0]

    def predict_many(self, clips: Sequence[bytes | str | PathLike[str]]) -> list[DirectPrediction]:
        """Predict several clips in one batch, as many as the model's configuration allows."""
        begin = time.perf_counter()
        crop = self.crop()
        decoded = [read_clip(clip if isinstance(clip, bytes) else Path(clip), crop=crop) for clip in clips]
        tensors = {spec.name: np.concatenate([clip.tensors()[spec.name] for clip in decoded]) for spec in INPUTS}
        between = time.perf_counter()
        outputs = self.infer(tensors)
        timings = milliseconds({"decode": between - begin, "inference": time.perf_counter() - between})
        predictions = []
        for row, clip in enumerate(decoded):
            face = None if clip.face is None else vars(clip.face)
            seen = Observation(clip.present.tolist(), clip.missing, face, clip.faces, vars(clip.quality))
            prediction = clip_prediction(outputs, row, seen)
            predictions.append(DirectPrediction(**dict(prediction), timings_ms=timings))
        return predictions

    def infer(self, tensors: Mapping[str, npt.NDArray[Any]]) -> ModelOutputs:
        """Run the model on tensors of the contract.

        Args:
            tensors: The contract's inputs by name, each with a leading batch dimension.

        Raises:
            UnreachableError: No connection, or no answer in time.
            RefusedError: Triton answered with an error.
            UnexpectedAnswerError: The outputs are not those of the contract.
        """
        inputs = []
        for spec in INPUTS:
            tensor = InferInput(spec.name, tensors[spec.name].shape, np_to_triton_dtype(tensors[spec.name].dtype))
            tensor.set_data_from_numpy(tensors[spec.name])
            inputs.append(tensor)
        try:
            result = self._client.infer(
                self._model,
                inputs,
                model_version=self._version,
                outputs=[InferRequestedOutput(spec.name) for spec in OUTPUTS],
                client_timeout=self._timeout,
            )
        except InferenceServerException as error:
            raise self._failure(error) from error
        outputs = {spec.name: result.as_numpy(spec.name) for spec in OUTPUTS}
        try:
            return ModelOutputs.checked(outputs, self._model, str(result.get_response().model_version))
        except ValueError as error:
            raise UnexpectedAnswerError(str(error)) from error

    def crop(self) -> CropMode:
        """How the model wants frames to be cut; the first call also checks its contract.

        Raises:
            ContractMismatchError: It was made for other tensors, or does not say for which.
        """
        if self._crop is None:
            try:
                response = self._client.get_model_config(self._model, self._version, client_timeout=self._timeout)
            except InferenceServerException as error:
                raise self._failure(error) from error
            parameters = {name: value.string_value for name, value in response.config.parameters.items()}
            self._crop = checked_crop(parameters, source=f"The model '{self._model}'")
        return self._crop

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _failure(self, error: InferenceServerException) -> UnreachableError | RefusedError:
        status = str(error.status() or "")
        words = str(error.message() or error).rstrip(".")
        if status in _OFFLINE or "timeout expired" in words.lower():
            return UnreachableError(f"Triton at {self._address} cannot be reached, or is too slow: {words}.")
        code = status.removeprefix("StatusCode.").lower() or "triton_error"
        return RefusedError(f"Triton at {self._address} refused: {words}.", code=code)
