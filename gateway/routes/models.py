"""`GET /models` and `GET /contract`: what can be asked for, and the numbers that clients go by."""

from __future__ import annotations

from fastapi import APIRouter

from avemotion.api.service import (
    ContractLimits,
    ContractResponse,
    Features,
    ModelSchema,
    ModelsResponse,
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
from avemotion.preprocessing.uncertainty import RULE
from avemotion.preprocessing.video import sample_times
from gateway.authentication import Caller
from gateway.deadline import Deadline
from gateway.routes.documentation import error_responses
from gateway.sampled_upload import JPEG_QUALITY, LONGEST_SIDE
from gateway.services import ServicesDependency
from gateway.timeline import LARGEST_STEP, SMALLEST_STEP

router = APIRouter(tags=["description"])


@router.get(
    "/models",
    responses=error_responses(
        ["unauthorized", "rate_limited", "internal_error", "model_unavailable", "not_ready"],
    ),
)
async def models(services: ServicesDependency, _: Caller) -> ModelsResponse:
    """The models that are ready and were made for the tensors that this server computes.

    Others that Triton serves are not listed, and cannot be asked for.
    """
    settings = services.settings
    found = await services.predictor.models(Deadline.after(settings.inference_timeout))
    return ModelsResponse(
        models=[
            ModelSchema(
                name=model.name,
                versions=list(model.versions),
                ready=services.readiness.is_ready() or model.name != services.predictor.default_model,
                default=model.name == services.predictor.default_model,
                contract_version=model.contract_version,
                crop=model.crop,
                metrics=model.metrics,
            )
            for model in found
        ]
    )


@router.get("/contract", responses=error_responses(["internal_error"]))
async def contract(services: ServicesDependency) -> ContractResponse:
    """The sizes, times and limits that pages and clients go by, and what this server offers. It needs no key."""
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
        features=Features(api_key=not services.keys.is_empty, explain=services.explainer.is_available),
        uncertain_rule=RULE,
    )
