"""From a model's outputs to an answer: the only place that rounds, picks the top label and names what is missing.

The gateway and the clients that run a model without it call these functions, so that all give the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from avemotion.api.predictions import ClipPrediction, TopLabel, is_uncertain
from avemotion.api.timeline import TimelineRow
from avemotion.preprocessing.contract import (
    EVIDENCE,
    LABELS,
    LOWEST_EVIDENCE,
    MODALITIES,
    NOT_FOUND,
    OUTPUTS,
    PROBABILITIES,
)
from avemotion.preprocessing.errors import NobodyFoundError

_PERCENT_DECIMALS = 4
_ATTENTION_DECIMALS = 6
_QUALITY_DECIMALS = 4
_SECONDS_DECIMALS = 3
_MILLISECONDS_DECIMALS = 2

_EVIDENCE_DECIMALS = 4

_SUM_TOLERANCE = 1e-3

_OF_FACES: Final = {"face_height", "brightness"}
"""Measures of the face's crop."""


@dataclass(frozen=True)
class ModelOutputs:
    """The outputs of the contract for one batch, and the model that computed them.

    Attributes:
        probabilities: float32 [batch, labels], each row summing to 1.
        logits: float32 [batch, labels].
        video_probabilities: float32 [batch, labels]; without meaning if there is no video.
        audio_probabilities: float32 [batch, labels]; without meaning if there is no audio.
        frame_attention: float32 [batch, frames], each row summing to 1.
        evidence: float32 [batch, 2] in [0, 1]: of a face, of a voice; 0 for what is not present.
        model: Name of the model.
        model_version: Its version.
    """

    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    video_probabilities: npt.NDArray[np.float32]
    audio_probabilities: npt.NDArray[np.float32]
    frame_attention: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]
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
        evidence = arrays[EVIDENCE.name]
        if evidence.min() < 0 or evidence.max() > 1:
            raise ValueError(f"The model '{model}' gave '{EVIDENCE.name}' outside 0 to 1.")
        return cls(**arrays, model=model, model_version=model_version)


@dataclass(frozen=True)
class Observation:
    """What decoding found out about a window, beside the tensors.

    Attributes:
        present: Whether there is video, whether there is audio.
        missing: For each modality that is not present, the reason.
        face: The box around the face by side, as fractions of the frame; None if none was found or looked for.
        faces: Number of people seen.
        quality: Quality of image and sound, by the names of `QualitySchema`.
    """

    present: Sequence[bool]
    missing: Mapping[str, str]
    face: Mapping[str, float] | None
    faces: int
    quality: Mapping[str, float | None]


def clip_prediction(outputs: ModelOutputs, row: int, seen: Observation) -> ClipPrediction:
    """The answer for one clip.

    Args:
        outputs: The model's outputs for a batch.
        row: Position of the clip in the batch.
        seen: What decoding found out about the clip.

    Raises:
        NobodyFoundError: There is neither a face nor a voice.
        pydantic.ValidationError: The outputs are not probabilities; `ModelOutputs.checked` finds that out before.
    """
    found = _found(outputs, row, seen)
    missing = {name: seen.missing.get(name, NOT_FOUND[name]) for name in MODALITIES if name not in found}
    if not found:
        raise NobodyFoundError(f"Nobody was seen or heard. {' '.join(missing.values())}")
    video, audio = ("video" in found), ("audio" in found)
    fields: dict[str, Any] = {
        "labels": list(LABELS),
        **_scores(outputs, row, found),
        "model": outputs.model,
        "model_version": outputs.model_version,
        **_basis(outputs, row, found, seen),
        "missing": missing,
        "note": _note(seen.faces, voice=audio) if video else None,
        "video_probs": _percentages(outputs.video_probabilities[row]) if video else None,
        "audio_probs": _percentages(outputs.audio_probabilities[row]) if audio else None,
        "frame_attention": [round(value, _ATTENTION_DECIMALS) for value in outputs.frame_attention[row].tolist()]
        if video
        else None,
    }
    return ClipPrediction.model_validate(fields)


def timeline_row(outputs: ModelOutputs, row: int, seen: Observation, *, start: float, end: float) -> TimelineRow:
    """The answer for one window of a timeline; without scores if there is neither a face nor a voice.

    Args:
        outputs: The model's outputs for a batch of windows.
        row: Position of the window in the batch.
        seen: What decoding found out about the window.
        start: Start of the window, in seconds.
        end: End of the window, in seconds.
    """
    found = _found(outputs, row, seen)
    return TimelineRow(
        start=round(start, _SECONDS_DECIMALS),
        end=round(end, _SECONDS_DECIMALS),
        **(_scores(outputs, row, found) if found else {"probs": None, "top1": None, "uncertain": True}),
        **_basis(outputs, row, found, seen),
    )


def milliseconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Times by stage in milliseconds, rounded as answers give them."""
    return {stage: round(1000 * value, _MILLISECONDS_DECIMALS) for stage, value in seconds.items()}


def _found(outputs: ModelOutputs, row: int, seen: Observation) -> dict[str, float]:
    """The modalities that were used, with their evidence."""
    evidence = outputs.evidence[row].tolist()
    return {
        name: value
        for name, value, present in zip(MODALITIES, evidence, seen.present, strict=True)
        if present and value >= LOWEST_EVIDENCE
    }


def _basis(outputs: ModelOutputs, row: int, found: Mapping[str, float], seen: Observation) -> dict[str, Any]:
    """The fields that say what an answer is based on. What turned out to be no face has no box and no measures."""
    video = "video" in found
    evidence = zip(outputs.evidence[row].tolist(), seen.present, strict=True)
    face, voice = (round(value, _EVIDENCE_DECIMALS) if present else None for value, present in evidence)
    quality = {
        name: None if value is None or (name in _OF_FACES and not video) else round(value, _QUALITY_DECIMALS)
        for name, value in seen.quality.items()
    }
    return {
        "modalities": {name: name in found for name in MODALITIES},
        "evidence": {"face": face, "voice": voice},
        "face": seen.face if video else None,
        "faces": seen.faces if video else 0,
        "quality": quality,
    }


def _note(faces: int, *, voice: bool) -> str | None:
    if faces < 2:
        return None
    if voice:
        return f"{faces} people were seen: the voice may belong to someone else."
    return f"{faces} people were seen: the answer is about the most prominent one."


def _scores(outputs: ModelOutputs, row: int, found: Mapping[str, float]) -> dict[str, Any]:
    """The fields `probs`, `top1` and `uncertain` of one row, of which some modalities were used."""
    probabilities = outputs.probabilities[row]
    probs = _percentages(probabilities)
    top = probs.index(max(probs))
    return {
        "probs": probs,
        "top1": TopLabel(label=LABELS[top], prob=probs[top]),
        "uncertain": is_uncertain(probabilities.tolist(), found.values()),
    }


def _percentages(probabilities: npt.NDArray[np.float32]) -> list[float]:
    """Probabilities in percent, without the noise of float32."""
    # For eight numbers plain Python is faster than numpy.
    return [round(100 * value, _PERCENT_DECIMALS) for value in probabilities.tolist()]
