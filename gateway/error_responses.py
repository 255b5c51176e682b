"""The one place where errors become HTTP responses, all of one shape."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from avemotion.preprocessing.errors import EmotionError
from gateway.errors import POLICIES, ErrorPolicy, policy_of
from gateway.logs import request_id_of_task

logger = logging.getLogger(__name__)

_CODES_OF_STATUSES = {404: "not_found", 405: "method_not_allowed"}
_MESSAGES_OF_STATUSES = {
    404: "There is nothing at {path}; /openapi.json lists what there is.",
    405: "{path} does not answer {method}; the Allow header says what it answers.",
}


def install_error_handlers(app: FastAPI) -> None:
    """Make an application answer every error in the shape `{"error": {"code", "message", "request_id"}}`."""
    app.add_exception_handler(EmotionError, _answer_emotion_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


def error_response(
    code: str, message: str, policy: ErrorPolicy, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error response; the log gets a line of it."""
    level = logging.ERROR if policy.status == 500 else logging.INFO
    logger.log(level, "request failed: %s", message, extra={"code": code, "status": policy.status})
    body = {"error": {"code": code, "message": message, "request_id": request_id_of_task.get()}}
    all_headers = dict(headers or {})
    if policy.retry_after is not None:
        all_headers["Retry-After"] = str(policy.retry_after)
    if policy.status == HTTPStatus.UNAUTHORIZED:
        all_headers["WWW-Authenticate"] = "Bearer"
    if policy.closes:
        all_headers["Connection"] = "close"
    return JSONResponse(body, policy.status, headers=all_headers)


def internal_error_response() -> JSONResponse:
    """What a client learns of an error that nobody foresaw: nothing but where to look."""
    message = "The gateway failed on this request; its log says more under the request id."
    return error_response(EmotionError.code, message, POLICIES[EmotionError.code])


async def _answer_emotion_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EmotionError)  # noqa: S101 (for the type checker; installed for this class)
    request.state.error_code = error.code
    return error_response(error.code, error.message, policy_of(error))


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker; installed for this class)
    code = _CODES_OF_STATUSES.get(error.status_code, "invalid_request")
    template = _MESSAGES_OF_STATUSES.get(error.status_code, "")
    message = template.format(path=request.url.path, method=request.method) or str(error.detail)
    policy = ErrorPolicy(error.status_code, message)
    request.state.error_code = code
    return error_response(code, message, policy, error.headers)


def _shown(value: object) -> str:
    """A wrong value, as far as it fits into a sentence."""
    return "nothing" if value is None else f"'{str(value)[:40]}'"


async def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker; installed for this class)
    faults = [
        f"{' '.join(str(part) for part in fault['loc'])}: {fault['msg']}, not {_shown(fault['input'])}"
        for fault in error.errors()
    ]
    request.state.error_code = "invalid_request"
    return error_response("invalid_request", f"{'; '.join(faults)}.", POLICIES["invalid_request"])
