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
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
