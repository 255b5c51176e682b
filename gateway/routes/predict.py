"""`POST /predict`: one clip in, eight probabilities out."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.authentication import Caller
from gateway.disconnect import run_while_connected
from gateway.errors import POLICIES
from gateway.logs import request_id_of_task
from gateway.prediction import predict_clip
from gateway.request_deadline import RequestDeadlineDependency
from gateway.routes.documentation import error_responses
from gateway.schemas import PredictResponse
from gateway.services import ServicesDependency
from gateway.uploads import FILE_FIELD, read_clip_upload

router = APIRouter(tags=["prediction"])

_NEVER_ANSWERED = {"not_found", "method_not_allowed", "bad_http", "head_too_large"}

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {
                        FILE_FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "The clip: mp4, mov, webm, matroska, avi, wav or flac, decided by content.",
                        }
                    },
                }
            }
        },
    }
}


@router.post(
    "/predict",
    responses=error_responses(code for code in POLICIES if code not in _NEVER_ANSWERED),
    openapi_extra=_FORM,
)
async def predict(
    request: Request,
    services: ServicesDependency,
    response: Response,
    _: Caller,
    request_deadline: RequestDeadlineDependency,
) -> PredictResponse:
    """Estimate which emotion is expressed in a clip.

    The three seconds at the centre are read. A clip without video, or without audio, is answered, too, and the
    answer says what was missing. The result is an estimate of an expression, not of what a person feels. Nothing of
    the clip is stored.
    """
    begin = time.perf_counter()
    settings = services.settings
    services.readiness.refuse_while_draining()
    services.pool.check_capacity()
    data = await read_clip_upload(request, limit=settings.upload_limit, deadline=request_deadline.for_upload())
    work = predict_clip(
        data,
        services,
        request_deadline.for_answer(),
        request_id=request_id_of_task.get() or "",
        upload_seconds=time.perf_counter() - begin,
    )
    answer = await run_while_connected(request, work)
    response.headers["Server-Timing"] = ", ".join(f"{stage};dur={value}" for stage, value in answer.timings_ms)
    return answer
