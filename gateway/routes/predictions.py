"""`POST /predict` and its siblings that take clips whole, sampled, or many at once."""

from __future__ import annotations

from typing import Final, TypeVar

from fastapi import APIRouter, Response

from avemotion.api.predictions import BatchResponse, PredictResponse
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.video import sample_times
from gateway.decode.messages import DecodeTask
from gateway.http.context import ContextDependency, Explain
from gateway.http.forms import FILES_FIELD, read_batch, read_clip
from gateway.http.sampled import AUDIO_FIELD, FRAMES_FIELD, TIMES_FIELD, read_sampled_upload
from gateway.predict.clips import predict_batch, predict_clip
from gateway.routes.documentation import CLIP_FORM, CLIP_SCHEMA, file_schema, form_body, prediction_errors

router = APIRouter(tags=["prediction"])

Answer = TypeVar("Answer", PredictResponse, BatchResponse)

_BATCH_FORM: Final = form_body([FILES_FIELD], {FILES_FIELD: {"type": "array", "minItems": 1, "items": CLIP_SCHEMA}})
_SAMPLED_FORM: Final = form_body(
    [],
    {
        FRAMES_FIELD: {
            "type": "array",
            "minItems": FRAME_COUNT,
            "maxItems": FRAME_COUNT,
            "items": file_schema("A JPEG image of the whole frame; all of one size, in order."),
        },
        TIMES_FIELD: {
            "type": "string",
            "description": "JSON array with the time of each frame in seconds from the window's start; if given, it is "
            "compared with the times of the contract.",
            "examples": [str(sample_times(0.0, WINDOW_SECONDS))],
        },
        AUDIO_FIELD: file_schema(
            f"A WAV file of {SAMPLE_RATE} Hz, mono, 16-bit PCM, at most {WINDOW_SECONDS:g} s, from the window's start "
            "on."
        ),
    },
)


@router.post("/predict", responses=prediction_errors("too_many_files", sampled=False), openapi_extra=CLIP_FORM)
async def predict(context: ContextDependency, response: Response, explain: Explain = False) -> PredictResponse:
    """Estimate which emotion is expressed in a clip.

    The three seconds at the centre are read. A clip without video, or without audio, is answered, too; the answer says
    what was missing. The result is an estimate of an expression, not of what a person feels. Nothing of the clip is
    stored.
    """
    accepted = await context.accept(read_clip)
    task = DecodeTask("clip", [accepted.upload], accepted.model.crop)
    answer = await context.run(predict_clip(accepted, task, explain=explain))
    return _timed(answer, response)


@router.post("/predict/batch", responses=prediction_errors("nobody_found", sampled=False), openapi_extra=_BATCH_FORM)
async def batch(context: ContextDependency, response: Response) -> BatchResponse:
    """Estimate which emotion is expressed in each of many clips.

    Each clip succeeds or fails alone. The response is always 200; check each item's `error`. All clips that could be
    decoded go to the model in one batch.
    """
    accepted = await context.accept(read_batch)
    return _timed(await context.run(predict_batch(accepted)), response)


@router.post(
    "/predict/sampled", responses=prediction_errors("too_many_files", sampled=True), openapi_extra=_SAMPLED_FORM
)
async def sampled(context: ContextDependency, response: Response, explain: Explain = False) -> PredictResponse:
    """Estimate which emotion is expressed in three seconds that the client has sampled itself.

    Eight frames, at the times that `/contract` names, and the sound, or one of both: a tenth of the bytes of a
    recording, and the video itself never leaves the device. The answer is that of `/predict` for the same three
    seconds, up to what JPEG loses.
    """
    accepted = await context.accept(read_sampled_upload)
    files, has_sound = accepted.upload
    task = DecodeTask("sampled", files, accepted.model.crop, has_sound=has_sound)
    answer = await context.run(predict_clip(accepted, task, explain=explain))
    return _timed(answer, response)


def _timed(answer: Answer, response: Response) -> Answer:
    """Add the timings as Server-Timing (W3C), which browsers show."""
    response.headers["Server-Timing"] = ", ".join(f"{stage};dur={value}" for stage, value in answer.timings_ms)
    return answer
