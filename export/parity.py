"""Parity of an exported model with the network, which `onnx.checker` does not check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from avemotion.preprocessing import contract
from avemotion.preprocessing.contract import TensorSpec
from export.choices import TOLERANCE
from export.errors import ParityError
from training.network import ServingNetwork

BATCH_SIZES: Final = (1, 2, 3, 8, 16)
PRESENCE: Final = ((True, True), (True, False), (False, True))
"""Both modalities, video only, audio only."""

Tensors = dict[str, npt.NDArray[Any]]


def check_parity(
    network: ServingNetwork,
    path: Path,
    *,
    tolerance: float = TOLERANCE,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    clips: Sequence[Tensors] = (),
) -> float:
    """Compare an ONNX file with the network on random clips, whole and with missing modalities, and on given ones.

    Args:
        network: The network.
        path: The ONNX file.
        tolerance: Largest absolute difference allowed.
        batch_sizes: Batch sizes of random clips to compare at.
        clips: Batches of real clips: in random ones a trained network may find nobody, and then fuses nothing.

    Returns:
        The largest absolute difference found.

    Raises:
        ParityError: It is above the tolerance; the message names output, batch size and modalities.
    """
    session = open_session(path)
    worst = 0.0
    for batch, present, inputs in _cases(batch_sizes, clips):
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(inputs[spec.name]) for spec in contract.INPUTS))
        for spec, tensor, found in zip(contract.OUTPUTS, expected, run(session, inputs).values(), strict=True):
            difference = float(np.abs(tensor.numpy() - found).max())
            if not difference <= tolerance:
                raise ParityError(
                    f"{path.name} differs from the network by {difference:.2e} in {spec.name} at batch {batch} with "
                    f"video {'present' if present[0] else 'missing'} and audio "
                    f"{'present' if present[1] else 'missing'}; the limit is {tolerance:.0e}."
                )
            worst = max(worst, difference)
    return worst


def open_session(model: Path | bytes, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load a model, given as a file or its bytes, on the CPU; 0 threads means one per core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, inputs: Tensors) -> Tensors:
    """Run a model and return all outputs of the contract by name."""
    names = [spec.name for spec in contract.OUTPUTS]
    return dict(zip(names, session.run(names, inputs), strict=True))


def random_inputs(batch: int, present: tuple[bool, bool], seed: int) -> Tensors:
    """Random input tensors for a batch of clips."""
    random = np.random.default_rng(seed)

    def fill(spec: TensorSpec) -> npt.NDArray[Any]:
        shape = (batch, *spec.shape)
        if spec is contract.FRAMES:
            return random.integers(0, 256, shape, spec.dtype)
        if spec is contract.LOG_MEL:
            return random.uniform(-1, 1, shape).astype(spec.dtype)
        return np.tile(np.array(present, spec.dtype), (batch, 1))

    return {spec.name: fill(spec) for spec in contract.INPUTS}


def _cases(batch_sizes: Sequence[int], clips: Sequence[Tensors]) -> Iterator[tuple[int, tuple[bool, bool], Tensors]]:
    for seed, batch in enumerate(batch_sizes):
        for present in PRESENCE:
            yield batch, present, random_inputs(batch, present, seed)
    for real in clips:
        flags = real[contract.PRESENT.name]
        yield len(flags), (bool(flags[0, 0]), bool(flags[0, 1])), real
