"""The model that is in the repository says the same over REST, over gRPC, and in this process."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient import grpc

from avemotion.preprocessing import contract
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.model_metadata import metrics_of
from export.inspection import read_metadata
from export.repository import MODEL_FILE as MODEL_FILE_NAME
from export.repository import served
from tests.stack.running import Stack, predict
from tests.support.data import data_path
from tests.triton_server.client import ask_onnxruntime, ask_triton, random_inputs, triton_inputs

MODEL = "emotion_int8"
_FOLDER = Path(__file__).parents[2] / "model_repository" / MODEL
_SERVED = served(_FOLDER)
assert _SERVED is not None
MODEL_FILE = _SERVED.folder / MODEL_FILE_NAME
CLIPS = [
    "clips/01-01-01-01-01-01-01.mp4",
    "clips/01-01-07-02-02-01-01.mp4",
    "clips/chrome_a01_disgust_avc1.mp4",
    "clips/chrome_a01_disgust_vp8.webm",
    "clips/chrome_a01_neutral_vp9.webm",
    "clips/face_noface.mov",
    "clips/fire2.mp4",
    "clips/no_duration.webm",
    "clips/var_fps_video.mp4",
    "clips/woman2.mp4",
    "ravdess_speech/Actor_02/03-01-03-01-01-01-02.flac",
]


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_gets_the_same_probabilities_everywhere(running: Stack, name: str) -> None:
    path = data_path(name)
    tensors = read_clip(path).tensors()
    expected = ask_onnxruntime(MODEL_FILE, tensors)
    with grpc.InferenceServerClient(running.triton_address) as client:
        direct = ask_triton(client, MODEL, tensors)
    for output in contract.OUTPUTS:
        np.testing.assert_allclose(direct[output.name], expected[output.name], atol=1e-5)
    found = expected[contract.EVIDENCE.name][0] >= contract.LOWEST_EVIDENCE
    answer = predict(running.address, path.read_bytes()).json()
    if not found.any():
        assert answer["error"]["code"] == "nobody_found"
        return
    assert list(answer["modalities"].values()) == found.tolist()
    np.testing.assert_allclose(np.array(answer["probs"]) / 100, expected[contract.PROBABILITIES.name][0], atol=1e-5)
    assert (answer["frame_attention"] is None) == (not answer["modalities"]["video"])
    if answer["frame_attention"] is not None:
        np.testing.assert_allclose(answer["frame_attention"], expected[contract.FRAME_ATTENTION.name][0], atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_random_tensors_get_the_same_answers_from_triton_and_onnx_runtime(running: Stack, batch: int) -> None:
    tensors = random_inputs(batch, seed=batch)
    with grpc.InferenceServerClient(running.triton_address) as client:
        direct = ask_triton(client, MODEL, tensors)
    expected = ask_onnxruntime(MODEL_FILE, tensors)
    for output in contract.OUTPUTS:
        np.testing.assert_allclose(direct[output.name], expected[output.name], atol=1e-5)


def test_models_tells_of_triton_what_the_onnx_file_says_of_itself(running: Stack) -> None:
    metadata = read_metadata(MODEL_FILE)
    [model] = httpx.get(f"{running.address}/models").raise_for_status().json()["models"]
    assert model["metrics"] == metrics_of(metadata)
    assert 0 < model["metrics"]["validation"]["both"]["accuracy"] < 1
    assert (model["name"], model["versions"], model["crop"]) == (MODEL, [MODEL_FILE.parent.name], metadata["crop"])


def test_the_classification_extension_names_the_labels(running: Stack) -> None:
    tensors = random_inputs(1, seed=5)
    name = contract.PROBABILITIES.name
    with grpc.InferenceServerClient(running.triton_address) as client:
        requested = [grpc.InferRequestedOutput(name, class_count=len(contract.LABELS))]
        found = client.infer(MODEL, triton_inputs(tensors), outputs=requested).as_numpy(name)
    named = [entry.decode().split(":")[2] for entry in found.ravel()]
    order = np.argsort(-ask_onnxruntime(MODEL_FILE, tensors)[name][0])
    assert named == [contract.LABELS[index] for index in order]
