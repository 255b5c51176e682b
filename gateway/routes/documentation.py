"""OpenAPI's description of forms and errors; errors are made from their one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from avemotion.api.base import ErrorResponse
from gateway.errors import POLICIES
from gateway.http.forms import FILE_FIELD

_REQUEST_ID = "1f0c8a5e4b3d4f6c9a7b2d1e0f3c5a68"

_NEVER_BY_PREDICTIONS = {"not_found", "method_not_allowed", "bad_http", "head_too_large"}
_OF_SAMPLES = {"bad_sampled_frames", "bad_sampled_audio", "bad_sampled_times"}
_UNREADABLE_FILES = {"empty_media", "unsupported_media", "no_tracks", "damaged_media"}
_LIMITS_OF_FILES = {"clip_too_long", "too_many_frames", "too_many_audio_samples", "too_many_tracks"}


def error_responses(codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the error responses of an endpoint.

    Args:
        codes: Codes of the errors that it may answer.
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        policy = POLICIES[code]
        answer = answers.setdefault(
            policy.status,
            {"model": ErrorResponse, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        answer["description"] = f"{answer['description']}\n\n`{code}`: {policy.meaning}".strip()
        error = {"code": code, "message": policy.meaning, "request_id": _REQUEST_ID}
        answer["content"]["application/json"]["examples"][code] = {"value": {"error": error}}
    return answers


def prediction_errors(*absent: str, sampled: bool) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the error responses of an endpoint that takes clips.

    Args:
        *absent: Codes of errors that this endpoint never answers.
        sampled: Whether it takes sampled frames and sound, instead of media files.
    """
    absent += tuple(_UNREADABLE_FILES | _LIMITS_OF_FILES if sampled else _OF_SAMPLES)
    return error_responses(code for code in POLICIES if code not in _NEVER_BY_PREDICTIONS.union(absent))


def form_body(required: list[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI's description of a multipart form, which the gateway parses itself."""
    schema = {"type": "object", "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def file_schema(description: str) -> dict[str, Any]:
    """JSON schema of a file in a form."""
    return {"type": "string", "format": "binary", "description": description}


CLIP_SCHEMA = file_schema("A clip: mp4, mov, webm, matroska, avi, wav or flac, decided by content.")
"""JSON schema of a clip in a form."""

CLIP_FORM = form_body([FILE_FIELD], {FILE_FIELD: CLIP_SCHEMA})
"""OpenAPI's description of a form with one clip."""
