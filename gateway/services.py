"""What lives as long as the gateway does: put together, started and stopped here, and how a route gets at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.decode_worker import Perform
from gateway.decoding import DecodePool
from gateway.explanation import Explainer
from gateway.exposure import check_exposure
from gateway.keys import KeyRing
from gateway.metrics import Metrics
from gateway.predictors import Predictor, make_predictor
from gateway.rate_limits import RateLimits
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.tracing import Tracing, make_tracing
from gateway.upload_memory import UploadMemory


@dataclass(frozen=True)
class Services:
    """The parts of a gateway.

    Attributes:
        settings: The settings it was made with.
        pool: Decodes clips.
        predictor: Computes probabilities.
        readiness: Knows whether the model answers.
        keys: Knows who may call.
        rate_limits: Knows who calls too often.
        upload_memory: Knows how many bytes of uploads are held.
        explainer: Puts probabilities into words.
        metrics: Counts and measures.
        tracing: Sends spans to a collector, where there is one.
        timeline_turns: Held while a timeline is decoded, so that not all workers are taken by them.
    """

    settings: Settings
    pool: DecodePool
    predictor: Predictor
    readiness: Readiness
    keys: KeyRing
    rate_limits: RateLimits
    upload_memory: UploadMemory
    explainer: Explainer
    metrics: Metrics
    tracing: Tracing | None
    timeline_turns: asyncio.Semaphore

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what needs to run, while the context is open.

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
            await self.rate_limits.stop()
            if self.tracing is not None:
                await self.tracing.stop()
            await self.predictor.stop()


def make_services(settings: Settings, perform: Perform) -> Services:
    """The parts of a gateway, not yet running.

    Args:
        settings: The settings.
        perform: How a decode worker runs a task.

    Raises:
        InsecureSettingsError: The settings would let anybody in.
        MissingTracingError: The settings want traces, and OpenTelemetry is not installed.
    """
    check_exposure(settings)
    metrics = Metrics()
    pool = DecodePool(settings, metrics, perform)
    predictor = make_predictor(settings)
    readiness = Readiness(settings, predictor)
    upload_memory = UploadMemory(settings.upload_memory)
    rate_limits = RateLimits(settings)
    explainer = Explainer(settings, metrics)
    services = Services(
        settings=settings,
        pool=pool,
        predictor=predictor,
        readiness=readiness,
        keys=KeyRing(settings.api_keys),
        rate_limits=rate_limits,
        upload_memory=upload_memory,
        explainer=explainer,
        metrics=metrics,
        tracing=make_tracing(settings),
        timeline_turns=asyncio.Semaphore(settings.timelines_at_once),
    )
    gauge = metrics.add_gauge
    gauge("emotion_ready", "Whether the model has answered within the last seconds.", readiness.is_ready)
    gauge("emotion_decode_clips", "Clips that are being decoded or wait for it.", lambda: pool.admitted)
    gauge("emotion_decode_capacity", "Most clips that may be decoded or wait.", lambda: pool.capacity)
    gauge(
        "emotion_rate_limit_storage_away",
        "Whether rate limits are counted by this gateway alone because Redis is away.",
        lambda: rate_limits.storage_is_away,
    )
    gauge("emotion_upload_bytes", "Bytes of uploads that are received or worked on.", lambda: upload_memory.held)
    gauge("emotion_upload_limit_bytes", "Most bytes of uploads at once.", lambda: upload_memory.limit)
    return services


def services_of(request: Request) -> Services:
    """The running gateway of a request.

    Dependencies call this instead of depending on it: FastAPI takes a tenth of a millisecond for each dependency of a
    dependency, for every request.
    """
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 (for the type checker; set when the application is made)
    return services


async def _services(request: Request) -> Services:  # async, so that FastAPI needs no thread for it
    return services_of(request)


ServicesDependency = Annotated[Services, Depends(_services)]
