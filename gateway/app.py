"""The application, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from gateway.decode_worker import decode_clip
from gateway.decoding import DecodePool, DecodeTask
from gateway.error_responses import install_error_handlers
from gateway.keys import make_key_ring
from gateway.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from gateway.predictors import make_predictor
from gateway.readiness import Readiness
from gateway.routes import health, predict
from gateway.routes.page import add_page
from gateway.services import Services
from gateway.settings import Settings

_DESCRIPTION = (
    "Estimates which of eight emotions is expressed in a short clip of a face and a voice. It does not read what a "
    "person feels, and stores nothing."
)


def create_app(settings: Settings, decode_task: DecodeTask = decode_clip) -> FastAPI:
    """Make the application; its lifespan starts and stops what it needs.

    Args:
        settings: The settings.
        decode_task: What a decode worker does with a clip. Tests pass one that misbehaves.

    Raises:
        InsecureSettingsError: The settings would let anybody in.
    """
    pool = DecodePool(settings, decode_task)
    predictor = make_predictor(settings)
    services = Services(settings, pool, predictor, Readiness(settings, predictor, pool), make_key_ring(settings))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await predictor.start()
        try:
            await pool.start()
            probing = asyncio.create_task(services.readiness.probe_forever())
            try:
                yield
            finally:
                probing.cancel()
                await asyncio.wait({probing})
                await pool.stop()
        finally:
            await predictor.stop()

    app = FastAPI(
        title="Audio-visual emotion recognition",
        description=_DESCRIPTION,
        version=version("audio-visual-emotion"),
        lifespan=lifespan,
        # Their pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.add_middleware(RequestContextMiddleware)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=[REQUEST_ID_HEADER, "Content-Type", "X-API-Key", "Authorization"],
        expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
    )
    install_error_handlers(app)
    app.include_router(health.router)
    app.include_router(predict.router)
    if (settings.frontend_folder / "index.html").is_file():
        add_page(app, settings.frontend_folder)
    return app
