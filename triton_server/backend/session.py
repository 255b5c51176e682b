"""An ONNX Runtime session as a model's `config.pbtxt` asks for it, read as NVIDIA's C++ backend reads it.

The same configuration file serves under this backend and under `onnxruntime_backend` of NVIDIA's images, so
names, values and defaults of the parameters are those of its README
(https://github.com/triton-inference-server/onnxruntime_backend#model-config-options). Only threads never spin here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

Config = Mapping[str, Any]
"""Triton's model configuration, parsed from JSON."""

Provider = tuple[str, dict[str, str]]
"""Name and options of an ONNX Runtime execution provider."""

DTYPES = {
    "TYPE_BOOL": ("tensor(bool)", "bool"),
    "TYPE_UINT8": ("tensor(uint8)", "uint8"),
    "TYPE_UINT16": ("tensor(uint16)", "uint16"),
    "TYPE_UINT32": ("tensor(uint32)", "uint32"),
    "TYPE_UINT64": ("tensor(uint64)", "uint64"),
    "TYPE_INT8": ("tensor(int8)", "int8"),
    "TYPE_INT16": ("tensor(int16)", "int16"),
    "TYPE_INT32": ("tensor(int32)", "int32"),
    "TYPE_INT64": ("tensor(int64)", "int64"),
    "TYPE_FP16": ("tensor(float16)", "float16"),
    "TYPE_FP32": ("tensor(float)", "float32"),
    "TYPE_FP64": ("tensor(double)", "float64"),
}
"""ONNX Runtime's and numpy's name of each of Triton's element types; strings are not supported."""

_EXECUTION_MODES = {
    "0": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    "1": onnxruntime.ExecutionMode.ORT_PARALLEL,
}
_GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_TENSORRT_PRECISIONS = {
    "FP32": {},
    "FP16": {"trt_fp16_enable": "1"},
    "INT8": {"trt_int8_enable": "1"},
}


class ConfigurationError(ValueError):
    """The configuration asks for something that this backend, this machine or the graph does not have."""


def create_session(config: Config, version_folder: Path, *, kind: str, device: str) -> onnxruntime.InferenceSession:
    """Load the model file of one version and check it against its configuration.

    Args:
        config: The model's configuration.
        version_folder: Folder that holds the model file.
        kind: Triton's instance kind, `CPU` or `GPU`.
        device: Number of the GPU.

    Returns:
        The session, on the providers that were asked for and no others.

    Raises:
        ConfigurationError: One sentence that says what does not fit.
    """
    path = version_folder / (config.get("default_model_filename") or "model.onnx")
    if not path.is_file():
        raise ConfigurationError(f"there is no file '{path.name}' in version folder '{version_folder.name}'")
    wanted = providers(config, kind=kind, device=device, available=onnxruntime.get_available_providers())
    session = onnxruntime.InferenceSession(
        path,
        session_options(config),
        providers=[name for name, _ in wanted],
        provider_options=[options for _, options in wanted],
    )
    # The GPU package claims CUDA on machines without a GPU and falls back to the CPU with a log line only.
    if fallen_back := [name for name, _ in wanted if name not in session.get_providers()]:
        raise ConfigurationError(f"ONNX Runtime could not start {' and '.join(fallen_back)} on this machine")
    batching = config.get("max_batch_size", 0) > 0
    check_tensors("input", config["input"], session.get_inputs(), batching=batching)
    check_tensors("output", config["output"], session.get_outputs(), batching=batching)
    return session


def session_options(config: Config) -> onnxruntime.SessionOptions:
    """Threads, execution mode and graph optimisation of a configuration; what it leaves out is the default.

    Raises:
        ConfigurationError: A value is not one of those allowed.
    """
    options = onnxruntime.SessionOptions()
    # NVIDIA's backend lets threads spin for work. Here they share their cores with decoding, from which that takes more
    # than it gives (docs/EXPORT.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = _thread_count(config, "intra_op_thread_count")
    options.inter_op_num_threads = _thread_count(config, "inter_op_thread_count")
    options.execution_mode = _choose(
        "parameter 'execution_mode'", _parameter(config, "execution_mode", "0"), _EXECUTION_MODES
    )
    level = int(((config.get("optimization") or {}).get("graph") or {}).get("level", 0))
    options.graph_optimization_level = _choose("optimization.graph.level", level, _GRAPH_LEVELS)
    return options


