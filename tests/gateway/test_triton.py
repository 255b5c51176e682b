"""REST through the real Triton: the numbers of ONNX Runtime, 503 and nothing else while it is away."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import psutil
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import AUDIO_PROBABILITIES, PROBABILITIES, VIDEO_PROBABILITIES, CropMode
from tests.gateway.models import MODEL, write_model
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready, wait_until
from tests.support.data import data_path
from tests.support.triton import free_ports, launcher_options, serving, skip_without_triton
from tests.triton_server.processes import SERVER, STUB, descendants
from triton_server.launcher import TritonServer

RECOVERY_SECONDS = 10


@contextmanager
def gateway_before(server: TritonServer) -> Iterator[httpx.Client]:
    """A gateway that asks a Triton server, ready."""
    settings = settings_for_tests(
        mock=False, model=MODEL, triton_grpc_port=server.options.grpc_port, decode_workers=2, ready_window=1.0
    )
    with running_gateway(settings) as client:
        wait_ready(client)
        yield client


@pytest.fixture(scope="module")
def gateway(triton_server: TritonServer) -> Iterator[httpx.Client]:
    with gateway_before(triton_server) as client:
        yield client


def percentages(repository: Path, clip: bytes, crop: CropMode = "face") -> list[list[float]]:
    """What ONNX Runtime says of a clip in this process: fused, face, voice."""
    session = onnxruntime.InferenceSession(repository / MODEL / "1" / "model.onnx")
    names = [spec.name for spec in (PROBABILITIES, VIDEO_PROBABILITIES, AUDIO_PROBABILITIES)]
    return [(100 * output[0]).tolist() for output in session.run(names, read_clip(clip, crop=crop).tensors())]


def assert_same_numbers(gateway: httpx.Client, repository: Path, clip: bytes, crop: CropMode = "face") -> None:
    answer = gateway.post("/predict", files={"file": ("clip", clip)}).raise_for_status().json()
    fused, face, voice = percentages(repository, clip, crop)
    # 1e-5 of a probability, in percent, and the rounding of the answer.
    np.testing.assert_allclose(answer["probs"], fused, rtol=0, atol=1.1e-3)
    if answer["video_probs"] is not None:
        np.testing.assert_allclose(answer["video_probs"], face, rtol=0, atol=1.1e-3)
    if answer["audio_probs"] is not None:
        np.testing.assert_allclose(answer["audio_probs"], voice, rtol=0, atol=1.1e-3)
    assert (answer["model"], answer["model_version"]) == (MODEL, "1")


def test_drawn_clip_gets_the_numbers_of_onnx_runtime(
    gateway: httpx.Client, model_repository: Path, clip: bytes
) -> None:
    assert_same_numbers(gateway, model_repository, clip)


@pytest.mark.parametrize(
    "name",
    ["chrome_a01_disgust_vp8.webm", "chrome_a01_neutral_avc1.mp4", "woman2.mp4", "fire2.mp4"],
)
def test_recording_gets_the_numbers_of_onnx_runtime(gateway: httpx.Client, model_repository: Path, name: str) -> None:
    assert_same_numbers(gateway, model_repository, data_path(f"clips/{name}").read_bytes())


def test_crop_mode_of_the_model_is_obeyed(tmp_path: Path) -> None:
    repository = write_model(tmp_path, crop="none")
    recording = data_path("clips/chrome_a01_disgust_vp8.webm").read_bytes()
    with serving(repository) as server, gateway_before(server) as gateway:
        assert_same_numbers(gateway, repository, recording, crop="none")
        answer = gateway.post("/predict", files={"file": ("clip", recording)}).json()
        assert answer["face"] is None
    assert not np.allclose(percentages(repository, recording)[0], percentages(repository, recording, "none")[0])


class Stream:
    """The same clip again and again, and what came back."""

    def __init__(self, gateway: httpx.Client, clip: bytes) -> None:
        self._gateway = gateway
        self._clip = clip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.statuses: Counter[int] = Counter()
        self.codes: set[str] = set()
        self.answers: set[tuple[float, ...]] = set()
        self.slowest = 0.0

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._stopping.is_set():
            begin = time.monotonic()
            response = self._gateway.post("/predict", files={"file": ("clip", self._clip)})
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.statuses[response.status_code] += 1
            if response.status_code == 200:
                self.answers.add(tuple(response.json()["probs"]))
            else:
                self.codes.add(response.json()["error"]["code"])
                self._stopping.wait(int(response.headers["Retry-After"]) / 20)


def kill(server: TritonServer, name: str) -> None:
    assert server.pid is not None
    process = psutil.Process(server.pid)
    if name == SERVER:
        process.kill()
    else:
        [stub] = descendants(server.pid, STUB)
        stub.kill()


@pytest.mark.parametrize("victim", [STUB, SERVER])
def test_kill_of_triton_gives_only_503_and_then_right_answers_again(
    triton_server: TritonServer, clip: bytes, victim: str
) -> None:
    with gateway_before(triton_server) as gateway:
        with Stream(gateway, clip) as stream:
            wait_until(lambda: stream.statuses[200] >= 2, "requests are answered")
            kill(triton_server, victim)
            wait_until(lambda: stream.statuses[503] > 0, "the kill is felt")
            before = stream.statuses[200]
            wait_until(lambda: stream.statuses[200] > before, "requests are answered again", RECOVERY_SECONDS)
        wait_ready(gateway, RECOVERY_SECONDS)
    assert set(stream.statuses) == {200, 503}
    assert stream.codes == {"model_unavailable"}
    assert len(stream.answers) == 1
    assert stream.slowest < settings_for_tests().request_deadline


def test_gateway_that_starts_before_triton_waits_for_it(model_repository: Path, clip: bytes) -> None:
    skip_without_triton()
    [port] = free_ports(1)
    settings = settings_for_tests(mock=False, model=MODEL, triton_grpc_port=port)
    with running_gateway(settings) as gateway:
        assert gateway.get("/health").status_code == 200
        assert gateway.get("/health/ready").status_code == 503
        refused = gateway.post("/predict", files={"file": ("clip", clip)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
        with TritonServer(launcher_options(model_repository, grpc_port=port)):
            wait_ready(gateway, RECOVERY_SECONDS)
            assert gateway.post("/predict", files={"file": ("clip", clip)}).status_code == 200
        wait_until(lambda: gateway.get("/health/ready").status_code == 503, "the end of Triton is noticed")


def test_hung_triton_is_given_up_in_time(model_repository: Path, clip: bytes) -> None:
    with serving(model_repository) as server:  # Triton may abort over it, and its launcher then starts it again
        settings = settings_for_tests(
            mock=False, model=MODEL, triton_grpc_port=server.options.grpc_port, inference_timeout=1.0
        )
        with running_gateway(settings) as gateway:
            wait_ready(gateway)
            assert server.pid is not None
            [stub] = descendants(server.pid, STUB)
            stub.suspend()
            try:
                refused = gateway.post("/predict", files={"file": ("clip", clip)})
            finally:
                stub.resume()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
            assert "within 1 s" in refused.json()["error"]["message"]
            wait_until(
                lambda: gateway.post("/predict", files={"file": ("clip", clip)}).status_code == 200, "it answers again"
            )
