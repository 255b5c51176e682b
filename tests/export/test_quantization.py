"""INT8 quantises the video branch's convolutions, the fast way, and stays close to FP32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.errors import ExportError
from export.parity import open_session, random_inputs, run
from export.quantization import quantize
from preprocessing.contract import FRAMES, VIDEO_PROBABILITIES
from tests.export.conftest import Exported

RESNET18_CONVOLUTIONS = 20


def test_exactly_the_video_branchs_convolutions_are_quantised(exported: Exported) -> None:
    assert exported.quantised_convolutions == RESNET18_CONVOLUTIONS


def test_activations_are_unsigned_and_weights_signed_per_channel(exported: Exported) -> None:
    graph = onnx.load(exported.int8).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    quantised = 0
    for node in graph.node:
        if node.op_type != "Conv" or producers.get(node.input[1], node).op_type != "DequantizeLinear":
            continue
        weight, activation = producers[node.input[1]], producers[node.input[0]]
        assert tensors[weight.input[0]].data_type == onnx.TensorProto.INT8
        assert len(tensors[weight.input[1]].dims) == 1
        assert tensors[activation.input[2]].data_type == onnx.TensorProto.UINT8
        quantised += 1
    assert quantised == exported.quantised_convolutions


def test_int8_is_a_third_of_the_size_and_close_to_fp32(exported: Exported) -> None:
    assert exported.int8.stat().st_size < exported.fp32.stat().st_size / 3
    inputs = random_inputs(4, (True, True), seed=1)
    inputs[FRAMES.name] //= np.array([1, 2, 4, 8], np.uint8)[:, None, None, None, None]
    fp32, int8 = (run(open_session(file), inputs)[VIDEO_PROBABILITIES.name] for file in (exported.fp32, exported.int8))
    spread = np.abs(fp32 - fp32.mean(axis=0)).max()
    assert 0 < np.abs(fp32 - int8).max() < 0.2 * spread


def test_without_calibration_clips_there_is_no_int8(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no clips to calibrate"):
        quantize(exported.fp32, tmp_path / "int8.onnx", iter(()))
