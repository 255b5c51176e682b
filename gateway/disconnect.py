"""Work for a client that has gone is stopped: nobody waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def run_while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Run something for a client, and cancel it when the client disconnects.

    Args:
        request: A request whose body has been read.
        work: What to run.

    Raises:
        ClientDisconnect: The client went first.
    """
    working = asyncio.current_task()
    assert working is not None  # noqa: S101 (for the type checker)
    watching = asyncio.create_task(_cancel_on_disconnect(request, working))
    try:
        return await work
    except asyncio.CancelledError:
        if not watching.done():
            raise
        working.uncancel()
        raise ClientDisconnect from None
    finally:
        watching.cancel()


async def _cancel_on_disconnect(request: Request, working: asyncio.Task[object]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    working.cancel()
