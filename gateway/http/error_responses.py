"""The one place where errors become HTTP responses, all of one shape."""

from __future__ import annotations

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

from avemotion.preprocessing.errors import EmotionError
from gateway.errors import POLICIES, ErrorPolicy, UnsupportedContentEncodingError, policy_of
from gateway.telemetry import request_id_of_task

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-ID"

HEADER_LIMIT: Final = 64 * 1024
"""Most bytes of a request's headers; browsers send well below 8 KiB."""

HEAD_TOO_LARGE: Final = f"The request's headers exceed {HEADER_LIMIT} bytes, the limit."

_CODES_AND_MESSAGES: Final = {
    404: ("not_found", "Not found: {path}. /openapi.json lists all paths."),
    405: ("method_not_allowed", "{path} does not accept {method}; the Allow header lists what it accepts."),
}


def install_error_handlers(app: FastAPI) -> None:
    """Make an application answer every error in the shape `{"error": {"code", "message", "request_id"}}`."""
    app.add_exception_handler(EmotionError, _answer_emotion_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)


async def _answer_emotion_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EmotionError)  # noqa: S101 (for the type checker; installed for this class)
    request.state.error_code = error.code
    return error_response(error.code, error.message, policy_of(error))


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker; installed for this class)
    code, template = _CODES_AND_MESSAGES.get(error.status_code, ("invalid_request", ""))
    message = template.format(path=request.url.path, method=request.method) or str(error.detail)
    request.state.error_code = code
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    return error_response(code, message, ErrorPolicy(error.status_code, message), headers)


async def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker; installed for this class)
    faults = [
        f"{' '.join(map(str, fault['loc']))}: {fault['msg']}, not "
        + ("nothing" if fault["input"] is None else f"'{str(fault['input'])[:40]}'")
        for fault in error.errors()
    ]
    request.state.error_code = "invalid_request"
    return error_response("invalid_request", f"{'; '.join(faults)}.")


def error_response(
    code: str, message: str, policy: ErrorPolicy | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer to a request that failed; its id is new if the application has seen nothing of the request.

    Args:
        code: Code of the error.
        message: What a client learns of it.
        policy: How it is answered; as the table says if None.
        headers: Further headers.
    """
    policy = policy or POLICIES[code]
    request_id = request_id_of_task.get() or uuid.uuid4().hex
    level = logging.ERROR if policy.status == 500 else logging.INFO
    logger.log(level, "request failed: %s", message, extra={"code": code, "status": policy.status, "id": request_id})
    get_current_span().set_attribute("error.type", code)
    all_headers = {**(headers or {}), REQUEST_ID_HEADER: request_id}
    if policy.retry_after is not None:
        all_headers["Retry-After"] = str(policy.retry_after)
    if policy.status == HTTPStatus.UNAUTHORIZED:
        all_headers["WWW-Authenticate"] = "Bearer"
    if code == UnsupportedContentEncodingError.code:
        all_headers["Accept-Encoding"] = "identity"
    if policy.closes:
        all_headers["Connection"] = "close"
    body = {"error": {"code": code, "message": message, "request_id": request_id}}
    return JSONResponse(body, policy.status, headers=all_headers)
