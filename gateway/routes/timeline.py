"""`POST /predict/timeline`: a row for each window of a longer clip, all at once or as they are computed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from avemotion.api.base import ErrorDetail
from avemotion.api.timeline import EndLine, ErrorLine, RowLine, StartLine, TimelineHead, TimelineResponse, TimelineRow
from avemotion.preprocessing.errors import EmotionError
from gateway.http.context import ContextDependency, RequestContext
from gateway.http.forms import read_clip
from gateway.predict.timeline import LARGEST_STEP, SMALLEST_STEP, TimelinePredictor, decode_timeline
from gateway.routes.documentation import CLIP_FORM, prediction_errors

router = APIRouter(tags=["prediction"])

NDJSON: Final = "application/x-ndjson"

_STREAM_EXAMPLE: Final = (
    '{"type":"start","duration":4.0,"step":0.5,"window_seconds":3.0,…}\n'
    '{"type":"row","start":0.0,"end":3.0,"probs":[…],"top1":{"label":"angry","prob":20.5},…}\n'
    '{"type":"end","rows":3,"timings_ms":{…}}\n'
)
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            f"All rows. If `Accept` prefers `{NDJSON}`, one JSON object a line as they are computed: `start` with what "
            "holds for all rows, then a `row` for each window, then `end`, or `error` if it failed on the way."
        ),
        "content": {NDJSON: {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
    }
}


@router.post(
    "/predict/timeline",
    responses=_ANSWER | prediction_errors("too_many_files", "nobody_found", sampled=False),
    openapi_extra=CLIP_FORM,
    response_model=TimelineResponse,
)
async def timeline(
    context: ContextDependency,
    step: Annotated[
        float,
        Query(
            ge=SMALLEST_STEP,
            le=LARGEST_STEP,
            allow_inf_nan=False,
            description="Seconds between the starts of two windows.",
        ),
    ] = SMALLEST_STEP,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> TimelineResponse | Response:
    """Estimate which emotion is expressed in each window of a clip of up to a minute.

    Windows are three seconds long and overlap. The clip is decoded once, and the windows go to the model in batches.
    Each row is an estimate of an expression, not of what a person feels. Nothing of the clip is stored.
    """
    accepted = await context.accept(read_clip, context.services.settings.timeline_deadline)
    predictor = await context.run(decode_timeline(accepted, step))
    head = await context.run(predictor.predict_first())
    if prefers_ndjson(accept):
        return StreamingResponse(_lines(head, predictor, context), media_type=NDJSON)
    rows = await context.run(_all_rows(predictor))
    return TimelineResponse(**dict(head), rows=rows, timings_ms=predictor.timings())


async def _all_rows(predictor: TimelinePredictor) -> list[TimelineRow]:
    return [row async for batch in predictor.batches() for row in batch]


async def _lines(head: TimelineHead, predictor: TimelinePredictor, context: RequestContext) -> AsyncIterator[bytes]:
    """The stream. Its work ends when the client disconnects."""
    yield _line(StartLine(**dict(head)))
    batches = aiter(predictor.batches())
    count = 0
    try:
        while batch := await context.run(anext(batches, None)):
            yield b"".join(_line(RowLine(**dict(row))) for row in batch)
            count += len(batch)
    except EmotionError as error:  # Too late for a status.
        context.request.state.error_code = error.code
        detail = ErrorDetail(code=error.code, message=error.message, request_id=head.request_id)
        yield _line(ErrorLine(error=detail))
    else:
        yield _line(EndLine(rows=count, timings_ms=predictor.timings()))


def _line(body: BaseModel) -> bytes:
    return body.model_dump_json().encode() + b"\n"


def prefers_ndjson(accept: str) -> bool:
    """Whether a client prefers lines to one JSON object (RFC 9110, section 12.5.1).

    Args:
        accept: The header `Accept`.
    """
    weights: dict[str, float] = {}
    for entry in accept.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0.0
    whole = max(weights.get(name, 0.0) for name in ("application/json", "application/*", "*/*"))
    lines = weights.get(NDJSON, 0.0)
    return lines > 0 and (lines >= whole or "application/json" not in weights)
