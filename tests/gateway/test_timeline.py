"""`POST /predict/timeline`: a row for each window, whole or line by line, and no work for a client that went."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.timeline import read_timeline
from gateway.deadlines import Deadline
from gateway.errors import ModelUnavailableError
from gateway.predict.mock import MockPredictor
from gateway.predict.predictor import ModelDescription, Tensors
from gateway.routes.timeline import NDJSON, prefers_ndjson
from tests.gateway import raw
from tests.gateway.models import MODEL
from tests.gateway.running import running_gateway, settings_for_tests, wait_until
from tests.gateway.test_bad_input import assert_refused
from tests.gateway.test_triton import gateway_before
from tests.support.clips import noise, synthetic_clip
from triton_server.launcher import TritonServer

LONGEST = 30.0


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(timeline_seconds=LONGEST)) as client:
        yield client


def long_clip(seconds: float, seed: int = 0, **changes: Any) -> bytes:
    return synthetic_clip(
        frame_times=range(0, round(1000 * seconds), 40),
        waveform=noise(seconds, 48_000, seed),
        **changes,
    )


@pytest.fixture(scope="module")
def clip_of_ten_seconds() -> bytes:
    return long_clip(10.0, seed=7)


def send(gateway: httpx.Client, clip: bytes, query: str = "", accept: str = "*/*") -> httpx.Response:
    return gateway.post(f"/predict/timeline{query}", files={"file": clip}, headers={"Accept": accept})


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize(("query", "step", "rows"), [("", 0.5, 15), ("?step=1", 1.0, 8), ("?step=0.7", 0.7, 11)])
def test_rows_cover_the_clip_at_the_step(
    gateway: httpx.Client, clip_of_ten_seconds: bytes, query: str, step: float, rows: int
) -> None:
    answer = send(gateway, clip_of_ten_seconds, query).raise_for_status().json()
    assert (answer["step"], answer["window_seconds"], answer["model"]) == (step, 3.0, "mock")
    assert answer["duration"] == pytest.approx(10.0, abs=0.05)
    assert [row["start"] for row in answer["rows"]] == pytest.approx([step * index for index in range(rows)], abs=2e-3)
    assert all(row["end"] - row["start"] == pytest.approx(3, abs=2e-3) for row in answer["rows"])
    assert all(sum(row["probs"]) == pytest.approx(100, abs=1e-3) for row in answer["rows"])
    assert len({tuple(row["probs"]) for row in answer["rows"]}) == rows
    timings = answer["timings_ms"]
    parts = sum(timings[stage] for stage in ("upload", "queue", "decode", "inference"))
    assert parts == pytest.approx(timings["total"], abs=5)


def test_stream_has_the_rows_of_the_whole_answer(gateway: httpx.Client, clip_of_ten_seconds: bytes) -> None:
    whole = send(gateway, clip_of_ten_seconds).json()
    response = send(gateway, clip_of_ten_seconds, accept=NDJSON).raise_for_status()
    assert response.headers["Content-Type"] == NDJSON
    head, *rows, end = lines_of(response)
    assert head.pop("type") == "start"
    assert head.pop("request_id") == response.headers["X-Request-ID"]
    assert head.items() <= whole.items()
    assert [row.pop("type") for row in rows] == ["row"] * len(rows)
    assert rows == whole["rows"]
    assert (end["type"], end["rows"], set(end["timings_ms"])) == ("end", len(rows), set(whole["timings_ms"]))


def test_rows_are_the_models_answers_for_the_windows(
    model_repository: Path, triton_server: TritonServer, clip_of_ten_seconds: bytes
) -> None:
    timeline = read_timeline(clip_of_ten_seconds, step=0.5)
    with gateway_before(triton_server) as gateway:
        answer = send(gateway, clip_of_ten_seconds).raise_for_status().json()
        chosen = send(gateway, clip_of_ten_seconds, f"?model={MODEL}&version=1").raise_for_status().json()
    expected = reference(model_repository, timeline.tensors())
    np.testing.assert_allclose([row["probs"] for row in answer["rows"]], 100 * expected, rtol=0, atol=1.1e-3)
    assert chosen["rows"] == answer["rows"]
    assert (answer["model"], answer["model_version"]) == (MODEL, "1")


def reference(repository: Path, tensors: Tensors) -> np.ndarray:
    session = onnxruntime.InferenceSession(repository / MODEL / "1" / "model.onnx")
    return np.asarray(session.run(["probabilities"], dict(tensors))[0])


def test_clip_shorter_than_a_window_has_one_row(gateway: httpx.Client) -> None:
    answer = send(gateway, long_clip(1.2)).raise_for_status().json()
    [row] = answer["rows"]
    assert row["end"] == pytest.approx(1.2, abs=0.05)


def test_sound_alone_is_a_timeline_too(gateway: httpx.Client) -> None:
    clip = synthetic_clip(container="wav", video_codec=None, waveform=noise(5.0, 16_000), sample_rate=16_000)
    answer = send(gateway, clip).raise_for_status().json()
    assert {tuple(row["modalities"].values()) for row in answer["rows"]} == {(False, True)}


def test_clip_that_is_too_long_is_refused_with_both_lengths(gateway: httpx.Client) -> None:
    clip = synthetic_clip(container="wav", video_codec=None, waveform=noise(LONGEST + 2, 16_000), sample_rate=16_000)
    assert_refused(send(gateway, clip), 422, "clip_too_long", "32.00 s", "30 s")


@pytest.mark.parametrize("step", ["0", "-1", "0.49", "1.01", "nan", "inf", "much", ""])
def test_step_out_of_range_is_refused(gateway: httpx.Client, step: str) -> None:
    assert_refused(send(gateway, b"x", f"?step={step}"), 422, "invalid_request", "step")


@pytest.mark.parametrize(
    ("clip", "code"),
    [(b"", "empty_media"), (b"text" * 99, "unsupported_media"), (synthetic_clip()[:40], "unsupported_media")],
)
@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_clip_that_cannot_be_read_is_refused_before_the_stream(
    gateway: httpx.Client, accept: str, clip: bytes, code: str
) -> None:
    response = send(gateway, clip, accept=accept)
    assert (response.status_code, response.json()["error"]["code"]) in {(422, code), (422, "damaged_media")}


def test_form_and_model_are_checked_here_too(gateway: httpx.Client) -> None:
    assert_refused(gateway.post("/predict/timeline", files={"clip": b"x"}), 422, "missing_file", "'file'")
    assert_refused(gateway.post("/predict/timeline", json=[]), 415, "unsupported_content_type", "'file'")
    assert_refused(gateway.post("/predict/timeline?model=absent"), 404, "model_not_found", "'mock'")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (NDJSON, True),
        (f"{NDJSON}, */*", True),
        (f"{NDJSON}, application/json;q=0.9", True),
        (f"application/json, {NDJSON}", True),
        (f"application/json, {NDJSON};q=0.5", False),
        (f"{NDJSON};q=0", False),
        (f"{NDJSON};q=much", False),
        ("*/*", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_lines_are_sent_to_those_who_prefer_them(accept: str, expected: bool) -> None:
    assert prefers_ndjson(accept) is expected


class CountingPredictor(MockPredictor):
    """Counts its batches, each of one window, and waits or fails on command.

    Attributes:
        batches: Batches that were requested; the readiness probe is the first.
        cancelled: Batches that were cancelled while they waited.
        waits_at: Number of the batch that waits until `answering` is set.
        fails_at: Number of the batch that fails.
    """

    def __init__(self) -> None:
        self.batches = 0
        self.cancelled = 0
        self.waits_at = 0
        self.fails_at = 0
        self.answering = threading.Event()

    async def describe(self, *args: Any) -> ModelDescription:
        found = await super().describe(*args)
        return ModelDescription(found.name, found.version, found.crop, max_batch_size=1)

    async def predict(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> ModelOutputs:
        self.batches += 1
        if self.batches == self.fails_at:
            raise ModelUnavailableError("The model went.")
        try:
            while self.batches == self.waits_at and not self.answering.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().predict(tensors, model, deadline)


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> CountingPredictor:
    predictor = CountingPredictor()
    monkeypatch.setattr("gateway.services.make_predictor", lambda *_: predictor)
    return predictor


@pytest.fixture
def counted(predictor: CountingPredictor) -> Iterator[httpx.Client]:
    """A gateway with that predictor, after its only readiness probe."""
    with running_gateway(settings_for_tests(probe_interval=600)) as gateway:
        wait_until(lambda: predictor.batches == 1, "the probe is through")
        yield gateway


def test_rows_come_as_they_are_computed(
    predictor: CountingPredictor, counted: httpx.Client, clip_of_ten_seconds: bytes
) -> None:
    predictor.waits_at = 5
    kinds = []
    with counted.stream(
        "POST", "/predict/timeline?step=1", files={"file": clip_of_ten_seconds}, headers={"Accept": NDJSON}
    ) as response:
        for line in response.iter_lines():
            kinds.append(json.loads(line)["type"])
            if kinds.count("row") == 3:
                predictor.answering.set()
    assert kinds == ["start", *["row"] * 8, "end"]


def test_model_that_goes_on_the_way_ends_the_stream_with_the_error(
    predictor: CountingPredictor, counted: httpx.Client, clip_of_ten_seconds: bytes
) -> None:
    predictor.fails_at = 4
    response = send(counted, clip_of_ten_seconds, "?step=1", accept=NDJSON)
    head, *rows, error = lines_of(response)
    assert (head["type"], [row["type"] for row in rows]) == ("start", ["row", "row"])
    assert error["type"] == "error"
    assert error["error"]["code"] == "model_unavailable"
    assert error["error"]["request_id"] == head["request_id"]
    assert 'emotion_errors_total{code="model_unavailable"} 1.0' in counted.get("/metrics").text


def test_model_that_is_away_at_once_is_a_503_for_streams_too(
    predictor: CountingPredictor, counted: httpx.Client, clip_of_ten_seconds: bytes
) -> None:
    predictor.fails_at = 2
    assert_refused(send(counted, clip_of_ten_seconds, accept=NDJSON), 503, "model_unavailable")


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_client_that_goes_ends_the_work(
    predictor: CountingPredictor, counted: httpx.Client, clip_of_ten_seconds: bytes, accept: str
) -> None:
    predictor.waits_at = 4
    with raw.sent(counted, "/predict/timeline", "file", clip_of_ten_seconds, Accept=accept):
        wait_until(lambda: predictor.batches == 4, "windows are being computed")
    wait_until(lambda: predictor.cancelled == 1, "the work is given up")
    wait_until(lambda: "emotion_decode_clips 0.0" in counted.get("/metrics").text, "nothing is decoded")
    assert predictor.batches == 4


def test_timelines_leave_workers_to_others(clip: bytes) -> None:
    long = long_clip(20.0)
    order: list[str] = []
    with running_gateway(settings_for_tests(decode_workers=2, timelines_at_once=1)) as gateway:

        def ask(path: str, data: bytes) -> None:
            gateway.post(path, files={"file": data}).raise_for_status()
            order.append(path)

        threads = [threading.Thread(target=ask, args=("/predict/timeline", long)) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: "emotion_decode_clips 1.0" in gateway.get("/metrics").text, "one timeline is decoded")
        ask("/predict", clip)
        for thread in threads:
            thread.join()
    assert order[0] == "/predict"
