"""The backend answers what ONNX Runtime answers, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from avemotion.preprocessing import contract
from tests.support.triton import STANDIN
from tests.triton_server.client import ask_onnxruntime, ask_triton, random_inputs, triton_inputs
from triton_server.launcher import TritonServer

TOLERANCE = 1e-5


@pytest.fixture
def client(standin_triton: TritonServer) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(standin_triton.grpc_address) as client:
        yield client


@pytest.fixture(scope="session")
def model_file(standin_repository: Path) -> Path:
    return standin_repository / STANDIN / "1" / "model.onnx"


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16])
def test_every_output_equals_onnxruntime_at_any_batch_size(
    client: grpc.InferenceServerClient, model_file: Path, batch: int
) -> None:
    inputs = random_inputs(batch, seed=batch)
    expected = ask_onnxruntime(model_file, inputs)
    answered = ask_triton(client, STANDIN, inputs)
    for spec in contract.OUTPUTS:
        assert answered[spec.name].shape == (batch, *spec.shape)
        np.testing.assert_allclose(answered[spec.name], expected[spec.name], rtol=0, atol=TOLERANCE)


def test_a_large_batch_leaves_nothing_in_the_buffers_for_a_small_one(
    client: grpc.InferenceServerClient, model_file: Path
) -> None:
    for batch in (16, 1, 5, 2):
        inputs = random_inputs(batch, seed=100 + batch)
        expected = ask_onnxruntime(model_file, inputs)[contract.LOGITS.name]
        answered = ask_triton(client, STANDIN, inputs, [contract.LOGITS.name])[contract.LOGITS.name]
        np.testing.assert_allclose(answered, expected, rtol=0, atol=TOLERANCE)


def test_concurrent_requests_are_batched_and_each_gets_its_own_answer(
    client: grpc.InferenceServerClient, model_file: Path
) -> None:
    questions = [random_inputs(1 + seed % 3, seed=200 + seed) for seed in range(48)]
    expected = [ask_onnxruntime(model_file, question) for question in questions]
    before = _executions(client)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda question: ask_triton(client, STANDIN, question), questions))
    for answer, wanted in zip(answers, expected, strict=True):
        for name, array in answer.items():
            np.testing.assert_allclose(array, wanted[name], rtol=0, atol=TOLERANCE)
    assert _executions(client) - before < len(questions), "no two requests were batched"


def test_only_the_outputs_that_were_asked_for_come_back(client: grpc.InferenceServerClient) -> None:
    wanted = [contract.FRAME_ATTENTION.name, contract.PROBABILITIES.name]
    requested = [grpc.InferRequestedOutput(name) for name in wanted]
    result = client.infer(STANDIN, triton_inputs(random_inputs(2, seed=1)), outputs=requested)
    assert sorted(output.name for output in result.get_response().outputs) == sorted(wanted)


def test_the_classification_extension_names_the_labels(client: grpc.InferenceServerClient) -> None:
    inputs = random_inputs(1, seed=2)
    probabilities = ask_triton(client, STANDIN, inputs)[contract.PROBABILITIES.name][0]
    requested = [grpc.InferRequestedOutput(contract.PROBABILITIES.name, class_count=len(contract.LABELS))]
    result = client.infer(STANDIN, triton_inputs(inputs), outputs=requested)
    ranked = [entry.decode().split(":") for entry in result.as_numpy(contract.PROBABILITIES.name)[0]]
    order = np.argsort(-probabilities)
    assert [label for _, _, label in ranked] == [contract.LABELS[index] for index in order]
    np.testing.assert_allclose([float(value) for value, _, _ in ranked], probabilities[order], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        (contract.LOG_MEL.name, (1, contract.MEL_BINS, contract.MEL_FRAMES - 1), "float32", "shape"),
        (contract.LOG_MEL.name, (1, *contract.LOG_MEL.shape), "float64", "data-type"),
        (contract.FRAMES.name, (1, *contract.FRAMES.shape), "float32", "data-type"),
        (contract.FRAMES.name, (17, *contract.FRAMES.shape), "uint8", "batch"),
        ("unknown", (1, 2), "float32", "got 4 inputs"),
    ],
)
def test_a_wrong_request_is_refused_and_its_neighbours_are_not(
    client: grpc.InferenceServerClient, name: str, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    random = np.random.default_rng(3)
    wrong = random_inputs(1, seed=4) | {name: (random.random(shape) * 255).astype(dtype)}

    def ask(index: int) -> str:
        if index % 4 == 0:
            with pytest.raises(InferenceServerException) as refused:
                ask_triton(client, STANDIN, wrong)
            return str(refused.value)
        ask_triton(client, STANDIN, random_inputs(1, seed=index))
        return ""

    with ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(ask, range(16)))
    assert all(message in text for text in messages[::4]), messages[0]


def test_a_missing_input_is_refused(client: grpc.InferenceServerClient) -> None:
    inputs = random_inputs(1, seed=5)
    del inputs[contract.PRESENT.name]
    with pytest.raises(InferenceServerException, match=r"expected 3 inputs but got 2"):
        ask_triton(client, STANDIN, inputs)


def _executions(client: grpc.InferenceServerClient) -> int:
    statistics = client.get_inference_statistics(STANDIN, as_json=True)
    return int(statistics["model_stats"][0]["execution_count"])
