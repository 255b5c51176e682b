"""A model with the contract's tensors and random weights, so that serving is tested without a trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import np_to_triton_dtype

from avemotion.preprocessing import contract
from avemotion.preprocessing.contract import TensorSpec

OPSET = 18
IR_VERSION = 10


def write_standin(path: Path, *, seed: int = 0) -> None:
    """Write an ONNX file that is small, fast, and sensitive to every value of every input.

    Args:
        path: File to write; its folder is made.
        seed: Seed of the weights.
    """
    random = np.random.default_rng(seed)
    frame_pixels = int(np.prod(contract.FRAMES.shape[1:]))
    labels = len(contract.LABELS)
    constants: dict[str, npt.NDArray[np.generic]] = {
        "frame_rows": np.array([0, contract.FRAME_COUNT, frame_pixels], np.int64),
        "pixel_scale": np.array(1 / 255, np.float32),
        "frame_weights": random.normal(0, 0.1, (frame_pixels, labels)).astype(np.float32),
        "attention_weights": random.normal(0, 1, (labels, 1)).astype(np.float32),
        "mel_weights": random.normal(0, 0.1, (int(np.prod(contract.LOG_MEL.shape)), labels)).astype(np.float32),
        "frame_axis": np.array([1], np.int64),
        "last_axis": np.array([2], np.int64),
        "first_flag": np.array([0], np.int64),
        "second_flag": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", [contract.FRAMES.name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "pixel_scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "frame_rows"], ["rows"]),
        helper.make_node("MatMul", ["rows", "frame_weights"], ["frame_logits"]),
        helper.make_node("MatMul", ["frame_logits", "attention_weights"], ["attention_column"]),
        helper.make_node("Squeeze", ["attention_column", "last_axis"], ["attention_logits"]),
        helper.make_node("Softmax", ["attention_logits"], [contract.FRAME_ATTENTION.name], axis=-1),
        helper.make_node("ReduceMean", ["frame_logits", "frame_axis"], ["video_logits"], keepdims=0),
        helper.make_node("Flatten", [contract.LOG_MEL.name], ["mel_row"]),
        helper.make_node("MatMul", ["mel_row", "mel_weights"], ["audio_logits"]),
        helper.make_node("Cast", [contract.PRESENT.name], ["flags"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["flags"], [contract.EVIDENCE.name]),
        helper.make_node("Gather", ["flags", "first_flag"], ["has_video"], axis=1),
        helper.make_node("Gather", ["flags", "second_flag"], ["has_audio"], axis=1),
        helper.make_node("Mul", ["video_logits", "has_video"], ["seen"]),
        helper.make_node("Mul", ["audio_logits", "has_audio"], ["heard"]),
        helper.make_node("Add", ["seen", "heard"], [contract.LOGITS.name]),
        helper.make_node("Softmax", [contract.LOGITS.name], [contract.PROBABILITIES.name], axis=-1),
        helper.make_node("Softmax", ["video_logits"], [contract.VIDEO_PROBABILITIES.name], axis=-1),
        helper.make_node("Softmax", ["audio_logits"], [contract.AUDIO_PROBABILITIES.name], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "standin",
        [_value(spec) for spec in contract.INPUTS],
        [_value(spec) for spec in contract.OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(graph, path)


def save(graph: onnx.GraphProto, path: Path) -> None:
    """Check a graph and write it as an ONNX file at the opset that the product exports."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def standin_config(name: str) -> str:
    """A `config.pbtxt` for the stand-in under this name, with label names and dynamic batching."""
    inputs = ",\n".join(_entry(spec) for spec in contract.INPUTS)
    outputs = ",\n".join(_entry(spec, labels=spec is contract.PROBABILITIES) for spec in contract.OUTPUTS)
    return f"""name: "{name}"
backend: "onnxruntime"
max_batch_size: 16
input [
{inputs}
]
output [
{outputs}
]
instance_group [ {{ kind: KIND_CPU, count: 1 }} ]
dynamic_batching {{ max_queue_delay_microseconds: 20000 }}
parameters {{ key: "intra_op_thread_count", value: {{ string_value: "1" }} }}
"""


def write_repository(folder: Path, *names: str) -> Path:
    """A model repository of stand-ins, each with weights of its own.

    Args:
        folder: Folder to make.
        names: Names of the models.

    Returns:
        The folder.
    """
    for seed, name in enumerate(names):
        write_standin(folder / name / "1" / "model.onnx", seed=seed)
        (folder / name / "config.pbtxt").write_text(standin_config(name))
        (folder / name / "labels.txt").write_text("\n".join(contract.LABELS) + "\n")
    return folder


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, dtype, ["batch", *spec.shape])


def _entry(spec: TensorSpec, *, labels: bool = False) -> str:
    filename = ', label_filename: "labels.txt"' * labels
    return (
        f'  {{ name: "{spec.name}", data_type: TYPE_{np_to_triton_dtype(np.dtype(spec.dtype))}, '
        f"dims: [ {', '.join(map(str, spec.shape))} ]{filename} }}"
    )
