"""A request is traced from its caller through the gateway into Triton, and nothing private travels along."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from gateway import telemetry
from gateway.settings import Settings
from gateway.telemetry import MissingTracingError, make_tracer_provider
from tests.gateway.collector import Collector, collecting
from tests.gateway.fake_triton import FakeTriton, fake_triton
from tests.gateway.models import MODEL
from tests.gateway.running import PATIENCE, environment, running_gateway, settings_for_tests, wait_ready
from tests.support.triton import free_ports

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traced(
    collector: Collector, triton: FakeTriton, requests: list[dict[str, Any]], **changes: Any
) -> list[httpx.Response]:
    """Answers of a gateway that sends its spans to a collector, all of which are there afterwards."""
    settings = settings_for_tests(
        mock=False,
        model=MODEL,
        triton_grpc_port=triton.port,
        otlp_endpoint=collector.endpoint,
        probe_interval=3600.0,
        **changes,
    )
    with running_gateway(settings) as gateway:
        wait_ready(gateway)
        return [gateway.post("/predict", **request) for request in requests]


def attributes(span: Any) -> dict[str, str | int]:
    return {
        entry.key: entry.value.string_value if entry.value.HasField("string_value") else entry.value.int_value
        for entry in span.attributes
    }


def test_spans_lead_from_the_caller_to_triton(clip: bytes) -> None:
    with collecting() as collector, fake_triton() as triton:
        headers = {"traceparent": CALLER, "X-Request-ID": "r1"}
        [answer] = traced(collector, triton, [{"files": {"file": ("holiday.webm", clip)}, "headers": headers}])
        assert answer.status_code == 200
    _, trace, parent, _ = CALLER.split("-")
    spans = {span.name: span for span in collector.spans if span.trace_id.hex() == trace}
    request, decode = spans["POST /predict"], spans["decode"]
    infer = spans["inference.GRPCInferenceService/ModelInfer"]
    assert request.parent_span_id.hex() == parent
    assert {decode.parent_span_id, infer.parent_span_id} == {request.span_id}
    assert triton.metadata["traceparent"] == f"00-{trace}-{infer.span_id.hex()}-01"
    assert attributes(request) | {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "emotion.request_id": "r1",
    } == attributes(request)
    assert collector.resources["service.name"] == "emotion-gateway"
    assert "holiday" not in str(collector.spans)


def test_error_marks_its_span_by_its_code_alone() -> None:
    with collecting() as collector, fake_triton() as triton:
        [answer] = traced(collector, triton, [{"files": {"file": ("holiday.webm", b"text")}}])
        assert answer.status_code == 422
    spans = {span.name: span for span in collector.spans}
    assert attributes(spans["decode"])["error.type"] == "unsupported_media"
    assert attributes(spans["POST /predict"])["error.type"] == "unsupported_media"
    assert "media file" not in str(collector.spans)


def test_share_of_requests_is_traced_unless_the_caller_decided(clip: bytes) -> None:
    with collecting() as collector, fake_triton() as triton:
        form = {"files": {"file": ("clip", clip)}}
        traced(collector, triton, [form, form | {"headers": {"traceparent": CALLER}}], trace_ratio=0.0)
        assert triton.metadata["traceparent"].startswith("00-0af76519")
    assert {span.trace_id.hex() for span in collector.spans} == {CALLER.split("-")[1]}


def test_collector_that_is_away_costs_nothing(clip: bytes) -> None:
    [port] = free_ports(1)
    settings = settings_for_tests(otlp_endpoint=f"http://127.0.0.1:{port}")
    with running_gateway(settings) as gateway:
        assert gateway.post("/predict", files={"file": ("clip", clip)}).status_code == 200
        begin = time.monotonic()
    assert time.monotonic() - begin < PATIENCE


def test_sdk_is_not_loaded_without_an_endpoint() -> None:
    script = """
import sys
from gateway.app import create_app
from gateway.settings import Settings
create_app(Settings(mock=True))
assert not [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
"""
    subprocess.run([sys.executable, "-c", script], env=environment(), check=True, timeout=60)


def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "find_spec", lambda _: None)
    with pytest.raises(MissingTracingError, match=r"EMO_OTLP_ENDPOINT.*--group tracing"):
        make_tracer_provider(Settings(otlp_endpoint="http://127.0.0.1:4317"))
