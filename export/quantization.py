"""FP32 becomes INT8: static quantisation, written into the graph as QuantizeLinear and DequantizeLinear pairs.

Unsigned activations and signed weights (U8S8) are what ONNX Runtime's VNNI kernels are fast at. Only the convolutions
of the video branch are quantised: nearly all operations are there, while the audio branch, attention and linear layers
would gain no speed and cost agreement with FP32.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.errors import ExportError

_VIDEO_WEIGHTS: Final = "network.video."


def quantize(fp32: Path, int8: Path, batches: Iterable[dict[str, npt.NDArray[Any]]]) -> int:
    """Quantise the video branch of a model.

    Args:
        fp32: The exported model.
        int8: The file to write, with the same metadata.
        batches: Inputs of the model by name, from clips that were trained on; their ranges set the scales.

    Returns:
        How many convolutions were quantised.

    Raises:
        ExportError: There are no calibration clips, or no convolutions.
    """
    reader = _Reader(batches)
    if reader.is_empty():
        raise ExportError("There are no clips to calibrate INT8 with.")
    logging.getLogger("root").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        nodes = _convolutions(prepared)
        quantize_static(
            prepared,
            int8,
            reader,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=nodes,
            op_types_to_quantize=["Conv"],
            calibrate_method=CalibrationMethod.MinMax,
        )
    source, target = onnx.load(fp32, load_external_data=False), onnx.load(int8)
    onnx.helper.set_model_props(target, {entry.key: entry.value for entry in source.metadata_props})
    onnx.save(target, int8)
    return len(nodes)


def _convolutions(path: Path) -> list[str]:
    """Names of the video branch's convolutions, which the exporter names their weights after."""
    nodes = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    chosen = [node.name for node in nodes if node.input[1].startswith(_VIDEO_WEIGHTS)]
    if not chosen:
        raise ExportError(f"No convolution has weights named {_VIDEO_WEIGHTS}*: there is nothing to quantise.")
    return chosen


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands batches to ONNX Runtime one by one."""

    def __init__(self, batches: Iterable[dict[str, npt.NDArray[Any]]]) -> None:
        self._batches: Iterator[dict[str, npt.NDArray[Any]]] = iter(batches)
        self._next = next(self._batches, None)

    def is_empty(self) -> bool:
        """Whether there is no batch left."""
        return self._next is None

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        batch, self._next = self._next, next(self._batches, None)
        return batch
