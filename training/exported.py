"""Weights of an exported model, read from its ONNX file, as a start for training.

The repository holds models, not checkpoints. Exporting merges each batch normalisation into the convolution before it,
and INT8 rounds the result. The weights read back compute the same function up to that rounding, in a form that can be
trained further or exported again as FP32.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor, nn

from avemotion.preprocessing.contract import INPUTS, CropMode
from avemotion.preprocessing.errors import ModelFileError
from training.checkpoint import Checkpoint
from training.network import EmotionNetwork, NetworkConfig, ServingNetwork, Temperatures, pixels

_NETWORK: Final = "network."
"""Prefix of the names of `EmotionNetwork`'s parameters in an exported file."""

_QUANTISED: Final = "_quantized"
_MERGED_BIAS: Final = ".weight_bias"
_FIRST_WEIGHT: Final = "video.conv1.weight"
_FIRST_BIAS: Final = "video.conv1.bias"


def read_exported(path: Path, example: dict[str, Tensor]) -> Checkpoint:
    """Read a whole exported network, FP32 or INT8, as its checkpoint, except for rounding and metrics.

    Args:
        path: The ONNX file.
        example: Clips that set the statistics of the batch normalisations.

    Raises:
        ModelFileError: The file cannot be read, or lacks metadata or a weight, such as those of the fusion `xattn`,
            which are lost in the export.
    """
    described = {entry.key: entry.value for entry in _read(path).metadata_props}
    missing = {"fusion", "temperatures", "crop", "training"} - described.keys()
    if missing:
        raise ModelFileError(f"{path} lacks the metadata {', '.join(sorted(missing))}.")
    network = EmotionNetwork(NetworkConfig(**json.loads(described["fusion"])))
    serving = ServingNetwork(network, Temperatures())
    load_exported(network, path, name="", run=lambda: serving(*(example[spec.name] for spec in INPUTS)))
    return Checkpoint(
        network.config,
        network.state_dict(),
        cast(CropMode, described["crop"]),
        Temperatures(**json.loads(described["temperatures"])),
        training=json.loads(described["training"]),
    )


def load_exported(part: nn.Module, path: Path, *, name: str, run: Callable[[], object]) -> None:
    """Load one part of an exported network, FP32 or INT8, into the same part of a network for training.

    Each batch normalisation gets the statistics of its inputs during `run`, and the scale and shift that preserve the
    function. Filters are scaled to the norm of their initialisation, because before a batch normalisation their norm
    affects only their learning rate.

    Args:
        part: Changed in place; left in evaluation mode.
        path: The ONNX file.
        name: The part's name in `EmotionNetwork`, e.g. `video`; empty for the whole.
        run: Runs the part once, on inputs like those of training.

    Raises:
        ModelFileError: The file cannot be read, lacks a weight, or has it in another shape.
    """
    found = _read_weights(path)
    prefix = f"{name}." if name else ""
    names = {module: label for label, module in part.named_modules()}
    hooks = []
    with torch.no_grad():
        for convolution, normalisation in _pairs(part):
            label = f"{prefix}{names[convolution]}"
            weight, bias = _take(found, f"{label}.weight", convolution.weight, path), found.get(f"{label}.bias")
            if bias is None:
                raise ModelFileError(f"{path} lacks the weight {label}.bias.")
            size = weight.flatten(1).norm(dim=1).clamp(min=1e-12)
            share = math.sqrt(2 * convolution.in_channels / convolution.out_channels) / size
            convolution.weight.copy_(weight * share[:, None, None, None])
            if convolution.bias is not None:
                convolution.bias.zero_()
            hooks.append(normalisation.register_forward_pre_hook(_keep_function(share, bias)))
        covered = {id(parameter) for pair in _pairs(part) for module in pair for parameter in module.parameters()}
        for label, parameter in part.named_parameters():
            if id(parameter) not in covered:
                parameter.copy_(_take(found, f"{prefix}{label}", parameter, path))
        part.eval()
        run()
    for hook in hooks:
        hook.remove()


def exported_training_actors(path: Path) -> list[int]:
    """Actors that an exported model was trained on, if its metadata names them.

    Raises:
        ModelFileError: The file cannot be read.
    """
    properties = {entry.key: entry.value for entry in _read(path).metadata_props}
    return list(json.loads(properties.get("training", "{}")).get("training_actors", []))


def _keep_function(share: Tensor, bias: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    """A hook that sets a batch normalisation's statistics to its input's, and its function to `x / share + bias`."""

    def hook(normalisation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(normalisation, nn.BatchNorm2d)  # noqa: S101 (for the type checker)
        variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
        assert normalisation.running_mean is not None  # noqa: S101 (for the type checker)
        assert normalisation.running_var is not None  # noqa: S101 (for the type checker)
        normalisation.running_mean.copy_(mean)
        normalisation.running_var.copy_(variance)
        normalisation.weight.copy_((variance + normalisation.eps).sqrt() / share)
        normalisation.bias.copy_(mean / share + bias)

    return hook


def _pairs(branch: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with its batch normalisation; they are defined in succession."""
    modules = [module for module in branch.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    return [
        (first, second)
        for first, second in itertools.pairwise(modules)
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
    ]


def _take(found: dict[str, Tensor], name: str, like: Tensor, path: Path) -> Tensor:
    weight = found.get(name)
    if weight is None:
        raise ModelFileError(f"{path} lacks the weight {name}.")
    if weight.shape != like.shape:
        raise ModelFileError(f"{path} has {name} of shape {list(weight.shape)}; expected {list(like.shape)}.")
    return weight


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Weights by their names in `EmotionNetwork`; INT8 weights are dequantised."""
    model = _read(path)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    plain = {name: array for name, array in arrays.items() if name.startswith((_NETWORK, pixels.PREFIX))}
    weights = {_parameter(name): array for name, array in (plain | _dequantised(model, arrays)).items()}
    if pixels.WEIGHT in weights and pixels.BIAS in weights:
        first = pixels.from_pixels(weights.pop(pixels.WEIGHT), weights.pop(pixels.BIAS))
        weights |= dict(zip((_FIRST_WEIGHT, _FIRST_BIAS), first, strict=True))
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in weights.items()}


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path} is not a readable ONNX file: {error}") from error


def _parameter(name: str) -> str:
    """A parameter's name in `EmotionNetwork`; merging a batch normalisation names the bias after the weight."""
    name = name.removeprefix(_NETWORK)
    return name.removesuffix(_MERGED_BIAS) + ".bias" if name.endswith(_MERGED_BIAS) else name


def _dequantised(model: onnx.ModelProto, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Quantised weights and biases after `DequantizeLinear`, each with one scale per channel."""
    found = {}
    for node in model.graph.node:
        quantised = node.input[0] if node.op_type == "DequantizeLinear" else ""
        if quantised.startswith((_NETWORK, pixels.PREFIX)) and quantised.endswith(_QUANTISED):
            numbers, scale = arrays[quantised].astype(np.float64), arrays[node.input[1]]
            found[quantised.removesuffix(_QUANTISED)] = numbers * scale.reshape(-1, *[1] * (numbers.ndim - 1))
    return found
