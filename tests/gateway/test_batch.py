"""`POST /predict/batch`: each clip succeeds or fails alone, and gets the numbers that it gets alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from gateway.predict.triton import TritonPredictor
from tests.gateway.models import MODEL
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.gateway.test_bad_input import assert_refused
from tests.support.clips import noise, synthetic_clip
from triton_server.launcher import TritonServer

CLIP_LIMIT = 600_000
BATCH_LIMIT = 20
BYTES_LIMIT = 4_000_000


def small_clip(seed: int) -> bytes:
    """A second of noise that differs from clip to clip."""
    return synthetic_clip(
        container="wav",
        video_codec=None,
        waveform=noise(1.0, 16_000, seed),
        sample_rate=16_000,
    )


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    settings = settings_for_tests(
        decode_workers=2, batch_limit=BATCH_LIMIT, batch_upload_limit=BYTES_LIMIT, upload_limit=CLIP_LIMIT
    )
    with running_gateway(settings) as client:
        yield client


def send(gateway: httpx.Client, clips: list[bytes], query: str = "") -> httpx.Response:
    return gateway.post(f"/predict/batch{query}", files=[("files", ("clip", clip)) for clip in clips])


def alone(gateway: httpx.Client, clip: bytes) -> list[float]:
    probabilities: list[float] = gateway.post("/predict", files={"file": clip}).raise_for_status().json()["probs"]
    return probabilities


def test_each_clip_gets_the_answer_that_it_gets_alone_in_order(gateway: httpx.Client, clip: bytes) -> None:
    clips = [small_clip(1), clip, small_clip(2)]
    answer = send(gateway, clips).raise_for_status().json()
    assert [result["index"] for result in answer["results"]] == [0, 1, 2]
    assert all(result["error"] is None for result in answer["results"])
    assert [result["prediction"]["probs"] for result in answer["results"]] == [alone(gateway, each) for each in clips]
    assert answer["results"][1]["prediction"]["modalities"] == {"video": True, "audio": True}
    assert answer["results"][2]["prediction"]["modalities"] == {"video": False, "audio": True}


def test_clips_that_cannot_be_read_fail_alone(gateway: httpx.Client) -> None:
    clips = [b"", small_clip(1), b"no clip at all" * 50, small_clip(2), bytes(CLIP_LIMIT + 1)]
    answer = send(gateway, clips).raise_for_status().json()
    codes = [result["error"] and result["error"]["code"] for result in answer["results"]]
    assert codes == ["empty_media", None, "unsupported_media", None, "upload_too_large"]
    assert str(CLIP_LIMIT) in answer["results"][4]["error"]["message"]
    predicted = [result["prediction"] and result["prediction"]["probs"] for result in answer["results"]]
    assert predicted == [None, alone(gateway, clips[1]), None, alone(gateway, clips[3]), None]


def test_batch_of_which_nothing_can_be_read_is_answered(gateway: httpx.Client) -> None:
    answer = send(gateway, [b"x", b"y"]).raise_for_status().json()
    assert [result["error"]["code"] for result in answer["results"]] == ["unsupported_media"] * 2


def test_timings_and_id_are_those_of_the_whole(gateway: httpx.Client) -> None:
    response = send(gateway, [small_clip(1)] * 3).raise_for_status()
    answer = response.json()
    timings = answer["timings_ms"]
    assert timings["upload"] + timings["decode"] + timings["inference"] <= timings["total"] + 0.1
    assert response.headers["Server-Timing"].startswith("upload;dur=")
    assert answer["request_id"] == response.headers["X-Request-ID"]


def test_batch_larger_than_the_workers_and_their_queue_is_decoded_whole() -> None:
    clips = [small_clip(seed) for seed in range(12)]
    with running_gateway(settings_for_tests(decode_workers=2, decode_queue=0)) as gateway:
        answer = send(gateway, clips).raise_for_status().json()
        assert all(result["prediction"] is not None for result in answer["results"])


def test_too_many_clips_are_refused_with_both_numbers(gateway: httpx.Client) -> None:
    response = send(gateway, [b"x"] * (BATCH_LIMIT + 1))
    assert_refused(response, 413, "too_many_files", str(BATCH_LIMIT), str(BATCH_LIMIT + 1))


def test_far_too_many_clips_are_refused_with_the_limit(gateway: httpx.Client) -> None:
    response = send(gateway, [b"x"] * (10 * BATCH_LIMIT))
    assert_refused(response, 400, "bad_form", "parts, the limit")


def test_too_many_bytes_are_refused_with_both_sizes(gateway: httpx.Client) -> None:
    clips = [bytes(CLIP_LIMIT)] * 7
    response = send(gateway, clips)
    assert_refused(response, 413, "upload_too_large", str(BYTES_LIMIT))


@pytest.mark.parametrize(
    "files",
    [{"file": b"x"}, {"files": (None, "text")}],
    ids=["the field of a single clip", "text"],
)
def test_form_without_files_is_refused(gateway: httpx.Client, files: dict[str, bytes]) -> None:
    assert_refused(gateway.post("/predict/batch", files=files), 422, "missing_file", "'files'")


def test_text_beside_files_in_the_field_is_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/predict/batch", files=[("files", ("a", b"x")), ("files", (None, "text"))])
    assert_refused(response, 422, "missing_file", "text")


def test_body_that_is_no_form_is_refused(gateway: httpx.Client) -> None:
    assert_refused(gateway.post("/predict/batch", json=[]), 415, "unsupported_content_type", "'files'")


def test_all_that_can_be_read_go_to_triton_together(
    triton_server: TritonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    infer = TritonPredictor._infer

    async def counting(self: TritonPredictor, tensors, *args):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN202
        batches.append(len(tensors["present"]))
        return await infer(self, tensors, *args)

    port = triton_server.options.grpc_port
    settings = settings_for_tests(mock=False, model=MODEL, triton_grpc_port=port, probe_interval=600)
    with running_gateway(settings) as gateway:
        wait_ready(gateway)
        monkeypatch.setattr(TritonPredictor, "_infer", counting)
        clips = [small_clip(seed) for seed in range(18)]
        answer = send(gateway, [*clips, b"x"]).raise_for_status().json()
        assert batches == [16, 2]
        monkeypatch.undo()
        predicted = [result["prediction"]["probs"] for result in answer["results"][:-1]]
        for index in (0, 15, 17):
            assert predicted[index] == pytest.approx(alone(gateway, clips[index]), abs=1.1e-3)
