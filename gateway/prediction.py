"""From the upload of one clip, whole or sampled, to the answer."""

from __future__ import annotations

import time
from typing import Any

from avemotion.api.predictions import PredictResponse
from gateway.answers import clip_fields, milliseconds
from gateway.decode_worker import Task
from gateway.decoded_clip import DecodedClip
from gateway.intake import Intake
from gateway.services import Services


async def predict_one(
    intake: Intake[Any], services: Services, task: Task[DecodedClip], args: tuple[Any, ...], *, explain: bool
) -> PredictResponse:
    """Make the tensors of one window, run the model, and say what came out.

    Args:
        intake: The request.
        services: The running gateway.
        task: What a worker does to make the tensors.
        args: What of the upload it is given; crop mode and limits follow.
        explain: Whether to ask the companion language model for a reading of the probabilities.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    settings, deadline, model = services.settings, intake.deadline, intake.model
    limits = settings.media_limits(deadline.expires)
    result = await services.pool.run(task, *args, model.crop, limits, deadline=deadline)
    clip = result.value
    decoded_at = time.perf_counter()
    prediction = await services.predictor.predict(clip.tensors(), model, deadline.within(settings.inference_timeout))
    if intake.is_default:
        services.readiness.answered(prediction)
    end = time.perf_counter()
    seconds = {
        "upload": intake.upload_seconds,
        "queue": result.queue_seconds,
        "decode": result.seconds,
        "inference": end - decoded_at,
        "total": intake.upload_seconds + end - begin,
    }
    services.metrics.observe_stages(seconds)
    fields = clip_fields(clip, prediction, 0)
    explanation = None
    if explain:
        percent = dict(zip(fields["labels"], fields["probs"], strict=True))
        explanation = await services.explainer.explain(percent, uncertain=fields["uncertain"], deadline=deadline)
    return PredictResponse.model_validate(
        fields | {"explanation": explanation, "timings_ms": milliseconds(seconds), "request_id": intake.request_id}
    )
