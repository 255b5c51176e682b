"""What Prometheus is told: how many, how long, how full, and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        requests = Counter(
            "emotion_requests",
            "Requests by route and status; 499 is a client that went.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._requests = cache(requests.labels)  # A request looks up many; each of these is there for good.
        self._errors = Counter("emotion_errors", "Error answers by code.", ["code"], registry=self._registry)
        self._explanations = Counter(
            "emotion_explanations",
            "Explanations that were asked for: given, late, failed, or unusable.",
            ["outcome"],
            registry=self._registry,
        )
        stages = Histogram(
            "emotion_stage_seconds",
            "Time of a prediction by stage: upload, queue, decode (of it crop and mel), inference, total.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = cache(stages.labels)

    def add_gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a number that is read whenever somebody asks.

        Args:
            name: Name of the metric.
            meaning: Its help text.
            value: Gives the number.
        """
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def count_request(self, *, method: str, route: str, status: int, code: str | None) -> None:
        """Count an answered request.

        Args:
            method: HTTP method.
            route: Path template; never the path itself, of which there are endlessly many.
            status: HTTP status.
            code: Code of the error, where it was one.
        """
        self._requests(method, route, status).inc()
        if code is not None:
            self._errors.labels(code).inc()

    def count_explanation(self, outcome: str) -> None:
        """Count an explanation that was asked for: `given`, `late`, `failed` or `unusable`."""
        self._explanations.labels(outcome).inc()

    def observe_stages(self, seconds: Mapping[str, float]) -> None:
        """Take note of the stages of a prediction, in seconds, as soon as whoever asks for it waits for something.

        No client should wait for it.
        """
        asyncio.get_running_loop().call_soon(self._observe_stages, seconds)

    def _observe_stages(self, seconds: Mapping[str, float]) -> None:
        for stage, value in seconds.items():
            self._stages(stage).observe(value)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
