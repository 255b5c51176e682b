"""The accuracy gate: INT8 must agree with FP32 on held-out clips, and be about as accurate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import PROBABILITIES, VIDEO_PROBABILITIES
from export.choices import MAX_ACCURACY_LOSS, MIN_AGREEMENT
from export.errors import GateError
from export.parity import open_session, run

LabelledBatch = tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Comparison:
    """FP32 and INT8 on the same clips.

    Attributes:
        clips: Number of clips.
        agreement: Share with the same most probable label.
        fp32_accuracy: Accuracy of FP32.
        int8_accuracy: Accuracy of INT8.
        video_agreement: Share with the same most probable label of the video branch, which holds nearly all of INT8.
        probability_change: Largest difference of any fused probability.
    """

    clips: int
    agreement: float
    fp32_accuracy: float
    int8_accuracy: float
    video_agreement: float = 1.0
    probability_change: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.clips} held-out clips: agreement {self.agreement:.1%}, "
            f"accuracy {self.fp32_accuracy:.1%} FP32, {self.int8_accuracy:.1%} INT8"
        )


def compare(fp32: Path, int8: Path, batches: Iterable[LabelledBatch]) -> Comparison:
    """Run both models on labelled clips.

    Args:
        fp32: The exported model.
        int8: The quantised model.
        batches: Inputs by name, and labels int64 [B], of clips that the model was not trained on.

    Raises:
        GateError: There are no clips.
    """
    sessions = open_session(fp32), open_session(int8)
    answers: list[npt.NDArray[np.int64]] = []
    change = 0.0
    for inputs, labels in batches:
        found = [run(session, inputs) for session in sessions]
        chosen = [
            tensors[spec.name].argmax(axis=1) for spec in (PROBABILITIES, VIDEO_PROBABILITIES) for tensors in found
        ]
        answers.append(np.stack((labels, *chosen)))
        probabilities = [tensors[PROBABILITIES.name] for tensors in found]
        change = max(change, float(np.abs(probabilities[0] - probabilities[1]).max()))
    if not answers:
        raise GateError("The cache has no held-out clips, on which INT8 and FP32 are compared.")
    expected, full, quantised, full_video, quantised_video = np.concatenate(answers, axis=1)
    return Comparison(
        clips=len(expected),
        agreement=float((full == quantised).mean()),
        fp32_accuracy=float((full == expected).mean()),
        int8_accuracy=float((quantised == expected).mean()),
        video_agreement=float((full_video == quantised_video).mean()),
        probability_change=change,
    )


def enforce(
    comparison: Comparison,
    *,
    min_agreement: float = MIN_AGREEMENT,
    max_accuracy_loss: float = MAX_ACCURACY_LOSS,
) -> None:
    """Reject a quantisation that changes too much.

    Raises:
        GateError: Agreement is too low or the accuracy lost too high; the message names value and limit.
    """
    if comparison.agreement < min_agreement:
        raise GateError(
            f"INT8 agrees with FP32 on {comparison.agreement:.1%} of {comparison.clips} held-out clips; "
            f"the limit is {min_agreement:.1%}."
        )
    loss = comparison.fp32_accuracy - comparison.int8_accuracy
    if loss > max_accuracy_loss:
        raise GateError(
            f"INT8 is {loss:.1%} less accurate than FP32 on {comparison.clips} held-out clips; "
            f"the limit is {max_accuracy_loss:.1%}."
        )
