"""The recorder page, if the gateway serves it itself; in deployment nginx does."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope


class _Files(StaticFiles):
    """Files that browsers cache and revalidate each time, since their names do not change with their content."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Add the header to the response."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve `index.html` at `/` and the folder `assets` beside it.

    Args:
        app: The application.
        folder: The page's folder.
    """
    # A route for this path only: the folder holds more than the page.
    app.router.add_route("/", GZipMiddleware(_Files(directory=folder, html=True)), include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application is as good as a function
    app.mount("/assets", GZipMiddleware(_Files(directory=folder / "assets")), name="assets")
