"""The way to a prediction for requests that ask for nothing special, past what FastAPI does for all others.

For each parameter that a request could have, and for each dependency, FastAPI works out anew how it is to be read.
That takes little while a processor's caches hold all of it. Decoding has just emptied them here, and then it takes a
tenth of what the gateway may add to a prediction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from gateway.intake import Admission, admit
from gateway.request_deadline import DEADLINE_HEADER

_RAW_DEADLINE_HEADER: Final = DEADLINE_HEADER.lower().encode()


class PredictionRoute(APIRoute):
    """A route whose endpoint takes an admission, and parameters that all have defaults.

    A request without a query and without a deadline leaves nothing to be checked: all parameters are the defaults.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """How a request is answered."""
        checked = super().get_route_handler()
        endpoint: Callable[[Admission], Awaitable[Response]] = self.endpoint

        async def handle(request: Request) -> Response:
            scope = request.scope
            if scope["query_string"] or any(name == _RAW_DEADLINE_HEADER for name, _ in scope["headers"]):
                return await checked(request)
            return await endpoint(await admit(request))

        return handle
