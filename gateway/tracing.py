"""OpenTelemetry spans from a request through its stages into Triton, where `EMO_OTLP_ENDPOINT` says who collects them.

Without it OpenTelemetry's SDK is not imported, and a span is an empty context. A span names a stage, a route, a
status and a request id; never media, numbers of a prediction, or file names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avemotion.preprocessing.errors import EmotionError
from gateway.logs import request_id_of_task
from gateway.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

Kind = Literal["server", "client", "internal"]

_SERVICE: Final = "emotion-gateway"
_EXPORT_TIMEOUT: Final = 2.0
"""Longest time to hand spans to the collector, in seconds: one that is away must not delay the end of the gateway."""

_tracing_of_task: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


class MissingTracingError(EmotionError):
    """The settings ask for traces, and what makes them is not installed."""

    code = "missing_tracing"


class Tracing:
    """Makes spans and sends them to a collector."""

    def __init__(self, exporter: SpanExporter, ratio: float) -> None:
        """Start the thread that sends spans.

        Args:
            exporter: Where to send them.
            ratio: Share of requests that are traced, where the caller has not decided it.
        """
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (only where traces are wanted)
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        resource = Resource.create({"service.name": _SERVICE, "service.version": version("avemotion")})
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(__name__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, name: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """The span of a whole request, a child of the caller's where its headers name one."""
        token = _tracing_of_task.set(self)
        try:
            with self.span(name, "server", context=self._propagator.extract(dict(headers))) as span:
                yield span
        finally:
            _tracing_of_task.reset(token)

    @contextmanager
    def span(self, name: str, kind: Kind = "internal", **options: Any) -> Iterator[Span]:  # noqa: ANN401
        """A span inside the current one; an error that passes marks it, by its class alone."""
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        with self._tracer.start_as_current_span(
            name, kind=SpanKind[kind.upper()], record_exception=False, set_status_on_exception=False, **options
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
                span.set_status(Status(StatusCode.ERROR))
                raise

    def headers(self) -> dict[str, str]:
        """The current span, as headers of a call to another service (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are traced."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            with self.request(scope["method"], Headers(scope=scope)) as current:
                current.set_attribute("http.request.method", scope["method"])
                current.set_attribute("emotion.request_id", request_id_of_task.get() or "")

                async def noting_send(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        current.set_attribute("http.response.status_code", message["status"])
                    await send(message)

                try:
                    await app(scope, receive, noting_send)
                finally:
                    route = getattr(scope.get("route"), "path", "")
                    current.update_name(f"{scope['method']} {route}".strip())
                    current.set_attribute("http.route", route)
                    code = scope.get("state", {}).get("error_code")
                    if code is not None:
                        current.set_attribute("error.type", code)

        return traced

    async def stop(self) -> None:
        """Send what is left, and end the thread."""
        await asyncio.to_thread(self._provider.shutdown)


def make_tracing(settings: Settings) -> Tracing | None:
    """Tracing as the settings want it, or None.

    Raises:
        MissingTracingError: OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        raise MissingTracingError(
            "EMO_OTLP_ENDPOINT asks for traces, and OpenTelemetry is not installed: install this project with its "
            "extra, `pip install '.[tracing]'`, or leave the setting out."
        )
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=_EXPORT_TIMEOUT)
    return Tracing(exporter, settings.trace_ratio)


def span(name: str, kind: Kind = "internal") -> AbstractContextManager[object]:
    """A span of the current task's request; nothing where it is not traced."""
    tracing = _tracing_of_task.get()
    return nullcontext() if tracing is None else tracing.span(name, kind)


def trace_headers() -> dict[str, str]:
    """Headers that carry the current span to another service; none where nothing is traced."""
    tracing = _tracing_of_task.get()
    return {} if tracing is None else tracing.headers()
