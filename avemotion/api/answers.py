"""From a model's outputs to an answer: the only place that rounds, picks the top label and names what is missing.

The gateway and the clients that run a model without it call these functions, so that all give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avemotion.api.predictions import ClipPrediction, Modalities, TopLabel, is_uncertain
from avemotion.api.timeline import TimelineRow
from avemotion.preprocessing.contract import LABELS, MODALITIES, OUTPUTS, PROBABILITIES

_PERCENT_DECIMALS = 4
_ATTENTION_DECIMALS = 6
_QUALITY_DECIMALS = 4
_SECONDS_DECIMALS = 3
_MILLISECONDS_DECIMALS = 2

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ModelOutputs:
    """The outputs of the contract for one batch, and the model that computed them.

    Attributes:
        probabilities: float32 [batch, labels], each row summing to 1.
        logits: float32 [batch, labels].
        video_probabilities: float32 [batch, labels]; without meaning if there is no video.
        audio_probabilities: float32 [batch, labels]; without meaning if there is no audio.
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

    @classmethod
    def checked(cls, outputs: Mapping[str, npt.NDArray[Any] | None], model: str, model_version: str) -> Self:
        """Check a model's outputs.

        Args:
            outputs: Arrays by the names of the contract.
            model: Name of the model.
            model_version: Its version.

        Raises:
            ValueError: An output is missing, has another shape or dtype, is not finite, or is not a distribution.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        for spec in OUTPUTS:
            array = outputs.get(spec.name)
            if (
                array is None
                or array.dtype != spec.dtype
                or array.shape[1:] != spec.shape
                or not np.isfinite(array).all()
            ):
                raise ValueError(f"The model '{model}' gave no usable output '{spec.name}'.")
            arrays[spec.name] = array
        probabilities = arrays[PROBABILITIES.name]
        if probabilities.min() < 0 or np.abs(probabilities.sum(axis=-1) - 1).max() > _SUM_TOLERANCE:
            raise ValueError(f"The model '{model}' gave '{PROBABILITIES.name}' that are not a distribution.")
        return cls(**arrays, model=model, model_version=model_version)


def clip_prediction(
    outputs: ModelOutputs,
    row: int,
    *,
    present: Iterable[bool],
    missing: Mapping[str, str],
    face: Mapping[str, float] | None,
    quality: Mapping[str, float | None],
) -> ClipPrediction:
    """The answer for one clip.

    Args:
        outputs: The model's outputs for a batch.
        row: Position of the clip in the batch.
        present: Whether the clip has video, whether it has audio.
        missing: For each missing modality, the reason.
        face: The box around the face by side, as fractions of the frame; None if none was found or looked for.
        quality: Quality of image and sound, by the names of `QualitySchema`.

    Raises:
        pydantic.ValidationError: The outputs are not probabilities; `ModelOutputs.checked` finds that out before.
    """
    modalities = _modalities(present)
    fields: dict[str, Any] = {
        "labels": list(LABELS),
        **_scores(outputs, row),
        "model": outputs.model,
        "model_version": outputs.model_version,
        "modalities": modalities,
        "missing": missing,
        "face": face,
        "quality": {
            name: None if value is None else round(value, _QUALITY_DECIMALS) for name, value in quality.items()
        },
        "video_probs": _percentages(outputs.video_probabilities[row]) if modalities.video else None,
        "audio_probs": _percentages(outputs.audio_probabilities[row]) if modalities.audio else None,
        "frame_attention": [round(value, _ATTENTION_DECIMALS) for value in outputs.frame_attention[row].tolist()]
        if modalities.video
        else None,
    }
    return ClipPrediction.model_validate(fields)


def timeline_row(outputs: ModelOutputs, row: int, *, start: float, end: float, present: Iterable[bool]) -> TimelineRow:
    """The answer for one window of a timeline.

    Args:
        outputs: The model's outputs for a batch of windows.
        row: Position of the window in the batch.
        start: Start of the window, in seconds.
        end: End of the window, in seconds.
        present: Whether the window has video, whether it has audio.
    """
    return TimelineRow(
        start=round(start, _SECONDS_DECIMALS),
        end=round(end, _SECONDS_DECIMALS),
        **_scores(outputs, row),
        modalities=_modalities(present),
    )


def milliseconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Times by stage in milliseconds, rounded as answers give them."""
    return {stage: round(1000 * value, _MILLISECONDS_DECIMALS) for stage, value in seconds.items()}


def _scores(outputs: ModelOutputs, row: int) -> dict[str, Any]:
    """The fields `probs`, `top1` and `uncertain` of one row."""
    probabilities = outputs.probabilities[row]
    probs = _percentages(probabilities)
    top = probs.index(max(probs))
    return {
        "probs": probs,
        "top1": TopLabel(label=LABELS[top], prob=probs[top]),
        "uncertain": is_uncertain(probabilities.tolist()),
    }


def _modalities(present: Iterable[bool]) -> Modalities:
    return Modalities(**dict(zip(MODALITIES, present, strict=True)))


def _percentages(probabilities: npt.NDArray[np.float32]) -> list[float]:
    """Probabilities in percent, without the noise of float32."""
    # For eight numbers plain Python is faster than numpy.
    return [round(100 * value, _PERCENT_DECIMALS) for value in probabilities.tolist()]
