"""Who is calling, before anything of the body is read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from gateway.errors import UnauthorizedError
from gateway.keys import ANONYMOUS
from gateway.services import services_of

key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="Asked for where the server has keys.")
bearer_token = HTTPBearer(auto_error=False, description="The same key, as a bearer token.")


KeyHeader = Annotated[str | None, Security(key_header)]
BearerToken = Annotated[HTTPAuthorizationCredentials | None, Security(bearer_token)]


async def identify(request: Request, header: KeyHeader, bearer: BearerToken) -> str:
    """The name of the caller's key.

    Args:
        request: The request, of which the address counts, too.
        header: The key in a header of its own, where it is there.
        bearer: The key as a bearer token, where it is there.

    Raises:
        UnauthorizedError: The server asks for a key, and there is none or a wrong one.
        RateLimitedError: The address or the key asks too often; wrong keys count, too.
    """
    services = services_of(request)
    if request.client is not None:
        await services.rate_limits.count_address(request.client.host)
    if services.keys.is_empty:
        return ANONYMOUS
    key = header or (bearer.credentials if bearer is not None else None)
    if key is None:
        raise UnauthorizedError("This server asks for an API key in the header X-API-Key; the request has none.")
    name = services.keys.name_of(key)
    if name is None:
        raise UnauthorizedError("The API key of the request is not valid.")
    await services.rate_limits.count_key(name)
    request.state.caller = name
    return name


Caller = Annotated[str, Depends(identify)]
