"""What happens around every request: its id, security headers, a line in the log, and a net below everything."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avemotion.preprocessing.errors import EmotionError
from gateway.error_responses import internal_error_response
from gateway.logs import request_id_of_task
from gateway.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-ID"

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# As ASGI has them, made once.
_RAW_REQUEST_ID_HEADER: Final = REQUEST_ID_HEADER.lower().encode()
_RAW_SECURITY_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContextMiddleware:
    """Plain ASGI, so that the body is streamed through untouched and a disconnect reaches the route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap an application.

        Args:
            app: The application.
            metrics: Counts what it answers.
        """
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        token = request_id_of_task.set(request_id)
        begin = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (_RAW_REQUEST_ID_HEADER, request_id.encode())
                message["headers"] = [*message["headers"], own, *_RAW_SECURITY_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = 499
        except Exception:
            logger.exception("unforeseen error")
            scope.setdefault("state", {})["error_code"] = EmotionError.code
            if status:
                raise  # Too late to answer anything else: the server cuts the connection.
            await internal_error_response()(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "")
            state = scope.get("state", {})
            self._metrics.count_request(
                method=scope["method"], route=route, status=status, code=state.get("error_code")
            )
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "caller": state.get("caller"),
                    "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
                },
            )
            request_id_of_task.reset(token)


def _request_id(headers: Headers) -> str:
    """The client's id where it is harmless in a header and a log, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
