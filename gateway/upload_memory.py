"""How much memory all uploads take at once: bodies are kept in memory, so that many of them together need a limit.

What counts is what has arrived, not what was announced: a client that announces much and sends nothing takes nothing
from the others. How long it may dawdle is bounded by time, elsewhere.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import UploadsFullError


class UploadMemory:
    """Bytes of request bodies that are held now.

    Attributes:
        held: So many.
        limit: Most of them.
    """

    def __init__(self, limit: int) -> None:
        """Hold nothing yet.

        Args:
            limit: Most bytes of all bodies together.
        """
        self.held = 0
        self.limit = limit

    def check(self, size: int) -> None:
        """Refuse a body that would not fit now.

        Args:
            size: Its bytes.

        Raises:
            UploadsFullError: It would not.
        """
        if self.held + size > self.limit:
            raise UploadsFullError(
                f"The uploads that are being received or worked on hold {self.held} bytes; with {size} more they would "
                f"be over {self.limit} bytes, the limit for all together. Try again in a moment."
            )


class UploadMemoryMiddleware:
    """Counts the body of a request from the arrival of its bytes to the end of the request, whatever route reads it."""

    def __init__(self, app: ASGIApp, memory: UploadMemory) -> None:
        """Wrap an application.

        Args:
            app: The application; an error raised while it reads a body reaches its error handlers.
            memory: Where to count.
        """
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
                # At once, and not when the refusal has been answered: else all that arrive meanwhile are refused, too.
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
