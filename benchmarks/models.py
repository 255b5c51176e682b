"""The models that are compared, made from the one that is committed, so that benchmarks need no training.

The committed INT8 model holds all weights. Taking its quantisation out gives the FP32 graph that an export gives,
batch normalisation folded; the same weights in the network of `training` are what the plain design runs in PyTorch.
All three answer alike to within the rounding of activations, so that peers can be checked against each other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.repository import versions
from export.triton_config import render_config, render_labels
from preprocessing.contract import CROP_MODES
from training.network import EmotionNetwork, NetworkConfig, ServingNetwork, Temperatures

COMMITTED = Path(__file__).parents[1] / "model_repository" / "emotion_int8"
_PREFIX = "network."


def committed_model() -> Path:
    """The newest version of the INT8 model in the repository."""
    return versions(COMMITTED)[-1].folder / "model.onnx"


def make_repository(folder: Path) -> Path:
    """A model repository with the committed INT8 model and its FP32 twin; made anew where the model has changed.

    Returns:
        The repository.
    """
    int8 = committed_model()
    fp32 = folder / "emotion_fp32" / "1" / "model.onnx"
    copy = folder / "emotion_int8" / "1" / "model.onnx"
    if copy.is_file() and copy.read_bytes() == int8.read_bytes() and fp32.is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    model = onnx.load(int8)
    crop = next(
        mode for mode in CROP_MODES for entry in model.metadata_props if (entry.key, entry.value) == ("crop", mode)
    )
    for path in (copy, fp32):
        path.parent.mkdir(parents=True)
        name = path.parents[1].name
        (path.parents[1] / "config.pbtxt").write_text(render_config(name, crop))
        (path.parents[1] / "labels.txt").write_text(render_labels())
    shutil.copy(COMMITTED / "config.pbtxt", folder / "emotion_int8")
    onnx.save(without_quantisation(model), fp32)
    shutil.copy(int8, copy)
    return folder


def without_quantisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in FP32: stored numbers become the floats that they stand for, rounding of activations goes."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    renamed: dict[str, str] = {}
    nodes = []
    floats = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            renamed[node.output[0]] = node.input[0]
        elif node.op_type == "DequantizeLinear" and node.input[0] in stored:
            numbers, scale = stored[node.input[0]].astype(np.float64), stored[node.input[1]].astype(np.float64)
            zero = stored[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros_like(scale)
            shape = (-1, *[1] * (numbers.ndim - 1)) if scale.ndim else ()
            floats[node.output[0]] = ((numbers - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)
        elif node.op_type == "DequantizeLinear":
            renamed[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    for node in nodes:
        for position, name in enumerate(node.input):
            found = name
            while found in renamed:
                found = renamed[found]
            node.input[position] = found
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    tensors += [numpy_helper.from_array(array, name) for name, array in floats.items() if name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensors)
    onnx.checker.check_model(result, full_check=True)
    return result


def write_plain_weights(fp32: Path, path: Path) -> None:
    """The FP32 model as the plain design loads it: a scripted copy of nothing, just the eager network and weights.

    Args:
        fp32: The FP32 ONNX file.
        path: File for `torch.save`; holds configuration, temperatures and weights.

    Raises:
        NotImplementedError: The model's fusion is not one whose weights can be read back.
    """
    model = onnx.load(fp32)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    config = json.loads(metadata["fusion"])
    if config["fusion"] != "late":
        raise NotImplementedError(f"weights of the fusion '{config['fusion']}' cannot be read back out of ONNX")
    network = EmotionNetwork(NetworkConfig(**config)).eval()
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {name: _weight(found, name, like) for name, like in network.state_dict().items() if "num_b" not in name}
    weights["fusion.weights"] = torch.from_numpy(_late_weights(model, found))
    network.load_state_dict(weights, strict=False)
    serving = ServingNetwork(network, Temperatures(**json.loads(metadata["temperatures"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"config": config, "temperatures": vars(serving.temperatures), "weights": network.state_dict()}, path)


def _weight(found: dict[str, np.ndarray], name: str, like: torch.Tensor) -> torch.Tensor:
    """A parameter; a batch normalisation that was folded into its convolution does no more than add the bias."""
    folder, _, kind = name.rpartition(".")
    if f"{_PREFIX}{name}" in found:
        return torch.from_numpy(found[f"{_PREFIX}{name}"].copy())
    for source in (f"{folder}.weight_DequantizeLinear_Output", f"{folder}.weight_bias"):
        if kind == ("weight" if source.endswith("Output") else "bias") and f"{_PREFIX}{source}" in found:
            return torch.from_numpy(found[f"{_PREFIX}{source}"].copy())
    convolution = _convolution_before(folder)
    if kind == "bias" and convolution is not None:
        for bias in (f"{convolution}.bias", f"{convolution}.weight_bias"):
            if f"{_PREFIX}{bias}" in found and not name.startswith("audio"):
                return torch.from_numpy(found[f"{_PREFIX}{bias}"].copy())
        return torch.zeros_like(like)
    return {
        "running_mean": torch.zeros_like(like),
        "running_var": torch.full_like(like, 1 - 1e-5),
        "weight": torch.ones_like(like),
    }.get(kind, like)


def _convolution_before(normalisation: str) -> str | None:
    """Name of the convolution whose output a batch normalisation takes."""
    folder, _, last = normalisation.rpartition(".")
    if last.startswith("bn"):
        return f"{folder}.conv{last.removeprefix('bn')}".removeprefix(".")
    if last.isdecimal() and int(last) > 0:
        return f"{folder}.{int(last) - 1}"
    return None


def _late_weights(model: onnx.ModelProto, found: dict[str, np.ndarray]) -> np.ndarray:
    """The late fusion's weights per branch and class [2, 8], which the exporter split in two constants."""
    producer = {output: node for node in model.graph.node for output in node.output}
    rows = {}
    for node in model.graph.node:
        if node.op_type != "Mul":
            continue
        constants = [name for name in node.input if name in found]
        sources = [producer[name] for name in node.input if name in producer]
        for source in sources:
            for branch in ("video", "audio"):
                if constants and f"{_PREFIX}{branch}_classifier.weight" in source.input:
                    rows[branch] = found[constants[0]]
    return np.stack([rows["video"], rows["audio"]]).astype(np.float32)
