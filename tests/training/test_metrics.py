"""Accuracy, recall and calibration error equal values by hand or by a library."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from training.calibration import fit_temperature
from training.evaluation import softmax
from training.metrics import calibration_error, chance_calibration_error, reliability, score, unweighted_recall


def drawn_logits(count: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is calibrated at `sharpness` 1, and labels drawn by it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 8)).astype(np.float32)
    chance = softmax(logits)
    labels = np.array([random.choice(8, p=row / row.sum()) for row in chance.astype(float)])
    return (logits * sharpness).astype(np.float32), labels


def test_unweighted_recall_is_that_of_scikit_learn_also_when_a_class_is_missing() -> None:
    random = np.random.default_rng(0)
    probabilities, labels = random.dirichlet(np.ones(8), 300), random.integers(0, 7, 300)
    probabilities[:, 7] = 0
    found = unweighted_recall(probabilities, labels)
    assert found == pytest.approx(balanced_accuracy_score(labels, probabilities.argmax(1)))
    assert score(probabilities, labels).unweighted_recall == pytest.approx(found)


def test_confident_wrong_answers_are_far_from_calibrated_and_confident_right_ones_are_not() -> None:
    labels = np.arange(8).repeat(10)
    right = np.eye(8)[labels]
    assert calibration_error(right, labels) == pytest.approx(0)
    assert calibration_error(np.roll(right, 1, axis=1), labels) == pytest.approx(1)
    half = np.where(np.arange(80)[:, None] % 2, right, np.roll(right, 1, axis=1))
    assert calibration_error(half, labels) == pytest.approx(0.5)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_fitted_temperature_undoes_over_and_under_confidence(sharpness: float) -> None:
    logits, labels = drawn_logits(4000, sharpness)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(sharpness, rel=0.1)
    assert calibration_error(softmax(logits, temperature), labels) < 0.03


def test_answers_that_are_all_right_get_the_coldest_temperature_rather_than_none() -> None:
    labels = np.arange(8)
    assert fit_temperature(np.eye(8, dtype=np.float32), labels) == pytest.approx(0.05, rel=0.01)


def test_scores_name_every_class_and_count_every_clip() -> None:
    logits, labels = drawn_logits(200, 1.0)
    found = score(softmax(logits), labels)
    confusion = np.array(found.confusion)
    assert confusion.sum() == 200
    assert found.accuracy == pytest.approx(np.trace(confusion) / 200)
    assert [each.clips for each in found.classes] == np.bincount(labels, minlength=8).tolist()
    assert [each.recall for each in found.classes] == pytest.approx(np.diag(confusion) / confusion.sum(axis=1))


def test_calibrated_answers_err_by_as_much_as_chance_lets_few_clips_err() -> None:
    errors = []
    for seed in range(40):
        logits, labels = drawn_logits(240, 1.0, seed)
        errors.append(calibration_error(softmax(logits), labels))
    mean, high = chance_calibration_error(softmax(drawn_logits(240, 1.0)[0]))
    assert mean == pytest.approx(np.mean(errors), abs=0.01)
    assert np.mean(np.array(errors) < high) > 0.85
    overconfident, labels = drawn_logits(240, 3.0)
    assert calibration_error(softmax(overconfident), labels) > chance_calibration_error(softmax(overconfident))[1]


def test_more_clips_show_calibration_more_closely() -> None:
    few, many = (chance_calibration_error(softmax(drawn_logits(count, 1.0)[0]))[0] for count in (100, 6000))
    assert many < 0.02
    assert few > 0.05


def test_reliability_bins_hold_every_clip_and_give_the_calibration_error() -> None:
    logits, labels = drawn_logits(500, 2.0)
    bins = reliability(softmax(logits), labels)
    assert sum(each.clips for each in bins) == 500
    gaps = [abs(each.accuracy - each.confidence) * each.clips / 500 for each in bins]
    assert sum(gaps) == pytest.approx(calibration_error(softmax(logits), labels))
