"""The application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from gateway.decode_worker import Perform
from gateway.decode_worker import perform as perform_task
from gateway.error_responses import install_error_handlers
from gateway.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from gateway.request_deadline import DEADLINE_HEADER
from gateway.routes import health, metrics, models, predict, timeline
from gateway.routes.page import ApiPrefixMiddleware, add_page
from gateway.services import make_services
from gateway.settings import Settings
from gateway.upload_memory import UploadMemoryMiddleware

_DESCRIPTION = (
    "Estimates which of eight emotions is **expressed** in a short clip of a face and a voice, by a model that learned "
    "from actors. It does not read what a person feels, thinks or intends, it is often wrong, and it says so: each "
    "answer carries its probability, and a flag where it is no better than a guess. Nothing of a clip is stored or "
    "logged.\n\n"
    "Do not judge people by it. Inferring emotions at work and in education is prohibited in the EU (AI Act, "
    "Regulation (EU) 2024/1689, Art. 5(1)(f)); elsewhere, those exposed to it must be told."
)


def create_app(settings: Settings, perform: Perform = perform_task) -> FastAPI:
    """Make the application; its lifespan starts and stops what it needs.

    Args:
        settings: The settings.
        perform: How a decode worker runs a task. Tests pass one that misbehaves.

    Raises:
        InsecureSettingsError: The settings would let anybody in.
    """
    services = make_services(settings, perform)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.running():
            yield

    app = FastAPI(
        title="Audio-visual emotion recognition",
        description=_DESCRIPTION,
        version=version("avemotion"),
        lifespan=lifespan,
        # Their pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        # Spans are made in `gateway.tracing`, which knows what must not be in them.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    app.add_middleware(UploadMemoryMiddleware, memory=services.upload_memory)
    if services.tracing is not None:
        app.add_middleware(services.tracing.middleware)
    app.add_middleware(RequestContextMiddleware, metrics=services.metrics)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=[REQUEST_ID_HEADER, DEADLINE_HEADER, "Content-Type", "X-API-Key", "Authorization"],
        expose_headers=[REQUEST_ID_HEADER, "Retry-After", "Server-Timing"],
    )
    install_error_handlers(app)
    for router in (predict.router, timeline.router, models.router, health.router, metrics.router):
        # As they are: `include_router` is for prefixes, and wraps a router so that each request is matched twice.
        app.router.routes += router.routes
    if (settings.frontend_folder / "index.html").is_file():
        add_page(app, settings.frontend_folder)
    # Added last, it comes first.
    app.add_middleware(ApiPrefixMiddleware)
    return app
