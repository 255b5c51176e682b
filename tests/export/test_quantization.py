"""INT8 quantises the video branch, in the fast form, and stays close to FP32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from avemotion.preprocessing.contract import FRAMES, VIDEO_PROBABILITIES
from export.choices import Calibration, Recipe, Scope
from export.errors import ExportError
from export.layers import find_losses
from export.parity import open_session, random_inputs, run
from export.quantization import quantize
from tests.export.conftest import Exported, calibration
from training.network.pixels import ZERO_POINT

RESNET18_CONVOLUTIONS = 20
AUDIO_CONVOLUTIONS = 8
VOICE_CONVOLUTIONS = 6
"""Of the branch; cross-attention has one more over the spectrogram."""


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


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


def test_the_first_convolution_reads_pixels_without_a_float_between(exported: Exported) -> None:
    graph = onnx.load(exported.int8).graph
    readers = {name: node for node in graph.node for name in node.input}
    name, passed = FRAMES.name, []
    while (node := readers[name]).op_type != "Conv":
        passed.append(node.op_type)
        name = node.output[0]
    assert passed == ["Reshape", "Transpose", "DequantizeLinear"]
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    dequantize = next(node for node in graph.node if name in node.output)
    assert (tensors[dequantize.input[1]], tensors[dequantize.input[2]]) == (1, ZERO_POINT)


def test_what_the_pixels_changed_is_the_edge_of_the_picture_alone(exported: Exported) -> None:
    """Where a picture is the mean grey up to its edges, beyond which there is grey, nothing at all is changed."""
    fp32, folded = open_session(exported.fp32), open_session(exported.reference)
    inputs = random_inputs(2, (True, True), seed=3)
    found = [run(session, inputs)[VIDEO_PROBABILITIES.name] for session in (fp32, folded)]
    flat = random_inputs(2, (True, True), seed=3)
    flat[FRAMES.name][:] = ZERO_POINT
    spread = np.abs(found[0] - run(fp32, flat)[VIDEO_PROBABILITIES.name]).max()
    assert np.abs(found[0] - found[1]).max() < 0.05 * spread


def test_everything_between_two_quantised_convolutions_stays_int8(exported: Exported) -> None:
    """ReLU is part of a range: none is left but those of other parts, and those behind which floats begin."""
    of_other_parts = AUDIO_CONVOLUTIONS + VOICE_CONVOLUTIONS
    assert operators(exported.int8).count("Relu") <= of_other_parts + 2
    graph = onnx.load(exported.int8).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    added = [node for node in graph.node if node.op_type == "Add" and node.name.startswith("node_add")]
    residual = [node for node in added if all(producers.get(name) == "DequantizeLinear" for name in node.input)]
    assert len(residual) >= 8


def test_int8_is_a_third_of_the_size_and_close_to_fp32(exported: Exported) -> None:
    assert exported.int8.stat().st_size < exported.fp32.stat().st_size / 3
    inputs = random_inputs(4, (True, True), seed=1)
    inputs[FRAMES.name] //= np.array([1, 2, 4, 8], np.uint8)[:, None, None, None, None]
    fp32, int8 = (run(open_session(file), inputs)[VIDEO_PROBABILITIES.name] for file in (exported.fp32, exported.int8))
    spread = np.abs(fp32 - fp32.mean(axis=0)).max()
    assert 0 < np.abs(fp32 - int8).max() < 0.2 * spread


@pytest.mark.parametrize(
    ("scope", "convolutions"),
    [
        ("video-but-first", RESNET18_CONVOLUTIONS - 1),
        ("all", RESNET18_CONVOLUTIONS + AUDIO_CONVOLUTIONS + VOICE_CONVOLUTIONS),
    ],
)
def test_a_scope_says_which_convolutions(exported: Exported, tmp_path: Path, scope: Scope, convolutions: int) -> None:
    assert quantize(exported.fp32, tmp_path / "int8.onnx", calibration(), Recipe(scope=scope)) == convolutions


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_ranges_depend_on_the_calibration(exported: Exported, tmp_path: Path, method: Calibration) -> None:
    path = tmp_path / "int8.onnx"
    quantize(exported.fp32, path, calibration(), Recipe(calibration=method))
    inputs = random_inputs(2, (True, True), seed=1)
    found, other = (run(open_session(file), inputs)[VIDEO_PROBABILITIES.name] for file in (path, exported.int8))
    assert 0 < np.abs(found - other).max() < 0.2


def test_for_tensorrt_activations_are_signed_and_symmetric(exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize(exported.fp32, path, calibration(), Recipe(activations="s8"))
    graph = onnx.load(path).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantizers = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantizers) >= RESNET18_CONVOLUTIONS
    for node in quantizers:
        assert tensors[node.input[2]].dtype == np.int8
        assert not tensors[node.input[2]].any()


def test_losses_name_the_worst_tensors_first(exported: Exported) -> None:
    losses = find_losses(exported.reference, exported.int8, random_inputs(1, (True, True), seed=0))
    assert {loss.kind for loss in losses} == {"weights", "activations"}
    assert sum(loss.kind == "weights" for loss in losses) == RESNET18_CONVOLUTIONS
    assert {"network.video.layer4.1.conv2", "pixels.conv1"} <= {loss.layer for loss in losses}
    decibels = [loss.decibels for loss in losses]
    assert decibels == sorted(decibels)
    assert all(5 < value < 100 for value in decibels)


def test_without_calibration_clips_there_is_no_int8(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no clips to calibrate"):
        quantize(exported.fp32, tmp_path / "int8.onnx", iter(()))
