"""Is the process alive, and would it answer?"""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter

from avemotion.api.service import HealthResponse, ReadyResponse
from gateway.routes.documentation import error_responses
from gateway.services import ServicesDependency

router = APIRouter(tags=["health"])

_VERSION = version("avemotion")


@router.get("/health")
async def health() -> HealthResponse:
    """The process is alive; this depends on nothing else."""
    return HealthResponse(version=_VERSION)


@router.get("/health/ready", responses=error_responses(["not_ready"]))
async def ready(services: ServicesDependency) -> ReadyResponse:
    """The model has answered a real inference within the last seconds."""
    prediction, age = services.readiness.check()
    return ReadyResponse(
        predictor=services.settings.predictor_name,
        model=prediction.model,
        model_version=prediction.model_version,
        answered_seconds_ago=round(age, 2),
    )
