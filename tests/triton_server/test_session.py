"""What a configuration asks for is what ONNX Runtime gets, read as NVIDIA's backend reads it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from triton_server.backend.session import ConfigurationError, check_tensors, providers, session_options

GPU_BUILD = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
OPENVINO_BUILD = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]


def accelerated(**accelerators: list[dict[str, Any]]) -> dict[str, Any]:
    return {"optimization": {"execution_accelerators": accelerators}}


def parameters(**values: str) -> dict[str, Any]:
    return {"parameters": {name: {"string_value": value} for name, value in values.items()}}


def test_threads_and_execution_mode_are_those_of_the_configuration() -> None:
    options = session_options(parameters(intra_op_thread_count="3", inter_op_thread_count="2", execution_mode="1"))
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 2
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL


def test_threads_sleep_while_they_have_no_work() -> None:
    options = session_options(parameters(intra_op_thread_count="2"))
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_what_is_left_out_is_the_default_of_onnxruntime() -> None:
    options, default = session_options({}), onnxruntime.SessionOptions()
    for name in ("intra_op_num_threads", "inter_op_num_threads", "execution_mode", "graph_optimization_level"):
        assert getattr(options, name) == getattr(default, name)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (-1, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC),
        (1, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED),
        (2, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL),
    ],
)
def test_graph_levels_are_those_of_nvidias_backend(level: int, expected: object) -> None:
    options = session_options({"optimization": {"graph": {"level": level}}})
    assert options.graph_optimization_level == expected


def test_a_cpu_instance_runs_on_the_cpu_even_where_there_is_a_gpu() -> None:
    assert providers({}, kind="CPU", device="0", available=GPU_BUILD) == [("CPUExecutionProvider", {})]


def test_a_gpu_instance_runs_on_its_gpu() -> None:
    assert providers({}, kind="GPU", device="3", available=GPU_BUILD) == [
        ("CUDAExecutionProvider", {"device_id": "3"}),
        ("CPUExecutionProvider", {}),
    ]


def test_tensorrt_comes_before_cuda_with_its_parameters_translated() -> None:
    config = accelerated(
        gpu_execution_accelerator=[
            {
                "name": "tensorrt",
                "parameters": {
                    "precision_mode": "FP16",
                    "max_workspace_size_bytes": "1073741824",
                    "trt_engine_cache_enable": "1",
                },
            },
            {"name": "cuda", "parameters": {"cudnn_conv_algo_search": "HEURISTIC"}},
        ]
    )
    assert providers(config, kind="GPU", device="1", available=GPU_BUILD) == [
        (
            "TensorrtExecutionProvider",
            {
                "device_id": "1",
                "trt_fp16_enable": "1",
                "trt_max_workspace_size": "1073741824",
                "trt_engine_cache_enable": "1",
            },
        ),
        ("CUDAExecutionProvider", {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC"}),
        ("CPUExecutionProvider", {}),
    ]


def test_openvino_accelerates_a_cpu_instance() -> None:
    config = accelerated(cpu_execution_accelerator=[{"name": "openvino"}])
    assert providers(config, kind="CPU", device="0", available=OPENVINO_BUILD) == [
        ("OpenVINOExecutionProvider", {"device_type": "CPU"}),
        ("CPUExecutionProvider", {}),
    ]


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        (
            accelerated(cpu_execution_accelerator=[{"name": "openvino"}]),
            "CPU",
            "this build of ONNX Runtime has no OpenVINOExecutionProvider; it has CPUExecutionProvider",
        ),
        ({}, "GPU", "this build of ONNX Runtime has no CUDAExecutionProvider; it has CPUExecutionProvider"),
        (
            accelerated(cpu_execution_accelerator=[{"name": "magic"}]),
            "CPU",
            "CPU accelerator 'magic' is unknown; 'openvino' is supported",
        ),
        (
            accelerated(gpu_execution_accelerator=[{"name": "magic"}]),
            "GPU",
            "GPU accelerator 'magic' is unknown; 'tensorrt' and 'cuda' are supported",
        ),
        (
            accelerated(gpu_execution_accelerator=[{"name": "tensorrt", "parameters": {"precision_mode": "FP8"}}]),
            "GPU",
            "TensorRT's precision_mode must be one of FP32, FP16, INT8; it is 'FP8'",
        ),
    ],
)
def test_an_accelerator_that_is_not_there_is_named(config: dict[str, Any], kind: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        providers(config, kind=kind, device="0", available=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (parameters(execution_mode="2"), "parameter 'execution_mode' must be one of 0, 1; it is '2'"),
        (
            parameters(intra_op_thread_count="two"),
            "parameter 'intra_op_thread_count' must be a whole number; it is 'two'",
        ),
        ({"optimization": {"graph": {"level": 5}}}, "optimization.graph.level must be one of -1, 0, 1, 2; it is '5'"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        session_options(config)


def entry(name: str, *dims: int, dtype: str = "TYPE_FP32") -> dict[str, Any]:
    return {"name": name, "data_type": dtype, "dims": [str(size) for size in dims]}


def node(name: str, *shape: int | str | None, dtype: str = "tensor(float)") -> SimpleNamespace:
    return SimpleNamespace(name=name, type=dtype, shape=list(shape))


@pytest.mark.parametrize(
    ("configured", "graph"),
    [
        (entry("x", 3, 4), node("x", "batch", 3, 4)),
        (entry("x", -1, 4), node("x", None, 3, 4)),
        (entry("x", 3, 4), node("x", "batch", "rows", 4)),
        (entry("x"), node("x", "batch")),
    ],
)
def test_open_sizes_fit_any_size(configured: dict[str, Any], graph: SimpleNamespace) -> None:
    check_tensors("input", [configured], [graph], batching=True)


@pytest.mark.parametrize(
    ("configured", "graph", "message"),
    [
        (entry("x", 3), node("x", "batch", 4), "input 'x' has shape [-1, 3]"),
        (entry("x", 3), node("x", "batch", 3, 1), "but [-1, 3, 1] in the ONNX graph"),
        (entry("x", 3), node("x", 8, 3), "input 'x' has a fixed batch size of 8 in the ONNX graph"),
        (entry("x", 3, dtype="TYPE_STRING"), node("x", "batch", 3), "input 'x' is TYPE_STRING in config.pbtxt"),
        (
            entry("x", 3, dtype="TYPE_UINT8"),
            node("x", "batch", 3, dtype="tensor(bool)"),
            "input 'x' is TYPE_UINT8 in config.pbtxt but tensor(bool) in the ONNX graph",
        ),
        (entry("y", 3), node("x", "batch", 3), "input 'y' of config.pbtxt is not in the ONNX graph, which has x"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(configured: dict[str, Any], graph: SimpleNamespace, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        check_tensors("input", [configured], [graph], batching=True)


def test_an_input_that_the_configuration_lacks_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"config\.pbtxt lacks the ONNX graph's input y"):
        check_tensors("input", [entry("x", 3)], [node("x", "batch", 3), node("y", "batch")], batching=True)


def test_an_output_may_be_left_out() -> None:
    check_tensors("output", [entry("x", 3)], [node("x", "batch", 3), node("y", "batch")], batching=True)
