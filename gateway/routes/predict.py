"""`POST /predict` and its siblings that take clips whole, sampled, or many at once."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from avemotion.api.predictions import BatchResponse, PredictResponse
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.video import sample_times
from gateway.batch import predict_batch
from gateway.decode_worker import decode_clip, decode_sampled
from gateway.intake import AdmissionDependency, Explain
from gateway.prediction import predict_one
from gateway.routes.documentation import CLIP_FORM, CLIP_SCHEMA, file_schema, form_body, prediction_errors
from gateway.routes.prediction_route import PredictionRoute
from gateway.sampled_upload import AUDIO_FIELD, FRAMES_FIELD, TIMES_FIELD, read_sampled_upload
from gateway.uploads import FILES_FIELD, read_batch, read_clip

router = APIRouter(tags=["prediction"], route_class=PredictionRoute)

_BATCH_FORM: Final = form_body([FILES_FIELD], {FILES_FIELD: {"type": "array", "minItems": 1, "items": CLIP_SCHEMA}})
_SAMPLED_FORM: Final = form_body(
    [],
    {
        FRAMES_FIELD: {
            "type": "array",
            "minItems": FRAME_COUNT,
            "maxItems": FRAME_COUNT,
            "items": file_schema("A JPEG picture of the whole frame; all of one size, in order."),
        },
        TIMES_FIELD: {
            "type": "string",
            "description": "JSON array with the time of each frame in seconds from the window's start; where it is "
            "there, it is compared with the times of the contract.",
            "examples": [str(sample_times(0.0, WINDOW_SECONDS))],
        },
        AUDIO_FIELD: file_schema(
            f"A WAV file of {SAMPLE_RATE} Hz, mono, PCM of 16 bits, at most {WINDOW_SECONDS:g} s, from the window's "
            "start on."
        ),
    },
)


@router.post(
    "/predict",
    response_model=PredictResponse,
    responses=prediction_errors("too_many_files", sampled=False),
    openapi_extra=CLIP_FORM,
)
async def predict(admission: AdmissionDependency, explain: Explain = False) -> Response:
    """Estimate which emotion is expressed in a clip.

    The three seconds at the centre are read. A clip without video, or without audio, is answered, too, and the
    answer says what was missing. The result is an estimate of an expression, not of what a person feels. Nothing of
    the clip is stored.
    """
    intake = await admission.take_in(read_clip)
    work = predict_one(intake, admission.services, decode_clip, (intake.upload,), explain=explain)
    return _json(await admission.run(work))


@router.post(
    "/predict/batch",
    response_model=BatchResponse,
    responses=prediction_errors(sampled=False),
    openapi_extra=_BATCH_FORM,
)
async def batch(admission: AdmissionDependency) -> Response:
    """Estimate which emotion is expressed in each of many clips.

    Each clip succeeds or fails alone: the answer is 200 although some, or all, could not be read. All that could be
    read go to the model in one batch.
    """
    intake = await admission.take_in(read_batch)
    return _json(await admission.run(predict_batch(intake, admission.services)))


@router.post(
    "/predict/sampled",
    response_model=PredictResponse,
    responses=prediction_errors("too_many_files", sampled=True),
    openapi_extra=_SAMPLED_FORM,
)
async def sampled(admission: AdmissionDependency, explain: Explain = False) -> Response:
    """Estimate which emotion is expressed in three seconds that the client has sampled itself.

    Eight frames, at the times that `/contract` names, and the sound, or one of both: a tenth of the bytes of a
    recording, and nothing to decode but pictures, so that the video itself never leaves the device. The answer is
    that of `/predict` for the same three seconds, up to what JPEG loses.
    """
    intake = await admission.take_in(read_sampled_upload)
    upload = intake.upload
    work = predict_one(intake, admission.services, decode_sampled, (upload.frames, upload.audio), explain=explain)
    return _json(await admission.run(work))


def _json(answer: PredictResponse | BatchResponse) -> Response:
    """An answer as it is sent. FastAPI would check it once more against the schema that it is made of."""
    timings = ", ".join(f"{stage};dur={value}" for stage, value in answer.timings_ms)
    # Server-Timing (W3C) is what browsers show.
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Server-Timing": timings})
