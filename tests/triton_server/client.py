"""Asking Triton over gRPC, and ONNX Runtime in this process, for the same thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tritonclient import grpc

from avemotion.preprocessing import contract

OUTPUTS = tuple(spec.name for spec in contract.OUTPUTS)
Tensors = Mapping[str, npt.NDArray[Any]]


def random_inputs(batch: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Random tensors of the contract [batch, …]: ones or zeros would hide tensors that arrive garbled."""
    random = np.random.default_rng(seed)
    return {
        contract.FRAMES.name: random.integers(0, 256, (batch, *contract.FRAMES.shape), np.uint8),
        contract.LOG_MEL.name: random.uniform(-1, 1, (batch, *contract.LOG_MEL.shape)).astype(np.float32),
        contract.PRESENT.name: random.random((batch, *contract.PRESENT.shape)) < 0.7,
    }


def triton_inputs(tensors: Tensors) -> list[grpc.InferInput]:
    """Arrays as inputs of Triton's gRPC client."""
    inputs = []
    for name, array in tensors.items():
        item = grpc.InferInput(name, array.shape, grpc.np_to_triton_dtype(array.dtype))
        item.set_data_from_numpy(array)
        inputs.append(item)
    return inputs


def ask_triton(
    client: grpc.InferenceServerClient,
    model: str,
    tensors: Tensors,
    outputs: Sequence[str] = OUTPUTS,
) -> dict[str, npt.NDArray[Any]]:
    """One inference over gRPC."""
    requested = [grpc.InferRequestedOutput(name) for name in outputs]
    result = client.infer(model, triton_inputs(tensors), outputs=requested, client_timeout=30)
    return {name: result.as_numpy(name) for name in outputs}


def ask_onnxruntime(model_file: Path, tensors: Tensors) -> dict[str, npt.NDArray[Any]]:
    """The same inference in this process."""
    session = _session(model_file)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(tensors)), strict=True))


@lru_cache(maxsize=1)
def _session(model_file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
