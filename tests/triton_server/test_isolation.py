"""What goes wrong, or lies about, beside a request does not touch it; what it does not need is closed to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from tests.support.standin_model import save
from tests.support.triton import STANDIN, serving
from tests.triton_server.client import ask_triton, random_inputs

MODEL = "lookup"
CONFIG = f"""name: "{MODEL}"
platform: "onnxruntime_onnx"
max_batch_size: 32
input [ {{ name: "index", data_type: TYPE_INT64, dims: [ 1 ] }} ]
output [ {{ name: "value", data_type: TYPE_FP64, dims: [ 1 ] }} ]
instance_group [ {{ kind: KIND_CPU, count: 1 }} ]
dynamic_batching {{ max_queue_delay_microseconds: 200000 }}
"""
TABLE = np.random.default_rng(8).random(100)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.InferenceServerClient]:
    """A model that looks a number up in a table, and raises for numbers outside it."""
    repository = tmp_path_factory.mktemp("models")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        MODEL,
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("value", TensorProto.DOUBLE, ["batch", 1])],
        [numpy_helper.from_array(TABLE, "table")],
    )
    save(graph, repository / MODEL / "1" / "model.onnx")
    (repository / MODEL / "config.pbtxt").write_text(CONFIG)
    with serving(repository) as server, grpc.InferenceServerClient(server.grpc_address) as client:
        yield client


def test_a_failing_request_does_not_fail_those_that_share_its_batch(client: grpc.InferenceServerClient) -> None:
    indices = [index if index % 5 else 1000 + index for index in range(30)]

    def ask(index: int) -> float | str:
        try:
            tensors = {"index": np.array([[index]], np.int64)}
            return float(ask_triton(client, MODEL, tensors, ["value"])["value"].item())
        except InferenceServerException as error:
            return str(error)

    before = client.get_inference_statistics(MODEL, as_json=True)["model_stats"][0]
    with ThreadPoolExecutor(len(indices)) as pool:
        answers = list(pool.map(ask, indices))
    after = client.get_inference_statistics(MODEL, as_json=True)["model_stats"][0]
    for index, answer in zip(indices, answers, strict=True):
        if index < len(TABLE):
            assert answer == TABLE[index]
        else:
            assert f"idx={index} must be within the inclusive range [-100,99]" in str(answer)
    batches = int(after["execution_count"]) - int(before.get("execution_count", 0))
    assert batches < len(indices), "no two requests were batched"


def test_modules_in_the_folder_where_the_launcher_was_started_are_not_imported(
    standin_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "triton_server"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported from the wrong folder')\n")
    monkeypatch.chdir(tmp_path)
    with serving(standin_repository) as server:
        assert server.state == "ready"


def test_serving_says_nothing_but_that_it_serves(standin_repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tensors that are handed over wrongly still arrive, but print an error each."""
    caplog.set_level(logging.INFO)
    with serving(standin_repository) as server, grpc.InferenceServerClient(server.grpc_address) as asking:
        ask_triton(asking, STANDIN, random_inputs(2, seed=9))
    assert [record.getMessage().split(" on ")[0] for record in caplog.records] == [
        f"Triton serves {STANDIN}",
        "Triton has stopped.",
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_model_repository_index(),
        lambda client: client.load_model(MODEL),
        lambda client: client.unload_model(MODEL),
        lambda client: client.register_system_shared_memory("region", "/any", 16),
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.update_log_settings({"log_file": "anything"}),
        lambda client: client.update_trace_settings(MODEL, {"trace_level": ["TIMESTAMPS"]}),
    ],
    ids=["repository index", "load", "unload", "shared memory", "shared memory status", "log", "trace"],
)
def test_interfaces_that_inference_does_not_need_are_closed(client: grpc.InferenceServerClient, call: object) -> None:
    assert callable(call)
    with pytest.raises(InferenceServerException, match="This protocol is restricted"):
        call(client)
