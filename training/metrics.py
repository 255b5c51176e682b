"""Numbers that say how good predictions are, each in one place."""

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
        confidence: Mean probability of the label that was chosen.
        accuracy: Share of right answers.
        clips: How many there are.
    """

    confidence: float
    accuracy: float
    clips: int


@dataclass(frozen=True)
class ClassScore:
    """How one class fares.

    Attributes:
        label: Its name.
        precision: Share of right answers among those that name it.
        recall: Share of its clips that are recognised.
        f1: Harmonic mean of both.
        clips: How many there are.
    """

    label: str
    precision: float
    recall: float
    f1: float
    clips: int


@dataclass(frozen=True)
class Scores:
    """How a set of predictions fares.

    Attributes:
        accuracy: Share of right answers.
        unweighted_recall: Mean recall of the classes that occur; what RAVDESS results are compared by.
        macro_f1: Mean F1 of the classes that occur.
        calibration_error: Expected calibration error of the probabilities as given.
        classes: Each class.
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
    """Mean recall of the classes that occur."""
    right = probabilities.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def calibration_error(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over equal-width bins of confidence.

    Source: Guo et al. 2017, arXiv 1706.04599, equation 3, with 15 bins as there.
    """
    return _gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def calibration_floor(probabilities: FloatArray, bins: int = BINS, draws: int = 500) -> tuple[float, float]:
    """What the calibration error of as many clips would be if the probabilities were exactly right.

    The error is a mean of absolute gaps, which chance alone keeps from zero: a few hundred clips in 15 bins cannot show
    less than this. Answers are drawn to be right as often as the probabilities say (consistency resampling, Bröcker &
    Smith 2007, doi 10.1175/WAF993.1).

    Args:
        probabilities: [N, 8].
        bins: As in `calibration_error`.
        draws: How often.

    Returns:
        Mean of the draws, and their 95th percentile.
    """
    confidence = probabilities.max(axis=1)
    random = np.random.default_rng(0)
    errors = [_gap(confidence, random.random(len(confidence)) < confidence, bins) for _ in range(draws)]
    return float(np.mean(errors)), float(np.percentile(errors, 95))


def reliability(probabilities: FloatArray, labels: IntArray, bins: int = BINS) -> list[ReliabilityBin]:
    """The bins of `calibration_error` that hold clips, by rising confidence."""
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
