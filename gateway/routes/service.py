"""What the gateway says of itself: health, models, contract, metrics."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from avemotion.api.predictions import UNCERTAIN_RULE
from avemotion.api.service import (
    ContractLimits,
    ContractResponse,
    Features,
    HealthResponse,
    ModelEntry,
    ModelsResponse,
    ReadyResponse,
    SampledParameters,
)
from avemotion.preprocessing.contract import (
    CONTRACT_VERSION,
    FRAME_COUNT,
    FRAME_SIZE,
    LABELS,
    SAMPLE_RATE,
    WINDOW_SECONDS,
)
from avemotion.preprocessing.video import sample_times
from gateway.auth.authentication import Caller
from gateway.deadlines import Deadline
from gateway.http.sampled import JPEG_QUALITY, LONGEST_SIDE
from gateway.predict.timeline import LARGEST_STEP, SMALLEST_STEP
from gateway.routes.documentation import error_responses
from gateway.services import ServicesDependency

router = APIRouter()

_VERSION = version("avemotion")


@router.get("/health", tags=["health"])
async def health() -> HealthResponse:
    """Liveness: the process answers. It depends on nothing else."""
    return HealthResponse(version=_VERSION)


@router.get("/health/ready", tags=["health"], responses=error_responses(["not_ready"]))
async def ready(services: ServicesDependency) -> ReadyResponse:
    """Readiness: the model has answered a real inference within the last seconds."""
    prediction, age = services.readiness.check()
    return ReadyResponse(
        predictor=services.settings.predictor_name,
        model=prediction.model,
        model_version=prediction.model_version,
        answered_seconds_ago=round(age, 2),
    )


@router.get(
    "/metrics",
    tags=["observability"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' format."}},
)
async def metrics(services: ServicesDependency) -> Response:
    """Counters, histograms and gauges of this process, for Prometheus. It needs no key: keep it inside your network."""
    return Response(services.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/models",
    tags=["description"],
    responses=error_responses(
        ["unauthorized", "rate_limited", "internal_error", "model_unavailable", "not_ready"],
    ),
)
async def models(services: ServicesDependency, _: Caller) -> ModelsResponse:
    """The models that are ready and were made for the tensors that this server computes.

    Other models that Triton serves are not listed and cannot be asked for.
    """
    settings = services.settings
    found = await services.predictor.models(Deadline.after(settings.inference_timeout))
    return ModelsResponse(
        models=[
            ModelEntry(
                name=model.name,
                versions=list(model.versions),
                ready=services.readiness.is_ready() or model.name != services.predictor.default_model,
                default=model.name == services.predictor.default_model,
                contract_version=CONTRACT_VERSION,
                crop=model.crop,
                metrics=model.metrics,
            )
            for model in found
        ]
    )


@router.get("/contract", tags=["description"], responses=error_responses(["internal_error"]))
async def contract(services: ServicesDependency) -> ContractResponse:
    """The sizes, times and limits that pages and clients rely on, and what this server offers. It needs no key."""
    settings = services.settings
    return ContractResponse(
        contract_version=CONTRACT_VERSION,
        labels=list(LABELS),
        window_seconds=WINDOW_SECONDS,
        frame_count=FRAME_COUNT,
        frame_size=FRAME_SIZE,
        sample_rate=SAMPLE_RATE,
        sample_times=sample_times(0.0, WINDOW_SECONDS),
        sampled=SampledParameters(
            frame_longest_side=LONGEST_SIDE,
            jpeg_quality=JPEG_QUALITY,
            upload_bytes=settings.sampled_upload_limit,
            sample_format="pcm_s16le",
        ),
        limits=ContractLimits(
            upload_bytes=settings.upload_limit,
            batch_clips=settings.batch_limit,
            batch_bytes=settings.batch_upload_limit,
            timeline_seconds=settings.timeline_seconds,
            timeline_step_min=SMALLEST_STEP,
            timeline_step_max=LARGEST_STEP,
            deadline_seconds=settings.request_deadline,
        ),
        features=Features(api_key=services.keys is not None, explain=services.explainer.is_available),
        uncertain_rule=UNCERTAIN_RULE,
    )