def providers(config: Config, *, kind: str, device: str, available: Sequence[str]) -> list[Provider]:
    """Execution providers in order of preference, ending with the CPU's.

    Args:
        config: The model's configuration.
        kind: Triton's instance kind, `CPU` or `GPU`.
        device: Number of the GPU.
        available: Providers that this build of ONNX Runtime has.

    Raises:
        ConfigurationError: An accelerator is unknown, or this build of ONNX Runtime lacks it.
    """
    accelerators = (config.get("optimization") or {}).get("execution_accelerators") or {}
    wanted: list[Provider] = []
    if kind == "GPU":
        cuda = {"device_id": device}
        for accelerator in accelerators.get("gpu_execution_accelerator", []):
            parameters = dict(accelerator.get("parameters") or {})
            if accelerator["name"] == "tensorrt":
                wanted.append(("TensorrtExecutionProvider", _tensorrt_options(parameters, device)))
            elif accelerator["name"] == "cuda":
                cuda |= parameters
            else:
                raise ConfigurationError(
                    f"GPU accelerator '{accelerator['name']}' is unknown; 'tensorrt' and 'cuda' are supported"
                )
        wanted.append(("CUDAExecutionProvider", cuda))
    for accelerator in accelerators.get("cpu_execution_accelerator", []):
        if accelerator["name"] != "openvino":
            raise ConfigurationError(f"CPU accelerator '{accelerator['name']}' is unknown; 'openvino' is supported")
        wanted.append(("OpenVINOExecutionProvider", {"device_type": "CPU"}))
    wanted.append(("CPUExecutionProvider", {}))
    if missing := [name for name, _ in wanted if name not in available]:
        raise ConfigurationError(
            f"this build of ONNX Runtime has no {' and '.join(missing)}; it has {', '.join(available)}"
        )
    return wanted


def check_tensors(role: str, configured: Sequence[Config], graph: Sequence[Any], *, batching: bool) -> None:
    """Compare names, element types and shapes of a configuration with the ONNX graph's.

    Args:
        role: `input` or `output`, for the message.
        configured: The configuration's entries.
        graph: The session's entries.
        batching: Whether the configured shapes leave out a batch dimension.

    Raises:
        ConfigurationError: One sentence that names the tensor, what the configuration says and what the
            graph has.
    """
    nodes = {node.name: node for node in graph}
    for entry in configured:
        name, dtype = entry["name"], entry["data_type"]
        if name not in nodes:
            raise ConfigurationError(
                f"{role} '{name}' of config.pbtxt is not in the ONNX graph, which has {', '.join(nodes)}"
            )
        if dtype not in DTYPES or DTYPES[dtype][0] != nodes[name].type:
            raise ConfigurationError(
                f"{role} '{name}' is {dtype} in config.pbtxt but {nodes[name].type} in the ONNX graph"
            )
        shape = [-1] * batching + [int(size) for size in entry["dims"]]
        # Sizes that the graph leaves open are names or None.
        found = [size if isinstance(size, int) else -1 for size in nodes[name].shape]
        if len(shape) != len(found) or any(a != b and -1 not in (a, b) for a, b in zip(shape, found, strict=True)):
            raise ConfigurationError(
                f"{role} '{name}' has shape {shape} in config.pbtxt{' with its batch dimension' * batching} "
                f"but {found} in the ONNX graph (-1 is any size)"
            )
        if batching and found[0] != -1:
            raise ConfigurationError(
                f"{role} '{name}' has a fixed batch size of {found[0]} in the ONNX graph but config.pbtxt sets "
                "max_batch_size above 0"
            )
    if role == "input" and (missing := nodes.keys() - {entry["name"] for entry in configured}):
        raise ConfigurationError(f"config.pbtxt lacks the ONNX graph's input {', '.join(sorted(missing))}")


def _parameter(config: Config, name: str, default: str) -> str:
    parameter = (config.get("parameters") or {}).get(name)
    return default if parameter is None else str(parameter["string_value"])


def _thread_count(config: Config, name: str) -> int:
    """A number of threads, 0 for ONNX Runtime's own choice, which is one per core."""
    value = _parameter(config, name, "0")
    try:
        return max(int(value), 0)
    except ValueError:
        raise ConfigurationError(f"parameter '{name}' must be a whole number; it is '{value}'") from None


def _choose(what: str, value: Any, choices: Mapping[Any, Any]) -> Any:  # noqa: ANN401 (enumerations of C++)
    if value not in choices:
        raise ConfigurationError(f"{what} must be one of {', '.join(map(str, choices))}; it is '{value}'")
    return choices[value]


def _tensorrt_options(parameters: Mapping[str, str], device: str) -> dict[str, str]:
    options = {"device_id": device}
    for name, value in parameters.items():
        if name == "precision_mode":
            options |= _choose("TensorRT's precision_mode", value, _TENSORRT_PRECISIONS)
        elif name == "max_workspace_size_bytes":
            options["trt_max_workspace_size"] = value
        else:
            options[name if name.startswith("trt_") else f"trt_{name}"] = value
    return options
