"""Identifies the caller of a request before any of its body is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from gateway.auth.keys import ANONYMOUS
from gateway.errors import UnauthorizedError

if TYPE_CHECKING:
    from gateway.services import Services

_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="Needed if the server has keys.")
_bearer_token = HTTPBearer(auto_error=False, description="The same key, as a bearer token.")


async def identify(
    request: Request,
    header: Annotated[str | None, Security(_key_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer_token)],
) -> str:
    """The name of the caller's key.

    Raises:
        UnauthorizedError: The server needs a key, and the request has none or a wrong one.
        RateLimitedError: The address or the key asks too often; wrong keys count, too.
    """
    services: Services = request.app.state.services
    if services.rate_limits is not None and request.client is not None:
        await services.rate_limits.count_address(request.client.host)
    if services.keys is None:
        return ANONYMOUS
    key = header or (bearer.credentials if bearer is not None else None)
    if key is None:
        raise UnauthorizedError("This server needs an API key in the header X-API-Key; the request has none.")
    name = services.keys.name_of(key)
    if name is None:
        raise UnauthorizedError("The API key of the request is not valid.")
    if services.rate_limits is not None:
        await services.rate_limits.count_key(name)
    request.state.caller = name
    return name


Caller = Annotated[str, Depends(identify)]
