"""The one place where errors become HTTP responses, all of one shape."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry.trace import get_current_span
from starlette.exceptions import HTTPException
from starlette.types import Scope

from avemotion.preprocessing.errors import EmotionError
from gateway.errors import POLICIES, ErrorPolicy, policy_of
from gateway.telemetry import request_id_of_task

logger = logging.getLogger(__name__)

HEADER_LIMIT: Final = 64 * 1024
"""Most bytes of a request's headers; browsers send well below 8 KiB."""

HEAD_TOO_LARGE: Final = f"The request's headers exceed {HEADER_LIMIT} bytes, the limit."

_CODES_OF_STATUSES = {404: "not_found", 405: "method_not_allowed"}
_MESSAGES_OF_STATUSES = {
    404: "Not found: {path}. /openapi.json lists all paths.",
    405: "{path} does not accept {method}; the Allow header lists what it accepts.",
}


def install_error_handlers(app: FastAPI) -> None:
    """Make an application answer every error in the shape `{"error": {"code", "message", "request_id"}}`."""
    app.add_exception_handler(EmotionError, _answer_emotion_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def internal_error_response() -> JSONResponse:
    """What a client learns of an unforeseen error: only where to look."""
    message = "The gateway failed on this request; its log says more under the request id."
    return _error_response(EmotionError.code, message, POLICIES[EmotionError.code])


def head_too_large_response(scope: Scope) -> JSONResponse:
    """The answer to a request whose headers exceed the limit."""
    scope.setdefault("state", {})["error_code"] = "head_too_large"
    return _error_response("head_too_large", HEAD_TOO_LARGE, POLICIES["head_too_large"])


def unrouted_error(code: str, message: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """The answer to a request that did not reach the application, whose connection is then closed.

    Returns:
        Status, headers and body.
    """
    policy, request_id = POLICIES[code], uuid.uuid4().hex
    _log(code, message, policy, request_id)
    body = json.dumps(_body(code, message, request_id)).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        ("Connection", "close"),
    ]
    return policy.status, headers, body


async def _answer_emotion_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EmotionError)  # noqa: S101 (for the type checker; installed for this class)
    request.state.error_code = error.code
    return _error_response(error.code, error.message, policy_of(error))


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker; installed for this class)
    code = _CODES_OF_STATUSES.get(error.status_code, "invalid_request")
    template = _MESSAGES_OF_STATUSES.get(error.status_code, "")
    message = template.format(path=request.url.path, method=request.method) or str(error.detail)
    request.state.error_code = code
    return _error_response(code, message, ErrorPolicy(error.status_code, message), error.headers)


async def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker; installed for this class)
    faults = [
        f"{' '.join(str(part) for part in fault['loc'])}: {fault['msg']}, not {_shown(fault['input'])}"
        for fault in error.errors()
    ]
    request.state.error_code = "invalid_request"
    return _error_response("invalid_request", f"{'; '.join(faults)}.", POLICIES["invalid_request"])


def _error_response(
    code: str, message: str, policy: ErrorPolicy, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    request_id = request_id_of_task.get() or ""
    _log(code, message, policy, request_id)
    get_current_span().set_attribute("error.type", code)
    all_headers = dict(headers or {})
    if policy.retry_after is not None:
        all_headers["Retry-After"] = str(policy.retry_after)
    if policy.status == HTTPStatus.UNAUTHORIZED:
        all_headers["WWW-Authenticate"] = "Bearer"
    if policy.closes:
        all_headers["Connection"] = "close"
    return JSONResponse(_body(code, message, request_id), policy.status, headers=all_headers)


def _body(code: str, message: str, request_id: str) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message, "request_id": request_id}}


def _log(code: str, message: str, policy: ErrorPolicy, request_id: str) -> None:
    level = logging.ERROR if policy.status == 500 else logging.INFO
    logger.log(level, "request failed: %s", message, extra={"code": code, "status": policy.status, "id": request_id})


def _shown(value: object) -> str:
    """A wrong value, as far as it fits into a sentence."""
    return "nothing" if value is None else f"'{str(value)[:40]}'"
