"""Triton's configuration of a model, rendered from the contract.

The same `config.pbtxt` works with NVIDIA's C++ ONNX Runtime backend and with that of `triton_server/`. Triton does not
expose an ONNX file's metadata to its clients, so the configuration carries contract, crop mode and metrics as
parameters, which the gateway reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from avemotion.preprocessing import contract
from avemotion.preprocessing.contract import CropMode, TensorSpec
from avemotion.preprocessing.model_metadata import CONTRACT_KEY, CROP_KEY, metrics_key

Precision = Literal["FP16", "INT8"]
"""Precision of TensorRT; `INT8` needs a model with symmetric activations (`--activations s8`)."""

WARMUP_FOLDER: Final = "warmup"
"""Triton's folder for warm-up tensors, below the model's folder."""

_CONFIG_TYPES: Final = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "bool": "TYPE_BOOL"}


@dataclass(frozen=True)
class Serving:
    """Settings of batching, instances and threads; docs/decisions/batching.md gives the reasons for the defaults.

    Attributes:
        instances: Copies of the model that run in parallel.
        cores: Processor cores that all instances share. None leaves the number to ONNX Runtime, which takes all cores
            of the machine, even in a container with fewer.
        max_batch_size: Largest dynamic batch, in clips; the parity check of an export covers it.
        preferred_batch_sizes: Batch sizes that are run at once, without waiting for more; none by default.
        max_queue_delay_microseconds: Limit of the time that a request waits for others to share its batch. 0 by
            default: requests that arrive during a run share the next one, and on a CPU a larger batch saves little.
        max_queue_size: Limit of waiting requests; further ones are rejected at once.
        queue_timeout_microseconds: Limit of the time in the queue, after which a request is rejected; a client may set
            a shorter one.
        tensorrt: Precision of TensorRT on a GPU; None runs on the CPU.
    """

    instances: int = 1
    cores: int | None = 2
    max_batch_size: int = 16
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0
    max_queue_size: int = 64
    queue_timeout_microseconds: int = 10_000_000
    tensorrt: Precision | None = None


def gpu(precision: Precision) -> Serving:
    """Serving by TensorRT on a GPU.

    TensorRT builds an engine for a range of batch sizes and tunes it for one of them. Batches of that size are the
    fastest, so that they are preferred and worth a wait.
    """
    return Serving(preferred_batch_sizes=(8, 16), max_queue_delay_microseconds=2_000, tensorrt=precision)


def render_config(
    name: str,
    crop: CropMode,
    serving: Serving | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The text of `config.pbtxt`.

    Args:
        name: The model's name and folder.
        crop: Crop mode of the model.
        serving: Settings of serving; by default those for a CPU.
        metrics: Metrics of the model's versions, by number.
    """
    serving = serving or Serving()
    parameters = {CONTRACT_KEY: _json(contract.parameters()), CROP_KEY: crop}
    parameters |= {metrics_key(version): _json(figures) for version, figures in (metrics or {}).items()}
    if serving.cores is not None and serving.tensorrt is None:
        parameters["intra_op_thread_count"] = str(max(1, serving.cores // serving.instances))
    kind = "KIND_CPU" if serving.tensorrt is None else "KIND_GPU"
    preferred = (
        f"\n  preferred_batch_size: {list(serving.preferred_batch_sizes)}" if serving.preferred_batch_sizes else ""
    )
    return f"""# Written by `python -m export` from the contract (avemotion/preprocessing/contract.py): change it there.
name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: {serving.max_batch_size}
{_tensors("input", contract.INPUTS)}
{_tensors("output", contract.OUTPUTS)}
instance_group [ {{ kind: {kind} count: {serving.instances} }} ]
dynamic_batching {{{preferred}
  max_queue_delay_microseconds: {serving.max_queue_delay_microseconds}
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {serving.queue_timeout_microseconds}
    allow_timeout_override: true
    max_queue_size: {serving.max_queue_size}
  }}
}}
version_policy {{ latest {{ num_versions: 1 }} }}
{_accelerator(serving)}model_warmup [
{_warmup("one clip", 1)},
{_warmup("a full batch", serving.max_batch_size)}
]
{_parameters(parameters)}
"""


def render_labels() -> str:
    """The text of `labels.txt`, which Triton's classification extension reads."""
    return "".join(f"{label}\n" for label in contract.LABELS)


def warmup_files() -> dict[str, bytes]:
    """Warm-up tensors for inputs that cannot be random: both modalities are present."""
    return {contract.PRESENT.name: np.ones(contract.PRESENT.shape, contract.PRESENT.dtype).tobytes()}


def _tensors(kind: str, specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(
        f"{kind} [ {{ name: {json.dumps(spec.name)} data_type: {_CONFIG_TYPES[spec.dtype]} dims: {list(spec.shape)}"
        + (' label_filename: "labels.txt"' if spec is contract.PROBABILITIES else "")
        + " } ]"
        for spec in specs
    )


def _accelerator(serving: Serving) -> str:
    """TensorRT with one profile from a single clip to the largest batch, so that one engine serves all batch sizes."""
    if serving.tensorrt is None:
        return ""
    largest = max(serving.preferred_batch_sizes, default=serving.max_batch_size)
    parameters = {
        "precision_mode": serving.tensorrt,
        "max_workspace_size_bytes": str(2**30),
        # Building an engine takes minutes; a restarted server loads it from this cache.
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": "/tmp/tensorrt",  # noqa: S108 (of a container)
        "trt_profile_min_shapes": _shapes(1),
        "trt_profile_opt_shapes": _shapes(min(8, largest)),
        "trt_profile_max_shapes": _shapes(serving.max_batch_size),
    }
    listed = "\n".join(
        f"      parameters {{ key: {json.dumps(key)} value: {json.dumps(value)} }}" for key, value in parameters.items()
    )
    return f"""optimization {{
  execution_accelerators {{
    gpu_execution_accelerator [ {{
      name: "tensorrt"
{listed}
    }} ]
  }}
}}
"""


def _shapes(batch: int) -> str:
    """Shapes of all inputs as TensorRT's execution provider reads them, e.g. `present:8x2`."""
    return ",".join(f"{spec.name}:{'x'.join(map(str, (batch, *spec.shape)))}" for spec in contract.INPUTS)


def _warmup(name: str, batch: int) -> str:
    files = warmup_files()
    inputs = "\n".join(
        f"    inputs {{ key: {json.dumps(spec.name)} value {{ data_type: {_CONFIG_TYPES[spec.dtype]} "
        f"dims: {list(spec.shape)} "
        + (f"input_data_file: {json.dumps(spec.name)}" if spec.name in files else "random_data: true")
        + " } }"
        for spec in contract.INPUTS
    )
    return f"""  {{
    name: {json.dumps(name)}
    batch_size: {batch}
{inputs}
  }}"""


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _parameters(parameters: Mapping[str, str]) -> str:
    return "\n".join(
        f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
        for key, value in parameters.items()
    )
