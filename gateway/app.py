"""The application, assembled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from gateway.decode.worker import Runner, run_task
from gateway.http.context import DEADLINE_HEADER, check_query
from gateway.http.error_responses import REQUEST_ID_HEADER, install_error_handlers
from gateway.http.middleware import RequestMiddleware, UploadMemoryMiddleware
from gateway.routes import predictions, service, timeline
from gateway.routes.documentation import error_responses
from gateway.routes.page import add_page
from gateway.services import make_services
from gateway.settings import Settings

_DESCRIPTION = (
    "Estimates which of eight emotions is **expressed** in a short clip of a face and a voice, by a model that learned "
    "from actors. It does not read what a person feels, thinks or intends. It is often wrong, and it says so: each "
    "answer carries its probability, and a flag if it is no better than a guess. Nothing of a clip is stored or "
    "logged.\n\n"
    "Do not judge people by it. Inferring emotions at work and in education is prohibited in the EU (AI Act, "
    "Regulation (EU) 2024/1689, Art. 5(1)(f)); elsewhere, people exposed to it must be told."
)


def create_app(settings: Settings, runner: Runner = run_task) -> FastAPI:
    """Make the application; its lifespan starts and stops its services.

    Raises:
        InsecureSettingsError: The settings would let anyone in.
    """
    services = make_services(settings, runner)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.running():
            yield

    app = FastAPI(
        title="Audio-visual emotion recognition",
        description=_DESCRIPTION,
        version=version("avemotion"),
        lifespan=lifespan,
        dependencies=[Depends(check_query)],
        responses=error_responses(["invalid_request"]),
        redirect_slashes=False,  # A redirect would lose the page's prefix.
        # Their pages load scripts from other hosts, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        telemetry={
            "tracing": services.tracer_provider is not None,
            "tracer_provider": services.tracer_provider,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
        },
    )
    app.state.services = services
    app.add_middleware(UploadMemoryMiddleware, memory=services.upload_memory)
    app.add_middleware(RequestMiddleware, metrics=services.metrics)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=[REQUEST_ID_HEADER, DEADLINE_HEADER, "Content-Type", "X-API-Key", "Authorization"],
        expose_headers=[REQUEST_ID_HEADER, "Retry-After", "Server-Timing"],
    )
    install_error_handlers(app)
    for router in (predictions.router, timeline.router, service.router):
        app.include_router(router)
    if (settings.frontend_folder / "index.html").is_file():
        add_page(app, settings.frontend_folder)
    return app
