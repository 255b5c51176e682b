"""Metrics of predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from avemotion.preprocessing.contract import LABELS

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]


BINS: Final = 15
"""Equal-width bins of confidence."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Clips whose confidence lies in one bin.

    Attributes:
        confidence: Mean probability of the predicted label.
        accuracy: Share of right predictions.
        clips: Number of clips.
    """

    confidence: float
    accuracy: float
    clips: int


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        label: Name of the class.
        precision: Share of right predictions among those of this class.
        recall: Share of its clips that are predicted right.
        f1: Harmonic mean of both.
        clips: Number of its clips.
    """

    label: str
    precision: float
    recall: float
    f1: float
    clips: int


@dataclass(frozen=True)
class Scores:
    """Scores of a set of predictions.

    Attributes:
        accuracy: Share of right predictions.
        unweighted_recall: Unweighted average recall (UAR) of the classes that occur; the usual metric on RAVDESS.
        macro_f1: Mean F1 of the classes that occur.
        calibration_error: Expected calibration error (ECE) of the probabilities.
        classes: Scores by class.
        confusion: Counts [true label][predicted label].
    """

    accuracy: float
    unweighted_recall: float
    macro_f1: float
    calibration_error: float
    classes: tuple[ClassScore, ...]
    confusion: list[list[int]]


def score(probabilities: FloatArray, labels: IntArray) -> Scores:
    """Score probabilities [N, 8] against labels [N]."""
    predicted = probabilities.argmax(axis=1)
    every = np.arange(len(LABELS))
    precision, recall, f1, clips = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0.0)
    present = clips > 0
    return Scores(
        accuracy=float((predicted == labels).mean()),
        unweighted_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        calibration_error=calibration_error(probabilities, labels),
        classes=tuple(
            ClassScore(label, float(precision[i]), float(recall[i]), float(f1[i]), int(clips[i]))
            for i, label in enumerate(LABELS)
        ),
        confusion=confusion_matrix(labels, predicted, labels=every).tolist(),
    )


def unweighted_recall(probabilities: FloatArray, labels: IntArray) -> float:
    """Unweighted average recall (UAR) of the classes that occur."""
    right = probabilities.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def calibration_error(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> float:
    """Expected calibration error (ECE): mean gap of confidence and accuracy over equal-width bins of confidence.

    Source: Guo et al. 2017, arXiv 1706.04599, equation 3, with 15 bins as there.
    """
    return _gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def chance_calibration_error(probabilities: FloatArray, bins: int = BINS, draws: int = 500) -> tuple[float, float]:
    """Estimate the calibration error that a perfectly calibrated model would show on as many clips.

    The error is a mean of absolute gaps, so that chance alone makes it positive. Outcomes are drawn with the given
    probabilities (consistency resampling, Bröcker & Smith 2007, doi 10.1175/WAF993.1).

    Args:
        probabilities: [N, 8].
        bins: As in `calibration_error`.
        draws: Number of draws.

    Returns:
        Mean and 95th percentile of the draws.
    """
    confidence = probabilities.max(axis=1)
    random = np.random.default_rng(0)
    errors = [_gap(confidence, random.random(len(confidence)) < confidence, bins) for _ in range(draws)]
    return float(np.mean(errors)), float(np.percentile(errors, 95))


def reliability(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> list[ReliabilityBin]:
    """The non-empty bins of `calibration_error`, by rising confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = _places(confidence, bins)
    return [
        ReliabilityBin(float(confidence[place == i].mean()), float(right[place == i].mean()), int((place == i).sum()))
        for i in np.unique(place)
    ]


def _gap(confidence: FloatArray, right: npt.NDArray[np.bool_], bins: int) -> float:
    place = _places(confidence, bins)
    surplus = np.bincount(place, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(surplus).sum() / len(confidence))


def _places(confidence: FloatArray, bins: int) -> IntArray:
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)
