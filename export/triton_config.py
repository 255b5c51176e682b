"""Triton's configuration of a model, written from the contract so that no name or size is typed twice.

The same `config.pbtxt` serves under NVIDIA's C++ ONNX Runtime backend and under `triton_server/`'s. Triton does not
show an ONNX file's metadata to its clients, so the contract and the crop that the model wants travel as parameters
of the configuration, where the gateway reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from preprocessing import contract
from preprocessing.contract import CropMode, TensorSpec

MAX_BATCH_SIZE: Final = 16
"""Largest dynamic batch, in clips; the parity check of an export covers it."""

MAX_QUEUE_DELAY_MICROSECONDS: Final = 2_000
"""How long a request may wait for others to share its batch: small beside the inference of one clip."""

MAX_QUEUE_SIZE: Final = 64
"""Requests that may wait; further ones are rejected at once."""

_CONFIG_TYPES: Final = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "bool": "TYPE_BOOL"}


def render_config(name: str, crop: CropMode) -> str:
    """The text of `config.pbtxt`.

    Args:
        name: The model's name and folder.
        crop: How clips are cropped for this model.
    """
    parameters = {"contract": json.dumps(contract.parameters(), separators=(",", ":")), "crop": crop}
    return f"""# Written by `python -m export` from the contract (preprocessing/contract.py): change it there.
name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: {MAX_BATCH_SIZE}
{_tensors("input", contract.INPUTS)}
{_tensors("output", contract.OUTPUTS)}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
dynamic_batching {{
  max_queue_delay_microseconds: {MAX_QUEUE_DELAY_MICROSECONDS}
  default_queue_policy {{
    timeout_action: REJECT
    allow_timeout_override: true
    max_queue_size: {MAX_QUEUE_SIZE}
  }}
}}
version_policy {{ latest {{ num_versions: 1 }} }}
model_warmup [
  {{
    name: "random clip"
    batch_size: 1
{_warmup(contract.INPUTS)}
  }}
]
{_parameters(parameters)}
"""


def render_labels() -> str:
    """The text of `labels.txt`, which Triton's classification extension reads."""
    return "".join(f"{label}\n" for label in contract.LABELS)


def _tensors(kind: str, specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(
        f"{kind} [ {{ name: {json.dumps(spec.name)} data_type: {_CONFIG_TYPES[spec.dtype]} dims: {list(spec.shape)}"
        + (' label_filename: "labels.txt"' if spec is contract.PROBABILITIES else "")
        + " } ]"
        for spec in specs
    )


def _warmup(specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(
        f"    inputs {{ key: {json.dumps(spec.name)} value {{ data_type: {_CONFIG_TYPES[spec.dtype]} "
        f"dims: {list(spec.shape)} {'zero_data' if spec is contract.PRESENT else 'random_data'}: true }} }}"
        for spec in specs
    )


def _parameters(parameters: Mapping[str, str]) -> str:
    return "\n".join(
        f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
        for key, value in parameters.items()
    )
