"""What Prometheus is told."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.running import running_gateway, settings_for_tests, wait_ready

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(gateway: httpx.Client) -> Samples:
    """Values by name and labels."""
    text = gateway.get("/metrics").raise_for_status().text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_requests_errors_and_stages_are_counted(clip: bytes) -> None:
    with running_gateway(settings_for_tests(decode_workers=2, decode_queue=5)) as gateway:
        wait_ready(gateway)
        for data in (clip, clip, b"text"):
            gateway.post("/predict", files={"file": ("clip", data)})
        gateway.get("/a/path/of/many")
        found = samples(gateway)
    assert value(found, "emotion_requests_total", method="POST", route="/predict", status="200") == 2
    assert value(found, "emotion_requests_total", method="POST", route="/predict", status="422") == 1
    assert value(found, "emotion_requests_total", method="GET", route="", status="404") == 1
    assert value(found, "emotion_errors_total", code="unsupported_media") == 1
    assert value(found, "emotion_errors_total", code="not_found") == 1
    for stage in ("upload", "queue", "decode", "crop", "mel", "inference", "total"):
        assert value(found, "emotion_stage_seconds_count", stage=stage) == 2
    assert value(found, "emotion_ready") == 1
    assert value(found, "emotion_decode_clips") == 0
    assert value(found, "emotion_decode_capacity") == 7
    assert not any("many" in str(key) for key in found)


def test_stages_are_in_the_answers_header(clip: bytes) -> None:
    with running_gateway(settings_for_tests()) as gateway:
        response = gateway.post("/predict", files={"file": ("clip", clip)})
    timings = response.json()["timings_ms"]
    assert response.headers["Server-Timing"] == ", ".join(f"{name};dur={spent}" for name, spent in timings.items())
