"""One exported network for all tests of this folder: an export takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest
import torch
from torch import nn

from avemotion.preprocessing import contract
from export.onnx_model import export_onnx
from export.parity import random_inputs
from export.quantization import quantize
from training.checkpoint import Checkpoint
from training.network import EmotionNetwork, NetworkConfig, Temperatures


@dataclass(frozen=True)
class Exported:
    checkpoint: Checkpoint
    fp32: Path
    int8: Path
    reference: Path
    quantised_convolutions: int


def untrained_checkpoint(config: NetworkConfig) -> Checkpoint:
    """A network with random weights and random batch-norm statistics, so that no part of it is the identity."""
    torch.manual_seed(0)
    network = EmotionNetwork(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    nn.init.normal_(network.missing_video)
    nn.init.normal_(network.missing_audio)
    _centre_logits(network)
    return Checkpoint(
        config=config,
        weights=network.state_dict(),
        crop="face",
        temperatures=Temperatures(1.5, 1.2, 0.8),
        metrics={"accuracy": 0.125},
    )


def _centre_logits(network: EmotionNetwork) -> None:
    """Make every label as likely as the others over random clips, so that the inputs decide which one wins."""
    clips = random_inputs(16, (True, True), seed=100)
    with torch.inference_mode():
        logits = network.eval()(*(torch.from_numpy(clips[spec.name]) for spec in contract.INPUTS)).logits
    bias = [value for name, value in network.fusion.named_parameters() if name.endswith("bias")][-1]
    bias.data -= logits.mean(dim=0)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = untrained_checkpoint(NetworkConfig(fusion="xattn", xattn_head="gated"))
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    export_onnx(checkpoint, fp32, git_commit="abc")
    reference = folder / "reference.onnx"
    count = quantize(fp32, int8, calibration(), reference=reference)
    return Exported(checkpoint, fp32, int8, reference, count)


def calibration() -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Random clips, in two batches."""
    return (random_inputs(1, (True, True), seed) for seed in range(2))
