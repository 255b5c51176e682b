"""Straight to Triton: the clip becomes tensors on this machine, and 300 KB of them travel over gRPC.

It needs no gateway, shows what direct clients in any language do, and is refused a model that was made for other
tensors than `preprocessing` computes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from avemotion.client.answers import Prediction, Top
from avemotion.client.errors import RefusedError, UnreachableError
from avemotion.preprocessing.clip import Clip, read_clip
from avemotion.preprocessing.contract import (
    AUDIO_PROBABILITIES,
    FRAME_ATTENTION,
    INPUTS,
    LABELS,
    MODALITIES,
    OUTPUTS,
    PROBABILITIES,
    VIDEO_PROBABILITIES,
    CropMode,
)
from avemotion.preprocessing.model_metadata import checked_crop
from avemotion.preprocessing.uncertainty import is_uncertain

MODEL = "emotion_int8"
Array = npt.NDArray[Any]

_OFFLINE = {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"}


class TritonClient:
    """Asks one model of a Triton server. Use it as a context manager."""

    def __init__(self, address: str, *, model: str = MODEL, version: str = "", timeout: float = 10.0) -> None:
        """Prepare; the first call connects.

        Args:
            address: Host and port of Triton's gRPC service.
            model: Name of the model.
            version: Its version; the newest where empty.
            timeout: Longest time for one answer, in seconds.
        """
        self._address = address
        self._model = model
        self._version = version
        self._timeout = timeout
        self._client = InferenceServerClient(address)
        self._crop: CropMode | None = None

    def predict(self, clip: bytes | str | PathLike[str]) -> Prediction:
        """Estimate which emotion a clip expresses.

        Raises:
            MediaError: The clip cannot be read.
            ContractMismatchError: The model was made for other tensors.
            UnreachableError: There is no Triton, or it is too slow.
            RefusedError: Triton says why not.
        """
        return self.predict_many([clip])[0]

    def predict_many(self, clips: Sequence[bytes | str | PathLike[str]]) -> list[Prediction]:
        """The same for several clips in one batch, as many as the model's configuration allows."""
        begin = time.perf_counter()
        crop = self.crop()
        decoded = [read_clip(clip if isinstance(clip, bytes) else Path(clip), crop=crop) for clip in clips]
        tensors = {spec.name: np.concatenate([clip.tensors()[spec.name] for clip in decoded]) for spec in INPUTS}
        between = time.perf_counter()
        outputs, version = self.infer(tensors)
        end = time.perf_counter()
        timings = {"decode": 1000 * (between - begin), "inference": 1000 * (end - between)}
        return [self._prediction(clip, outputs, row, version, timings) for row, clip in enumerate(decoded)]

    def infer(self, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
        """Run the model on tensors of the contract.

        Args:
            tensors: The contract's inputs by name, each with a leading batch dimension.

        Returns:
            The contract's outputs by name, and the version of the model that answered.
        """
        inputs = []
        for spec in INPUTS:
            tensor = InferInput(spec.name, tensors[spec.name].shape, spec.triton_dtype)
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
        outputs = {spec.name: cast(Array, result.as_numpy(spec.name)) for spec in OUTPUTS}
        return outputs, str(result.get_response().model_version)

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

    def _prediction(
        self, clip: Clip, outputs: Mapping[str, Array], row: int, version: str, timings: dict[str, float]
    ) -> Prediction:
        present = dict(zip(MODALITIES, clip.present.tolist(), strict=True))
        percentages = (100 * outputs[PROBABILITIES.name][row].astype(float)).tolist()
        top = int(np.argmax(percentages))
        face = clip.face
        return Prediction(
            labels=list(LABELS),
            probs=percentages,
            top1=Top(label=LABELS[top], prob=percentages[top]),
            uncertain=is_uncertain(outputs[PROBABILITIES.name][row]),
            modalities=present,
            missing=clip.missing,
            face=None if face is None else vars(face),
            quality=clip.quality.rounded(),
            video_probs=_percent(outputs[VIDEO_PROBABILITIES.name][row], present["video"]),
            audio_probs=_percent(outputs[AUDIO_PROBABILITIES.name][row], present["audio"]),
            frame_attention=outputs[FRAME_ATTENTION.name][row].tolist() if present["video"] else None,
            model=self._model,
            model_version=version,
            timings_ms=timings,
        )

    def _failure(self, error: InferenceServerException) -> UnreachableError | RefusedError:
        status = str(error.status() or "")
        words = str(error.message() or error).rstrip(".")
        if status in _OFFLINE or "timeout expired" in words.lower():
            return UnreachableError(f"Triton at {self._address} cannot be reached, or is too slow: {words}.")
        code = status.removeprefix("StatusCode.").lower() or "triton_error"
        return RefusedError(f"Triton at {self._address} refused: {words}.", code=code)


def _percent(probabilities: Array, present: bool) -> list[float] | None:
    return (100 * probabilities.astype(float)).tolist() if present else None
