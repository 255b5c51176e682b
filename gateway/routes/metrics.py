"""`GET /metrics`, for Prometheus. It needs no key: keep it inside your network."""

from __future__ import annotations

from fastapi import APIRouter, Response

from gateway.metrics import CONTENT_TYPE
from gateway.services import ServicesDependency

router = APIRouter(tags=["observability"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' format."}},
)
async def metrics(services: ServicesDependency) -> Response:
    """Counters, histograms and gauges of this process."""
    return Response(services.metrics.exposition(), media_type=CONTENT_TYPE)
