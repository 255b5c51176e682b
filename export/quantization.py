"""Static quantisation of an FP32 model to INT8, with QuantizeLinear and DequantizeLinear nodes (QDQ).

Activations are unsigned and weights signed (U8S8), for which ONNX Runtime has fast VNNI kernels. By default, only the
video branch is quantised: it does nearly all the work, while quantising the audio branch, attention and linear layers
gains little speed and loses agreement with FP32. Weights have seven bits, because processors without VNNI accumulate
products of eight-bit weights in sixteen bits, which overflow silently. ReLU, addition and pooling after a convolution
are quantised with it, so that tensors between two convolutions stay INT8. docs/decisions/int8-recipe.md compares the
alternatives.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
from onnxruntime.quantization.shape_inference import quant_pre_process

from export import pixels
from export.choices import Recipe, Scope
from export.errors import ExportError
from export.parity import open_session
from export.quiet import loggers_at
from training.network.pixels import WEIGHT as PIXEL_WEIGHT

Batch = dict[str, npt.NDArray[Any]]

_VIDEO_WEIGHTS: Final = "network.video."
_FIRST_WEIGHT: Final = "network.video.conv1.weight"
_FOLLOWING: Final = ("Relu", "Add", "MaxPool")
_METHODS: Final = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


@loggers_at(logging.ERROR)
def quantize(
    fp32: Path, int8: Path, batches: Iterable[Batch], recipe: Recipe | None = None, *, reference: Path | None = None
) -> int:
    """Quantise a model.

    Args:
        fp32: The exported model.
        int8: The file to write, with the same metadata.
        batches: Inputs of the model by name, from training clips; the ranges of activations set the scales.
        recipe: How to quantise; the defaults of `Recipe` if None.
        reference: File for the float graph that was quantised, for comparing layers; not written if None.

    Returns:
        Number of quantised convolutions.

    Raises:
        ExportError: There are no calibration clips, or no convolutions.
    """
    recipe = recipe or Recipe()
    clips = iter(batches)
    first = next(clips, None)
    if first is None:
        raise ExportError("The cache has no clips to calibrate INT8 with.")
    with tempfile.TemporaryDirectory() as folder:
        prepared, raw = Path(folder) / "prepared.onnx", Path(folder) / "raw.onnx"
        quant_pre_process(fp32, raw, skip_symbolic_shape=True)
        model = onnx.load(raw)
        if recipe.reads_pixels:
            pixels.fold_normalisation(model, _FIRST_WEIGHT)
        nodes = _chosen_nodes(model, recipe.scope)
        onnx.save(model, prepared)
        if reference is not None:
            shutil.copyfile(prepared, reference)
        quantizer = QDQQuantizer(
            load_model_with_shape_infer(prepared),
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8 if recipe.activations == "u8" else QuantType.QInt8,
            tensors_range=_ranges(prepared, itertools.chain([first], clips), recipe),
            nodes_to_quantize=nodes,
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv", *_FOLLOWING],
            extra_options={
                "ActivationSymmetric": recipe.activations == "s8",
                "TensorQuantOverrides": pixels.quantisation() if recipe.reads_pixels else {},
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        quantised = quantizer.model.model
    if recipe.reads_pixels:
        pixels.connect_pixels(quantised)
    source = onnx.load(fp32, load_external_data=False)
    onnx.helper.set_model_props(quantised, {entry.key: entry.value for entry in source.metadata_props})
    onnx.checker.check_model(quantised)
    onnx.save(quantised, int8)
    return sum(node.op_type == "Conv" for node in model.graph.node if node.name in nodes)


def _chosen_nodes(model: onnx.ModelProto, scope: Scope) -> list[str]:
    """Names of the convolutions in a scope, and of the operations after them that can be quantised with them."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and _in_scope(node.input[1], scope)]
    if not convolutions:
        raise ExportError(f"There is nothing to quantise: no convolution has weights named {_VIDEO_WEIGHTS}*.")
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    chosen = {node.name: node for node in convolutions}
    waiting = list(convolutions)
    while waiting:
        for node in readers.get(waiting.pop().output[0], []):
            if node.op_type in _FOLLOWING and node.name not in chosen:
                chosen[node.name] = node
                waiting.append(node)
    return list(chosen)


def _in_scope(weight: str, scope: Scope) -> bool:
    """Whether the convolution with these weights is in a scope; the exporter keeps the network's parameter names."""
    is_first = weight in {_FIRST_WEIGHT, PIXEL_WEIGHT}
    return {
        "video": is_first or weight.startswith(_VIDEO_WEIGHTS),
        "video-but-first": not is_first and weight.startswith(_VIDEO_WEIGHTS),
        "all": True,
    }[scope]


def _ranges(prepared: Path, batches: Iterable[Batch], recipe: Recipe) -> Any:  # noqa: ANN401 (ONNX Runtime's own)
    """The range of each activation over the calibration clips, batch by batch to limit memory."""
    with tempfile.TemporaryDirectory() as folder:
        augmented = Path(folder) / "augmented.onnx"
        calibrator = create_calibrator(
            prepared,
            ["Conv", *_FOLLOWING],
            augmented_model_path=str(augmented),
            calibrate_method=_METHODS[recipe.calibration],
            extra_options={"symmetric": recipe.activations == "s8"},
        )
        # The calibrator's own session is not optimised and takes twice as long; both keep the outputs of the graph.
        calibrator.infer_session = open_session(augmented)
        # The calibrator prints its progress.
        with contextlib.redirect_stdout(io.StringIO()):
            for batch in batches:
                calibrator.collect_data(_Reader([batch]))
            return calibrator.compute_data()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Passes batches to ONNX Runtime one by one."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches: Iterator[Batch] = iter(batches)

    def get_next(self) -> Batch | None:
        return next(self._batches, None)
