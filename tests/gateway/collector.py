"""An OTLP collector in this process, over real gRPC, that keeps the spans it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.support.triton import free_ports


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """The collector.

    Attributes:
        port: Where it listens on loopback.
        spans: All spans that came.
        resources: Attributes of what sent them.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.spans: list[Any] = []
        self.resources: dict[str, str] = {}

    @property
    def endpoint(self) -> str:
        """Address for `EMO_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}"

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 (gRPC's name and signature)
        for group in request.resource_spans:
            self.resources |= {entry.key: entry.value.string_value for entry in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens while the context is open."""
    [port] = free_ports(1)
    collector = Collector(port)
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    try:
        yield collector
    finally:
        server.stop(grace=None).wait()
