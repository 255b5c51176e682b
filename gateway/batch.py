"""Many clips in one request: each is decoded alone, and all that can be go to the model together."""

from __future__ import annotations

import asyncio
import logging
import time

import numpy as np

from avemotion.api.predictions import BatchResponse, BatchResult, BatchTimings, ClipPrediction, ItemError
from avemotion.preprocessing.contract import INPUTS
from avemotion.preprocessing.errors import EmotionError
from gateway.answers import clip_fields, milliseconds
from gateway.decode_worker import decode_clip
from gateway.decoded_clip import DecodedClip
from gateway.decoding import DecodeResult
from gateway.errors import UploadTooLargeError
from gateway.intake import Intake
from gateway.services import Services
from gateway.uploaded_file import UploadedFile

logger = logging.getLogger(__name__)


async def predict_batch(intake: Intake[list[UploadedFile]], services: Services) -> BatchResponse:
    """Decode clips, run the model once for all that could be decoded, and say what came out of each.

    Args:
        intake: The request with the files.
        services: The running gateway.

    Raises:
        EmotionError: A subclass says why there is no answer for any of them.
    """
    begin = time.perf_counter()
    settings = services.settings
    outcomes = await _decode(intake, services)
    decoded_at = time.perf_counter()
    rows = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, DecodeResult)]
    results = {
        index: BatchResult(index=index, error=ItemError(code=outcome.code, message=outcome.message))
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, EmotionError)
    }
    if rows:
        clips = [outcome.value for outcome in outcomes if isinstance(outcome, DecodeResult)]
        each = [clip.tensors() for clip in clips]
        tensors = {spec.name: np.concatenate([tensors[spec.name] for tensors in each]) for spec in INPUTS}
        deadline = intake.deadline.within(settings.inference_timeout)
        prediction = await services.predictor.predict(tensors, intake.model, deadline)
        if intake.is_default:
            services.readiness.answered(prediction)
        for row, (index, clip) in enumerate(zip(rows, clips, strict=True)):
            results[index] = BatchResult(index=index, prediction=ClipPrediction(**clip_fields(clip, prediction, row)))
    end = time.perf_counter()
    seconds = {
        "upload": intake.upload_seconds,
        "decode": decoded_at - begin,
        "inference": end - decoded_at,
        "total": intake.upload_seconds + end - begin,
    }
    return BatchResponse(
        results=[results[index] for index in range(len(outcomes))],
        timings_ms=BatchTimings(**milliseconds(seconds)),
        request_id=intake.request_id,
    )


async def _decode(
    intake: Intake[list[UploadedFile]], services: Services
) -> list[DecodeResult[DecodedClip] | EmotionError]:
    """What became of each clip. No more of them are under way than there are workers: others get their turn, too."""
    turns = asyncio.Semaphore(services.settings.decode_workers)
    limit, media_limits = services.settings.upload_limit, services.settings.media_limits(intake.deadline.expires)
    crop = intake.model.crop
    left = sum(len(data) <= limit for data in intake.upload)

    async def decode(data: UploadedFile) -> DecodeResult[DecodedClip] | EmotionError:
        nonlocal left
        if len(data) > limit:
            return UploadTooLargeError(f"The clip has {len(data)} bytes; the limit for one clip is {limit} bytes.")
        async with turns:
            together, left = left, left - 1
            try:
                result = await services.pool.run(
                    decode_clip, data, crop, media_limits, deadline=intake.deadline, together=together
                )
            except EmotionError as error:
                logger.info("clip of a batch failed: %s", error.message, extra={"code": error.code})
                return error
        services.metrics.observe_stages({"queue": result.queue_seconds, "decode": result.seconds})
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(decode(data)) for data in intake.upload]
    return [task.result() for task in tasks]
