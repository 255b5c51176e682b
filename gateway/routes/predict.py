"""`POST /predict` and `POST /predict/batch`: clips in, eight probabilities for each out."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from gateway.authentication import Caller
from gateway.batch import predict_batch
from gateway.disconnect import run_while_connected
from gateway.intake import ModelChoiceDependency, take_in
from gateway.prediction import predict_clip
from gateway.request_deadline import RequestDeadlineDependency
from gateway.routes.documentation import file_schema, form_body, prediction_errors
from gateway.schemas.base import Schema
from gateway.schemas.predictions import BatchResponse, PredictResponse
from gateway.services import ServicesDependency
from gateway.uploads import FILE_FIELD, FILES_FIELD, read_batch, read_clip

router = APIRouter(tags=["prediction"])

Explain = Annotated[
    bool,
    Query(
        description="Ask the companion language model, where there is one, to put the probabilities into words. Its "
        "failure or slowness costs no prediction: `explanation` is null then."
    ),
]

_CLIP = file_schema("A clip: mp4, mov, webm, matroska, avi, wav or flac, decided by content.")
_CLIP_FORM: Final = form_body([FILE_FIELD], {FILE_FIELD: _CLIP})
_BATCH_FORM: Final = form_body([FILES_FIELD], {FILES_FIELD: {"type": "array", "minItems": 1, "items": _CLIP}})


@router.post("/predict", responses=prediction_errors("too_many_files"), openapi_extra=_CLIP_FORM)
async def predict(
    request: Request,
    response: Response,
    services: ServicesDependency,
    _: Caller,
    choice: ModelChoiceDependency,
    deadline: RequestDeadlineDependency,
    *,
    explain: Explain = False,
) -> PredictResponse:
    """Estimate which emotion is expressed in a clip.

    The three seconds at the centre are read. A clip without video, or without audio, is answered, too, and the
    answer says what was missing. The result is an estimate of an expression, not of what a person feels. Nothing of
    the clip is stored.
    """
    intake = await take_in(request, services, choice, deadline, read_clip)
    answer = await run_while_connected(request, predict_clip(intake, services, explain=explain))
    response.headers["Server-Timing"] = _server_timing(answer.timings_ms)
    return answer


@router.post("/predict/batch", responses=prediction_errors(), openapi_extra=_BATCH_FORM)
async def batch(
    request: Request,
    response: Response,
    services: ServicesDependency,
    _: Caller,
    choice: ModelChoiceDependency,
    deadline: RequestDeadlineDependency,
) -> BatchResponse:
    """Estimate which emotion is expressed in each of many clips.

    Each clip succeeds or fails alone: the answer is 200 although some, or all, could not be read. All that could be
    read go to the model in one batch.
    """
    intake = await take_in(request, services, choice, deadline, read_batch)
    answer = await run_while_connected(request, predict_batch(intake, services))
    response.headers["Server-Timing"] = _server_timing(answer.timings_ms)
    return answer


def _server_timing(timings: Schema) -> str:
    """The header `Server-Timing` (W3C), which browsers show."""
    return ", ".join(f"{stage};dur={value}" for stage, value in timings)
