"""The page, where the gateway serves it itself; in deployment nginx does."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles


def add_page(app: FastAPI, folder: Path) -> None:
    """Serve `index.html` at `/` and the folder `assets` beside it.

    Args:
        app: The application.
        folder: The page's folder.
    """

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(folder / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/assets", StaticFiles(directory=folder / "assets"), name="assets")
