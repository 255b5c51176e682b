"""Folds the normalisation of pixels into the first convolution of an INT8 model.

The FP32 graph converts each pixel to a float and normalises it, and quantisation would convert it back to 8 bits, which
takes a tenth of the time of a clip (docs/decisions/int8-recipe.md). Normalisation is linear, so that the weights of
the convolution can absorb it. The quantised input is then the frame itself: scale 1, zero point `ZERO_POINT`.

The padding of the convolution is ImageNet's mean colour in the FP32 graph and its mean grey here, because a quantised
tensor has one zero point for all channels. All other differences are rounding.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from avemotion.preprocessing.contract import FRAMES
from export.errors import ExportError
from training.network.pixels import BIAS, MEAN, STD, WEIGHT, ZERO_POINT, to_pixels

PIXELS: Final = "pixels"
"""Name of the float tensor that is quantised with scale 1."""

_NORMALISATION: Final = ["Cast", "Sub", "Div", "Reshape", "Transpose"]


def fold_normalisation(model: onnx.ModelProto, weight: str) -> None:
    """Make the first convolution of a float graph read pixels minus `ZERO_POINT`.

    Args:
        model: Changed in place.
        weight: Name of the convolution's weights, float [64, 3, 7, 7].

    Raises:
        ExportError: The graph does not normalise its frames as expected.
    """
    graph = model.graph
    (convolution,) = [node for node in graph.node if node.op_type == "Conv" and node.input[1] == weight]
    chain = _nodes_before(graph, convolution)
    if [node.op_type for node in chain] != _NORMALISATION:
        found = ", ".join(node.op_type for node in chain)
        raise ExportError(f"Frames reach the first convolution by {found}; expected {', '.join(_NORMALISATION)}.")
    cast, subtract, divide, reshape, transpose = chain
    weights, bias, mean, std = (
        _constant(graph, name).astype(np.float64)
        for name in (convolution.input[1], convolution.input[2], subtract.input[1], divide.input[1])
    )
    if not (np.allclose(mean.ravel(), MEAN) and np.allclose(std.ravel(), STD)):
        raise ExportError(f"Frames are normalised by {mean.ravel()} and {std.ravel()}; expected {MEAN} and {STD}.")
    scaled, shifted = to_pixels(weights, bias)
    for name, value in ((WEIGHT, scaled), (BIAS, shifted), ("pixels.zero", np.array(ZERO_POINT))):
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    convolution.input[:] = [PIXELS, WEIGHT, BIAS]
    # Transposing integers instead of floats moves a quarter of the bytes.
    reshape.input[0] = FRAMES.name
    for node in (cast, subtract, divide):
        graph.node.remove(node)
    place = list(graph.node).index(transpose) + 1
    graph.node.insert(place, helper.make_node("Sub", ["pixels.float", "pixels.zero"], [PIXELS], name="pixels.sub"))
    graph.node.insert(
        place,
        helper.make_node("Cast", [transpose.output[0]], ["pixels.float"], name="pixels.cast", to=TensorProto.FLOAT),
    )
    # Inferred types and shapes no longer hold, and some constants have become unused.
    del graph.value_info[:]
    _drop_unused_constants(graph)


def quantisation() -> dict[str, list[dict[str, Any]]]:
    """How `PIXELS` is quantised, in the form of ONNX Runtime's `TensorQuantOverrides`."""
    from onnxruntime.quantization import QuantType  # noqa: PLC0415 (slow to import, and needed here only)

    scale, zero_point = np.array(1, np.float32), np.array(ZERO_POINT, np.uint8)
    return {PIXELS: [{"quant_type": QuantType.QUInt8, "scale": scale, "zero_point": zero_point}]}


def connect_pixels(model: onnx.ModelProto) -> None:
    """Remove the conversion of pixels to floats and back from a quantised graph: with scale 1 it is the identity.

    Args:
        model: Changed in place.
    """
    graph = model.graph
    producers = {output: node for node in graph.node for output in node.output}
    (quantize,) = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == PIXELS]
    subtract = producers[PIXELS]
    cast = producers[subtract.input[0]]
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == quantize.output[0]:
                node.input[index] = cast.input[0]
    for node in (quantize, subtract, cast):
        graph.node.remove(node)
    _drop_unused_constants(graph)


def _nodes_before(graph: onnx.GraphProto, convolution: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes from the frames to a convolution, in the order of execution."""
    producers = {output: node for node in graph.node for output in node.output}
    chain: list[onnx.NodeProto] = []
    name = convolution.input[0]
    while name in producers:
        chain.insert(0, producers[name])
        name = producers[name].input[0]
    return chain if name == FRAMES.name else []


def _constant(graph: onnx.GraphProto, name: str) -> npt.NDArray[Any]:
    for tensor in graph.initializer:
        if tensor.name == name:
            return np.asarray(numpy_helper.to_array(tensor))
    raise ExportError(f"The graph has no constant named {name}.")


def _drop_unused_constants(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)
