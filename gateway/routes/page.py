"""The page, where the gateway serves it itself; in deployment nginx does.

The page finds its API below `api/`, beside itself, whoever serves it: the gateway answers below that prefix as well as
at its root, so that nginx may take the prefix off and a cluster's Ingress, which sends it here directly, need not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

API_PREFIX: Final = "/api"


class ApiPrefixMiddleware:
    """Takes the page's prefix off a path, as nginx does."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application.

        Args:
            app: The application.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"].startswith(f"{API_PREFIX}/"):
            raw_path = scope["raw_path"].removeprefix(API_PREFIX.encode())
            scope = {**scope, "path": scope["path"].removeprefix(API_PREFIX), "raw_path": raw_path}
        await self._app(scope, receive, send)


class _Files(StaticFiles):
    """Files that browsers keep, and ask about each time: they keep their names when they change. As nginx does."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Add the header to a file's response."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve `index.html` at `/` and the folder `assets` beside it.

    Args:
        app: The application.
        folder: The page's folder.
    """
    # A route of this one path: the folder holds more than the page.
    app.router.add_route("/", GZipMiddleware(_Files(directory=folder, html=True)), include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application is as good as a function
    app.mount("/assets", GZipMiddleware(_Files(directory=folder / "assets")), name="assets")
