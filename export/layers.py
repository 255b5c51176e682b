"""Signal-to-noise ratio of each quantised tensor, by ONNX Runtime's quantisation debugging tools."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.qdq_loss_debug import (
    collect_activations,
    compute_activation_error,
    compute_weight_error,
    create_activation_matching,
    create_weight_matching,
    modify_model_output_intermediate_tensors,
)

from export.quiet import loggers_at

Batch = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Loss:
    """Quantisation loss of one tensor.

    Attributes:
        tensor: Name in the graph.
        layer: The convolution that the weights belong to or the activations come from, by the network's names.
        kind: `weights` or `activations`.
        decibels: Signal to quantisation noise; for activations, noise includes that of all layers before. Low is bad.
    """

    tensor: str
    layer: str
    kind: str
    decibels: float


@loggers_at(logging.CRITICAL)
def find_losses(reference: Path, int8: Path, batch: Batch) -> list[Loss]:
    """Compute the signal-to-noise ratio of all quantised tensors.

    Args:
        reference: The float graph that was quantised.
        int8: The quantised graph.
        batch: A few clips; all tensors of the graph are held in memory, about 150 MB per clip.

    Returns:
        The losses, worst first.
    """
    weights = compute_weight_error(create_weight_matching(str(reference), str(int8)))
    layers = _layers(onnx.load(reference).graph)
    losses = [
        Loss(name, name.removesuffix(".weight"), "weights", decibels)
        for name, decibels in weights.items()
        if not name.endswith("bias")
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for path in (reference, int8):
            augmented = str(Path(folder) / path.name)
            modify_model_output_intermediate_tensors(str(path), augmented)
            found.append(collect_activations(augmented, _Once(batch)))
    errors = compute_activation_error(create_activation_matching(found[1], found[0]))
    losses += [
        Loss(name, layers.get(name, ""), "activations", error["xmodel_err"])
        for name, error in errors.items()
        if "xmodel_err" in error
    ]
    return sorted(losses, key=lambda loss: loss.decibels)


def _layers(graph: onnx.GraphProto) -> dict[str, str]:
    """The last convolution before each tensor, by the tensor's name; nodes are in the order of execution."""
    layers: dict[str, str] = {}
    for node in graph.node:
        sources = [layers[name] for name in node.input if name in layers]
        layer = node.input[1].removesuffix(".weight") if node.op_type == "Conv" else sources[0] if sources else ""
        layers |= dict.fromkeys(node.output, layer)
    return layers


class _Once(CalibrationDataReader):  # type: ignore[misc]
    """Passes one batch to ONNX Runtime."""

    def __init__(self, batch: Batch) -> None:
        self._batches: Iterator[Batch] = iter([batch])

    def get_next(self) -> Batch | None:
        return next(self._batches, None)
