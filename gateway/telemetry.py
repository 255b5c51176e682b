"""Logs, metrics for Prometheus, and spans for OpenTelemetry if `EMO_OTLP_ENDPOINT` names a collector.

Logs are one JSON object a line, with the id of their request. FastAPI makes the span of a request; the gateway adds one
for decoding and one for the call to Triton. Neither logs nor spans ever hold media, tensors, probabilities, or file
names.
"""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from avemotion.preprocessing.errors import EmotionError
from gateway.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

request_id_of_task: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task works for."""

SERVICE_NAME: Final = "emotion-gateway"

NO_TRACER: Final[Tracer] = NoOpTracer()
"""Makes no spans."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_EXPORT_TIMEOUT: Final = 2.0
"""Longest time to send spans to the collector, in seconds: one that is away must not delay the gateway's end."""

_TALKATIVE: Final = ("uvicorn.access", "httpx", "httpcore", "grpc", "asyncio", "limits", "libav")

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class MissingTracingError(EmotionError):
    """The settings ask for traces, and OpenTelemetry's SDK is not installed."""

    code = "missing_tracing"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, `extra` included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = request_id_of_task.get()
        if request_id is not None:
            line["request_id"] = request_id
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Log to standard error as JSON, from a level on."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            # The gateway logs each request itself, without its query and its client's address. At lower levels,
            # libraries log what they send and parse: addresses, headers, bytes of bodies.
            "loggers": {name: {"level": "ERROR"} for name in _TALKATIVE},
        }
    )


class Metrics:
    """The metrics of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "emotion_requests",
            "Requests by route and status; 499 means that the client disconnected.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._errors = Counter("emotion_errors", "Error answers by code.", ["code"], registry=self._registry)
        self._explanations = Counter(
            "emotion_explanations",
            "Explanations that were asked for: given, late, failed, or unusable.",
            ["outcome"],
            registry=self._registry,
        )
        self._stages = Histogram(
            "emotion_stage_seconds",
            "Time of a prediction by stage: upload, queue, decode (of it crop and mel), inference, total.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def add_gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a number that is read when metrics are scraped."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def count_request(self, *, method: str, route: str, status: int, code: str | None) -> None:
        """Count an answered request.

        Args:
            method: HTTP method.
            route: Path template; never the path itself, of which there is no end.
            status: HTTP status.
            code: Code of the error, if it was one.
        """
        self._requests.labels(method, route, status).inc()
        if code is not None:
            self._errors.labels(code).inc()

    def count_explanation(self, outcome: str) -> None:
        """Count an explanation that was asked for: `given`, `late`, `failed` or `unusable`."""
        self._explanations.labels(outcome).inc()

    def observe_stages(self, seconds: Mapping[str, float]) -> None:
        """Observe the stages of a prediction, in seconds."""
        for stage, value in seconds.items():
            self._stages.labels(stage).observe(value)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def make_tracer_provider(settings: Settings) -> TracerProvider | None:
    """What makes spans and sends them to the collector; None if the settings name no collector.

    Raises:
        MissingTracingError: OpenTelemetry's SDK is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        raise MissingTracingError(
            "EMO_OTLP_ENDPOINT asks for traces, and OpenTelemetry's SDK is not installed: run "
            "`pip install --group tracing`, or leave the setting out."
        )
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (optional)
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_ratio)),
        resource=Resource.create({"service.name": SERVICE_NAME, "service.version": version("avemotion")}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=_EXPORT_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


@contextmanager
def stage_span(tracer: Tracer, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span of one stage; an error that passes marks it by its code or class, never by its message."""
    with tracer.start_as_current_span(name, kind=kind, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            span.set_status(Status(StatusCode.ERROR))
            raise
