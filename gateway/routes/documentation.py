"""What OpenAPI says about errors, made from the one table of errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.errors import POLICIES
from gateway.schemas import ErrorResponse


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
