"""The long-lived parts of a gateway: how they are made, started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from opentelemetry.trace import Tracer

from gateway.auth.keys import KeyRing
from gateway.auth.rate_limits import RateLimits, make_rate_limits
from gateway.auth.security_checks import check_security
from gateway.decode.pool import DecodePool
from gateway.decode.worker import Runner
from gateway.http.middleware import UploadMemory
from gateway.predict.explanation import Explainer
from gateway.predict.predictor import Predictor
from gateway.predict.readiness import Readiness
from gateway.settings import Settings
from gateway.telemetry import NO_TRACER, Metrics, make_tracer_provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


@dataclass(frozen=True)
class Services:
    """The parts of a gateway.

    Attributes:
        settings: The settings it was made with.
        pool: Decodes clips.
        predictor: Computes probabilities.
        readiness: Whether the model answers.
        keys: Who may call; None if no key is needed.
        rate_limits: Who calls too often; None if there is no limit.
        upload_memory: How many bytes of uploads are held.
        explainer: Puts probabilities into words.
        metrics: Counters and histograms.
        tracer_provider: Sends spans to a collector, if there is one.
        timeline_slots: Held while a timeline is decoded, so that timelines do not take all workers.
    """

    settings: Settings
    pool: DecodePool
    predictor: Predictor
    readiness: Readiness
    keys: KeyRing | None
    rate_limits: RateLimits | None
    upload_memory: UploadMemory
    explainer: Explainer
    metrics: Metrics
    tracer_provider: TracerProvider | None
    timeline_slots: asyncio.Semaphore

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start what needs to run; stop it when the context ends.

        Raises:
            EmotionError: The gateway cannot serve; the message says why.
        """
        await self.predictor.start()
        try:
            await self.pool.start()
            probing = asyncio.create_task(self.readiness.probe_forever())
            try:
                yield
            finally:
                probing.cancel()
                await asyncio.wait({probing})
                await self.pool.stop()
        finally:
            await self.explainer.stop()
            if self.rate_limits is not None:
                await self.rate_limits.stop()
            if self.tracer_provider is not None:
                await asyncio.to_thread(self.tracer_provider.shutdown)
            await self.predictor.stop()


def make_services(settings: Settings, runner: Runner) -> Services:
    """The parts of a gateway, not yet running.

    Raises:
        InsecureSettingsError: The settings would let anyone in.
        MissingTracingError: The settings ask for traces, and OpenTelemetry's SDK is not installed.
    """
    check_security(settings)
    metrics = Metrics()
    tracer_provider = make_tracer_provider(settings)
    tracer = NO_TRACER if tracer_provider is None else tracer_provider.get_tracer("gateway")
    pool = DecodePool(settings, metrics, tracer, runner)
    predictor = make_predictor(settings, tracer)
    readiness = Readiness(settings, predictor)
    upload_memory = UploadMemory(settings.upload_memory)
    rate_limits = make_rate_limits(settings)
    services = Services(
        settings=settings,
        pool=pool,
        predictor=predictor,
        readiness=readiness,
        keys=KeyRing(settings.api_keys) if settings.api_keys else None,
        rate_limits=rate_limits,
        upload_memory=upload_memory,
        explainer=Explainer(settings, metrics),
        metrics=metrics,
        tracer_provider=tracer_provider,
        timeline_slots=asyncio.Semaphore(settings.timelines_at_once),
    )
    gauge = metrics.add_gauge
    gauge("emotion_ready", "Whether the model has answered within the last seconds.", readiness.is_ready)
    gauge("emotion_decode_clips", "Clips that are being decoded or wait for it.", lambda: pool.admitted)
    gauge("emotion_decode_capacity", "Most clips that may be decoded or wait.", lambda: pool.capacity)
    gauge(
        "emotion_rate_limit_storage_away",
        "Whether this gateway counts rate limits alone because Redis is unreachable.",
        lambda: rate_limits is not None and rate_limits.storage_is_away,
    )
    gauge("emotion_upload_bytes", "Bytes of uploads that are received or worked on.", lambda: upload_memory.held)
    gauge("emotion_upload_limit_bytes", "Most bytes of uploads at once.", lambda: upload_memory.limit)
    return services


def make_predictor(settings: Settings, tracer: Tracer = NO_TRACER) -> Predictor:
    """The predictor that the settings name; the libraries of the others are not imported."""
    match settings.predictor_name:
        case "triton":
            from gateway.predict.triton import TritonPredictor  # noqa: PLC0415 (only what is used is loaded)

            return TritonPredictor(settings.triton_address, settings.model, tracer)
        case "onnxruntime":
            from gateway.predict.in_process import InProcessPredictor  # noqa: PLC0415 (only what is used is loaded)

            return InProcessPredictor(settings.model_repository, settings.model)
        case "mock":
            from gateway.predict.mock import MockPredictor  # noqa: PLC0415 (only what is used is loaded)

            return MockPredictor()


async def _services(request: Request) -> Services:  # async, so that FastAPI needs no thread for it
    services: Services = request.app.state.services
    return services


ServicesDependency = Annotated[Services, Depends(_services)]
