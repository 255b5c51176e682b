"""Triton slow, draining, cut off, or without the version: one sentence in time, and right answers afterwards."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from tests.gateway import raw
from tests.gateway.fake_triton import FakeTriton, fake_triton
from tests.gateway.models import MODEL
from tests.gateway.proxy import proxy
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready, wait_until
from tests.gateway.test_metrics import samples, value
from triton_server.launcher import TritonServer


@contextmanager
def gateway_before(port: int, **changes: Any) -> Iterator[httpx.Client]:
    """A gateway that asks Triton at a port, ready."""
    settings = settings_for_tests(
        mock=False, model=MODEL, triton_grpc_port=port, inference_timeout=120.0, request_deadline=120.0, **changes
    )
    with running_gateway(settings) as gateway:
        wait_ready(gateway)
        yield gateway


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    with fake_triton() as fake:
        yield fake


def predict(gateway: httpx.Client, clip: bytes, query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post(f"/predict{query}", files={"file": ("clip", clip)}, headers=named)


def assert_error(response: httpx.Response, status: int, code: str, *words: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    for word in words:
        assert word in error["message"]


def test_slow_triton_is_waited_for_until_the_deadline_of_the_client(triton: FakeTriton, clip: bytes) -> None:
    with gateway_before(triton.port) as gateway:
        triton.hold.clear()
        assert_error(predict(gateway, clip, X_Deadline_Seconds="2"), 503, "deadline_exceeded", "2 s")
        wait_until(lambda: triton.cancelled >= 1, "Triton is told")
        triton.hold.set()
        assert predict(gateway, clip).status_code == 200


def test_draining_triton_is_away_and_found_again(triton: FakeTriton, clip: bytes) -> None:
    with gateway_before(triton.port) as gateway:
        triton.refusal = grpc.StatusCode.NOT_FOUND
        response = predict(gateway, clip)
        assert_error(response, 503, "model_unavailable", MODEL)
        assert int(response.headers["Retry-After"]) >= 1
        wait_until(lambda: gateway.get("/health/ready").status_code == 503, "unready")
        assert gateway.get("/health").status_code == 200
        triton.refusal = None
        assert predict(gateway, clip).status_code == 200
        wait_ready(gateway)


def test_cut_channel_costs_the_requests_in_hand_and_no_other(triton: FakeTriton, clip: bytes) -> None:
    with proxy(triton.port) as wire, gateway_before(wire.port) as gateway:
        triton.hold.clear()
        triton.asked = 0
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(predict(gateway, clip, X_Request_ID="in-hand")))
        thread.start()
        # A probe may be there, too.
        wait_until(lambda: triton.asked >= 2, "the clip's inference is in hand")
        wire.cut()
        thread.join()
        triton.hold.set()
        assert_error(answers[0], 503, "model_unavailable", "cannot be reached")
        wait_until(lambda: predict(gateway, clip).status_code == 200, "answered again")


def test_version_that_is_not_there_is_the_callers_fault_and_costs_nobody_else(
    triton_server: TritonServer, clip: bytes
) -> None:
    with gateway_before(triton_server.options.grpc_port) as gateway:
        assert_error(predict(gateway, clip, f"?model={MODEL}&version=9"), 404, "model_not_found", "version 9")
        assert predict(gateway, clip, f"?model={MODEL}&version=1").status_code == 200
        assert predict(gateway, clip).status_code == 200


def wav() -> bytes:
    """Three seconds of noise, as `/predict/sampled` takes them."""
    samples = np.random.default_rng(5).integers(-9000, 9000, WINDOW_SAMPLES, np.int16)
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            sound.writeframes(samples.tobytes())
        return file.getvalue()


@pytest.mark.parametrize(
    ("path", "field", "accept"),
    [
        ("/predict", "file", "application/json"),
        ("/predict/batch", "files", "application/json"),
        ("/predict/sampled", "audio", "application/json"),
        ("/predict/timeline", "file", "application/json"),
        ("/predict/timeline", "file", "application/x-ndjson"),
    ],
)
def test_client_that_goes_ends_its_inference_whatever_it_asked(
    held: tuple[httpx.Client, FakeTriton], clip: bytes, path: str, field: str, accept: str
) -> None:
    gateway, triton = held
    asked, before = triton.asked, triton.cancelled
    with raw.sent(gateway, path, field, wav() if field == "audio" else clip, Accept=accept):
        wait_until(lambda: triton.asked > asked, "its inference is in hand")
    wait_until(lambda: triton.cancelled > before, "the call is cancelled")
    wait_until(lambda: value(samples(gateway), "emotion_upload_bytes") == 0, "nothing is held")


def test_client_that_asks_to_upgrade_and_goes_ends_its_inference(
    held: tuple[httpx.Client, FakeTriton], clip: bytes
) -> None:
    gateway, triton = held
    asked, before = triton.asked, triton.cancelled
    with raw.sent(gateway, "/predict", "file", clip, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c"):
        wait_until(lambda: triton.asked > asked, "its inference is in hand")
    wait_until(lambda: triton.cancelled > before, "the call is cancelled")


@pytest.fixture(scope="module")
def held() -> Iterator[tuple[httpx.Client, FakeTriton]]:
    """A gateway before a Triton that answers nothing any more."""
    with fake_triton() as triton, gateway_before(triton.port, probe_interval=3600.0) as gateway:
        triton.hold.clear()
        yield gateway, triton
