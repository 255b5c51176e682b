"""From a clip's bytes to the answer."""

from __future__ import annotations

import time

from gateway.answers import clip_prediction, milliseconds
from gateway.decode_worker import decode_clip
from gateway.intake import Intake
from gateway.schemas.predictions import PredictResponse, Timings
from gateway.services import Services


async def predict_clip(intake: Intake[bytes], services: Services, *, explain: bool) -> PredictResponse:
    """Decode a clip, run the model, and say what came out.

    Args:
        intake: The request with the file's bytes.
        services: The running gateway.
        explain: Whether a companion language model is asked to put it into words.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    settings, deadline, model = services.settings, intake.deadline, intake.model
    result = await services.pool.run(decode_clip, intake.upload, model.crop, settings.media_limits, deadline=deadline)
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
    answer = clip_prediction(clip.report, clip.present, prediction, 0)
    response = PredictResponse(
        **dict(answer),
        explanation=None,
        timings_ms=Timings(**milliseconds(seconds)),
        request_id=intake.request_id,
    )
    return await _explained(response, intake, services) if explain else response


async def _explained(response: PredictResponse, intake: Intake[bytes], services: Services) -> PredictResponse:
    """The same answer with a companion's words, where there are any in time."""
    probabilities = dict(zip(response.labels, response.probs, strict=True))
    explanation = await services.explainer.explain(
        probabilities, uncertain=response.uncertain, deadline=intake.deadline
    )
    return response.model_copy(update={"explanation": explanation})
