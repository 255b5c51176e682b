"""From the model's arrays to JSON: the one path, whatever endpoint answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.api.predictions import Modalities, TopLabel
from avemotion.preprocessing.contract import LABELS, MODALITIES
from avemotion.preprocessing.uncertainty import is_uncertain
from gateway.decode.messages import DecodedMedia
from gateway.predict import Prediction

_PERCENT_DECIMALS = 4
_ATTENTION_DECIMALS = 6


def clip_fields(media: DecodedMedia, prediction: Prediction, row: int) -> dict[str, Any]:
    """The fields of `ClipPrediction`, from which each endpoint makes its own answer.

    Args:
        media: What was decoded.
        prediction: The model's outputs for a batch.
        row: Which clip of the batch.
    """
    window = media.windows[0]
    modalities = modalities_of(media.tensors["present"][0].tolist())
    return scores(prediction, row) | {
        "labels": list(LABELS),
        "model": prediction.model,
        "model_version": prediction.model_version,
        "modalities": modalities,
        "missing": window.missing,
        "face": window.face,
        "quality": window.quality,
        "video_probs": percentages(prediction.video_probabilities[row]) if modalities.video else None,
        "audio_probs": percentages(prediction.audio_probabilities[row]) if modalities.audio else None,
        "frame_attention": [round(value, _ATTENTION_DECIMALS) for value in prediction.frame_attention[row].tolist()]
        if modalities.video
        else None,
    }


def scores(prediction: Prediction, row: int) -> dict[str, Any]:
    """The fields `probs`, `top1` and `uncertain` of one clip.

    Args:
        prediction: The model's outputs for a batch.
        row: Which clip of the batch.
    """
    probabilities = percentages(prediction.probabilities[row])
    top = probabilities.index(max(probabilities))
    return {
        "probs": probabilities,
        "top1": TopLabel(label=LABELS[top], prob=probabilities[top]),
        "uncertain": is_uncertain(prediction.probabilities[row]),
    }


def modalities_of(present: Iterable[bool]) -> Modalities:
    """What the model was given.

    Args:
        present: Is there video, is there audio.
    """
    return Modalities(**dict(zip(MODALITIES, present, strict=True)))


def percentages(probabilities: npt.NDArray[np.float32]) -> list[float]:
    """Probabilities in percent, without the noise of float32."""
    # For eight numbers plain Python is faster than numpy.
    return [round(100 * value, _PERCENT_DECIMALS) for value in probabilities.tolist()]


def milliseconds(seconds: dict[str, float]) -> dict[str, float]:
    """Times of stages in milliseconds, as answers give them."""
    return {stage: round(1000 * value, 2) for stage, value in seconds.items()}
