"""What OpenAPI says of forms and errors; errors are made from their one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import POLICIES
from gateway.schemas.errors import ErrorResponse

_NEVER_BY_PREDICTIONS = {"not_found", "method_not_allowed", "bad_http", "head_too_large"}


def error_responses(codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the error responses of an endpoint.

    Args:
        codes: Codes of the errors that it may answer.
    """
    meanings: dict[int | str, list[str]] = {}
    for code in codes:
        policy = POLICIES[code]
        meanings.setdefault(policy.status, []).append(f"`{code}`: {policy.meaning}")
    return {status: {"model": ErrorResponse, "description": "\n\n".join(lines)} for status, lines in meanings.items()}


def prediction_errors(*absent: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the error responses of an endpoint that takes clips.

    Args:
        *absent: Codes of errors that this endpoint never answers.
    """
    return error_responses(code for code in POLICIES if code not in _NEVER_BY_PREDICTIONS.union(absent))


def form_body(required: list[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI's description of a multipart form, which FastAPI does not parse.

    Args:
        required: Names of the fields that must be there.
        properties: JSON schema of each field.
    """
    schema = {"type": "object", "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def file_schema(description: str) -> dict[str, Any]:
    """JSON schema of a file in a form.

    Args:
        description: What it holds.
    """
    return {"type": "string", "format": "binary", "description": description}
