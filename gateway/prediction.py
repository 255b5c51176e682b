"""From a clip's bytes to the answer: the one path that every endpoint goes."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from gateway.deadline import Deadline
from gateway.decode_worker import Decoded
from gateway.predictors import Prediction
from gateway.schemas import FaceSchema, Modalities, PredictResponse, Timings, TopLabel
from gateway.services import Services
from preprocessing.contract import LABELS, MODALITIES, PRESENT

_PERCENT_DECIMALS = 4
_ATTENTION_DECIMALS = 6


async def predict_clip(
    data: bytes, services: Services, deadline: Deadline, *, request_id: str, upload_seconds: float
) -> PredictResponse:
    """Decode a clip, run the model, and say what came out.

    Args:
        data: The file's bytes.
        services: The running gateway.
        deadline: When the answer is of no more use.
        request_id: Id of the request.
        upload_seconds: How long the upload took, in seconds.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    settings, predictor = services.settings, services.predictor
    model = await predictor.describe(deadline.within(settings.inference_timeout))
    result = await services.pool.decode(data, model.crop, deadline)
    decoded_at = time.perf_counter()
    prediction = await predictor.predict(result.decoded.tensors, deadline.within(settings.inference_timeout))
    services.readiness.answered(prediction)
    end = time.perf_counter()
    seconds = {
        "upload": upload_seconds,
        "queue": result.queue_seconds,
        "decode": result.decoded.seconds,
        "inference": end - decoded_at,
        "total": upload_seconds + end - begin,
    }
    services.metrics.observe_stages(seconds)
    return _response(result.decoded, prediction, seconds, request_id)


def _response(decoded: Decoded, prediction: Prediction, seconds: dict[str, float], request_id: str) -> PredictResponse:
    present = dict(zip(MODALITIES, decoded.tensors[PRESENT.name][0].tolist(), strict=True))
    probabilities = _percentages(prediction.probabilities)
    top = int(np.argmax(probabilities))
    face = decoded.report.face
    return PredictResponse(
        labels=list(LABELS),
        probs=probabilities,
        top1=TopLabel(label=LABELS[top], prob=probabilities[top]),
        model=prediction.model,
        model_version=prediction.model_version,
        modalities=Modalities(**present),
        missing=decoded.report.missing,
        face=None if face is None else FaceSchema(**asdict(face)),
        video_probs=_percentages(prediction.video_probabilities) if present["video"] else None,
        audio_probs=_percentages(prediction.audio_probabilities) if present["audio"] else None,
        frame_attention=prediction.frame_attention[0].astype(float).round(_ATTENTION_DECIMALS).tolist()
        if present["video"]
        else None,
        timings_ms=Timings(**{stage: round(1000 * value, 2) for stage, value in seconds.items()}),
        request_id=request_id,
    )


def _percentages(probabilities: npt.NDArray[np.float32]) -> list[float]:
    """The first row of probabilities in percent, without the noise of float32."""
    percentages: list[float] = (100 * probabilities[0].astype(float)).round(_PERCENT_DECIMALS).tolist()
    return percentages
