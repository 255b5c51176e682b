"""What happens around every request: id, security headers, log line, metrics, and the memory that uploads take.

Plain ASGI middleware: the body is streamed through, and a disconnect reaches the route.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from contextlib import suppress
from typing import Final

from opentelemetry.trace import get_current_span
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avemotion.preprocessing.errors import EmotionError
from gateway.errors import UploadsFullError
from gateway.http.error_responses import HEAD_TOO_LARGE, HEADER_LIMIT, REQUEST_ID_HEADER, error_response
from gateway.telemetry import Metrics, request_id_of_task

logger = logging.getLogger(__name__)

API_PREFIX: Final = "/api"
"""The page asks for its API below this prefix, whether nginx or the gateway serves the page."""

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

_VALID_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_CLIENT_DISCONNECTED: Final = 499
"""nginx's status for a client that disconnected before the answer."""

_DRAIN_SECONDS: Final = 10.0
"""Longest time that the rest of a body is read and discarded after its request was answered early."""


class RequestMiddleware:
    """Gives each request an id, logs and counts it, and answers errors that nothing else handled."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, scope = scope["method"], _routed(scope)
        request_id = _request_id(Headers(scope=scope))
        token = request_id_of_task.set(request_id)
        get_current_span().set_attribute("emotion.request_id", request_id)
        begin = time.perf_counter()
        status, body_is_complete = 0, False

        async def noting_receive() -> Message:
            nonlocal body_is_complete
            message = await receive()
            body_is_complete = not message.get("more_body", False)
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers.update(SECURITY_HEADERS)
            elif not message.get("more_body", False) and not body_is_complete:
                # The response ends only after the body: a server that closes a connection with unread bytes resets it,
                # and the client (nginx, for one) may lose the response.
                await send({**message, "more_body": True})
                await _drain(noting_receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_LIMIT:
                # h11 bounds headers that arrive in pieces; these came in one.
                scope.setdefault("state", {})["error_code"] = "head_too_large"
                await error_response("head_too_large", HEAD_TOO_LARGE)(scope, noting_receive, send_with_headers)
            else:
                await self._app(scope, noting_receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_DISCONNECTED
        except Exception:
            logger.exception("unforeseen error")
            scope.setdefault("state", {})["error_code"] = EmotionError.code
            if status:
                raise  # The response has begun: the server can only cut the connection.
            message = "The gateway failed on this request; its log says more under the request id."
            await error_response(EmotionError.code, message)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "")
            state = scope.get("state", {})
            self._metrics.count_request(method=method, route=route, status=status, code=state.get("error_code"))
            logger.info(
                "request",
                extra={
                    "method": method,
                    "route": route,
                    "status": status,
                    "caller": state.get("caller"),
                    "milliseconds": round(1000 * (time.perf_counter() - begin), 1),
                },
            )
            request_id_of_task.reset(token)


class UploadMemory:
    """Bytes of request bodies that are held in memory, and their limit for all requests together.

    Bytes count when they have arrived, not when they are announced: a client that announces much and sends nothing
    takes nothing from the others.

    Attributes:
        held: Bytes that are held now.
        limit: Most bytes.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.limit = limit

    def check(self, size: int) -> None:
        """Reject a body that does not fit now.

        Raises:
            UploadsFullError: It does not fit.
        """
        if self.held + size > self.limit:
            raise UploadsFullError(
                f"The uploads in progress hold {self.held} bytes; with {size} more they would exceed the limit for all "
                f"together, {self.limit} bytes. Try again in a moment."
            )


class UploadMemoryMiddleware:
    """Counts the body of a request in `UploadMemory` from the arrival of its bytes to the end of the request."""

    def __init__(self, app: ASGIApp, memory: UploadMemory) -> None:
        self._app = app
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        expected = int(declared) if declared.isdecimal() else 0
        held = 0

        async def counting_receive() -> Message:
            nonlocal held
            if not held:
                self._memory.check(expected)
            message = await receive()
            size = len(message.get("body", b""))
            try:
                self._memory.check(size)
            except UploadsFullError:
                # Released before the rejection is answered, or uploads that arrive meanwhile would be rejected, too.
                self._memory.held -= held
                held = 0
                raise
            self._memory.held += size
            held += size
            return message

        try:
            await self._app(scope, counting_receive, send)
        finally:
            self._memory.held -= held


def _routed(scope: Scope) -> Scope:
    """A scope as the routes know it: without the page's prefix, as nginx removes it, and GET instead of HEAD.

    uvicorn keeps the original, and leaves the body of an answer to HEAD out.
    """
    path, raw_path = scope["path"], scope["raw_path"]
    if path.startswith(f"{API_PREFIX}/"):
        path, raw_path = path.removeprefix(API_PREFIX), raw_path.removeprefix(API_PREFIX.encode())
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "method": method, "path": path, "raw_path": raw_path}


async def _drain(receive: Receive) -> None:
    """Discard the rest of a body, for a limited time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def _request_id(headers: Headers) -> str:
    """The client's id if it is harmless in a header and a log, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _VALID_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
