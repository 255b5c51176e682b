"""From uploads to answers: one clip, whole or sampled, and batches of clips."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import numpy as np

from avemotion.api.answers import ModelOutputs, clip_prediction, milliseconds
from avemotion.api.predictions import (
    BatchResponse,
    BatchResult,
    BatchTimings,
    ItemError,
    PredictResponse,
    Timings,
)
from avemotion.preprocessing.contract import INPUTS
from avemotion.preprocessing.errors import EmotionError, NobodyFoundError
from gateway.decode.messages import DecodedMedia, DecodeTask
from gateway.errors import UploadTooLargeError
from gateway.http.context import Accepted
from gateway.predict.predictor import Tensors

logger = logging.getLogger(__name__)


async def predict_clip(accepted: Accepted[Any], task: DecodeTask, *, explain: bool) -> PredictResponse:
    """Decode one window, run the model, and answer.

    Args:
        accepted: The request.
        task: How the upload is decoded.
        explain: Whether to ask the companion language model to put the probabilities into words.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin, services = time.perf_counter(), accepted.services
    media = await services.pool.run(task, deadline=accepted.deadline)
    decoded_at = time.perf_counter()
    outputs = await infer(media.tensors, accepted)
    end = time.perf_counter()
    seconds = {
        "upload": accepted.upload_seconds,
        "queue": media.queue_seconds,
        "decode": media.seconds,
        "inference": end - decoded_at,
        "total": accepted.upload_seconds + end - begin,
    }
    services.metrics.observe_stages(seconds)
    prediction = clip_prediction(outputs, 0, media.observation())
    explanation = None
    if explain:
        percent = dict(zip(prediction.labels, prediction.probs, strict=True))
        explanation = await services.explainer.explain(
            percent, uncertain=prediction.uncertain, deadline=accepted.deadline
        )
    return PredictResponse(
        **dict(prediction),
        explanation=explanation,
        timings_ms=Timings(**milliseconds(seconds)),
        request_id=accepted.request_id,
    )


async def predict_batch(accepted: Accepted[list[bytes]]) -> BatchResponse:
    """Decode clips, run the model once for all that could be decoded, and answer for each.

    Raises:
        EmotionError: A subclass says why there is no answer for any of them.
    """
    begin = time.perf_counter()
    outcomes = await _decode_all(accepted)
    decoded_at = time.perf_counter()
    media = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, DecodedMedia)}
    results = {
        index: BatchResult(index=index, error=ItemError(code=outcome.code, message=outcome.message))
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, EmotionError)
    }
    if media:
        tensors = {spec.name: np.concatenate([each.tensors[spec.name] for each in media.values()]) for spec in INPUTS}
        outputs = await infer(tensors, accepted)
        for row, (index, each) in enumerate(media.items()):
            try:
                results[index] = BatchResult(index=index, prediction=clip_prediction(outputs, row, each.observation()))
            except NobodyFoundError as error:
                results[index] = BatchResult(index=index, error=ItemError(code=error.code, message=error.message))
    end = time.perf_counter()
    seconds = {
        "upload": accepted.upload_seconds,
        "decode": decoded_at - begin,
        "inference": end - decoded_at,
        "total": accepted.upload_seconds + end - begin,
    }
    return BatchResponse(
        results=[results[index] for index in range(len(outcomes))],
        timings_ms=BatchTimings(**milliseconds(seconds)),
        request_id=accepted.request_id,
    )


async def infer(tensors: Tensors, accepted: Accepted[Any]) -> ModelOutputs:
    """Run the model that a request asks for.

    Raises:
        ModelUnavailableError: The model does not answer.
    """
    services = accepted.services
    deadline = accepted.deadline.within(services.settings.inference_timeout)
    outputs = await services.predictor.predict(tensors, accepted.model, deadline)
    if accepted.is_default:
        services.readiness.answered(outputs)
    return outputs


async def _decode_all(accepted: Accepted[list[bytes]]) -> list[DecodedMedia | EmotionError]:
    """The outcome of each clip; no more are decoded at once than there are workers, so that others advance."""
    services = accepted.services
    turns = asyncio.Semaphore(services.settings.decode_workers)
    limit = services.settings.upload_limit
    left = sum(len(data) <= limit for data in accepted.upload)

    async def decode(data: bytes) -> DecodedMedia | EmotionError:
        nonlocal left
        if len(data) > limit:
            return UploadTooLargeError(f"The clip has {len(data)} bytes; the limit for one clip is {limit} bytes.")
        async with turns:
            together, left = left, left - 1
            task = DecodeTask("clip", [data], accepted.model.crop)
            try:
                media = await services.pool.run(task, deadline=accepted.deadline, together=together)
            except EmotionError as error:
                logger.info("clip of a batch failed: %s", error.message, extra={"code": error.code})
                return error
        services.metrics.observe_stages({"queue": media.queue_seconds, "decode": media.seconds})
        return media

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(decode(data)) for data in accepted.upload]
    return [task.result() for task in tasks]
