"""What a network is worth on clips it was not trained on: with both modalities, and with either alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from preprocessing.contract import MODALITIES, PRESENT
from training.calibration import fit_temperature
from training.data.samples import LABEL
from training.features import FeatureSamples, judge
from training.metrics import score
from training.network import EmotionNetwork, Temperatures

FloatArray = npt.NDArray[np.float32]

ABLATIONS: Final = {"both": (True, True), "video only": (True, False), "audio only": (False, True)}
"""Which modalities the network gets."""

_BATCH: Final = 64


@dataclass(frozen=True)
class Answers:
    """Logits of a network before calibration.

    Attributes:
        fused: float32 [N, 8] of the fusion.
        video: float32 [N, 8] of the video branch.
        audio: float32 [N, 8] of the audio branch.
        present: bool [N, 2], what each sample had.
        labels: int64 [N].
    """

    fused: FloatArray
    video: FloatArray
    audio: FloatArray
    present: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]


@torch.inference_mode()
def answer(network: EmotionNetwork, samples: FeatureSamples, allowed: tuple[bool, bool] = ABLATIONS["both"]) -> Answers:
    """Ask a network about samples whose branch features are known.

    Args:
        network: Set to evaluation mode.
        samples: What to ask about.
        allowed: Which of the modalities it gets; samples that have none of them are left out.
    """
    network.eval()
    device = next(network.parameters()).device
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for batch in DataLoader(samples, _BATCH):
        present = batch[PRESENT.name] & torch.tensor(allowed)
        some = present.any(dim=1)
        kept = {name: values[some].to(device) for name, values in (batch | {PRESENT.name: present}).items()}
        output = judge(network, kept)
        answers = (output.logits, output.video_logits, output.audio_logits, kept[PRESENT.name], kept[LABEL])
        parts.append(tuple(values.cpu().numpy() for values in answers))
    return Answers(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def fit_temperatures(answers: Answers) -> Temperatures:
    """Temperatures by answers about validation clips; a branch without clips keeps 1."""
    branches = []
    for column, logits in enumerate((answers.video, answers.audio)):
        there = answers.present[:, column]
        branches.append(fit_temperature(logits[there], answers.labels[there]) if there.any() else 1.0)
    return Temperatures(fit_temperature(answers.fused, answers.labels), *branches)


def evaluate(network: EmotionNetwork, temperatures: Temperatures, samples: FeatureSamples) -> dict[str, Any]:
    """Everything that is reported of a network on one set of samples, JSON-ready.

    Returns:
        `clips`; scores of the fusion for each of `ABLATIONS` that the samples allow, and of each branch's own
        classifier; and `calibration_error_before`, that of the fusion without temperature.
    """
    report: dict[str, Any] = {"clips": len(samples)}
    for name, allowed in ABLATIONS.items():
        if (samples.present & np.array(allowed)).any():
            answers = answer(network, samples, allowed)
            report[name] = asdict(score(softmax(answers.fused, temperatures.fused), answers.labels))
    answers = answer(network, samples)
    report["calibration_error_before"] = score(softmax(answers.fused), answers.labels).calibration_error
    branches = ((answers.video, temperatures.video), (answers.audio, temperatures.audio))
    for column, (logits, temperature) in enumerate(branches):
        there = answers.present[:, column]
        if there.any():
            scores = score(softmax(logits[there], temperature), answers.labels[there])
            report[f"{MODALITIES[column]} branch"] = asdict(scores)
    return report


def softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Probabilities [N, 8] of logits [N, 8]."""
    exponents = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)
