"""Which answers are accepted under load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import LABELS, OUTPUTS
from loadtest.consistency import TOLERANCE, FirstAnswers
from tests.loadtest.bodies import batch, prediction, response, row, scores, timeline


def test_the_same_answer_is_accepted_again_and_again() -> None:
    answers = FirstAnswers()
    assert [answers.prediction("a", response()) for _ in range(3)] == [None] * 3
    assert answers.prediction("b", response(1)) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": list(LABELS)[::-1]}, "top1 is"),
        ({"labels": [LABELS[0]] * 8}, "8 probabilities for the labels"),
        ({"probs": scores()["probs"][:7]}, "sum to"),
        ({"probs": [float("nan")] * 8}, "probs.0: "),
        ({"probs": [12.0] * 8}, "sum to 96.00"),
        ({"top1": {"label": LABELS[0], "prob": 1.0}}, "top1 has 1.0 %"),
        ({"top1": {"label": "bored", "prob": max(scores()["probs"])}}, "top1 is bored"),
        ({"probs": None}, "probs: "),
        ({"top1": None}, "top1: "),
    ],
)
def test_a_wrong_answer_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in str(FirstAnswers().prediction("a", response(**changes)))


def test_a_body_that_is_not_json_is_named() -> None:
    assert "Invalid JSON" in str(FirstAnswers().prediction("a", "<html>"))


def test_the_answer_to_another_clip_is_found() -> None:
    answers = FirstAnswers()
    answers.prediction("a", response(0))
    assert "the same clip got" in str(answers.prediction("a", response(1)))


def test_an_answer_may_differ_by_the_tolerance() -> None:
    answers = FirstAnswers()
    for shift, accepted in ((0.0, True), (0.9 * TOLERANCE, True), (1.1 * TOLERANCE, False)):
        probs = [60.0 + shift, 40.0 - shift, *[0.0] * 6]
        found = answers.prediction("a", response(probs=probs, top1={"label": LABELS[0], "prob": probs[0]}))
        assert (found is None) == accepted


def test_a_batch_in_another_order_or_with_a_failed_item_is_found() -> None:
    answers = FirstAnswers()
    for name, seed in (("a", 0), ("b", 1)):
        answers.prediction(name, response(seed))
    good = [{"index": index, "prediction": prediction(index), "error": None} for index in range(2)]
    swapped = [good[0] | {"prediction": prediction(1)}, good[1] | {"prediction": prediction(0)}]
    failed = {"index": 1, "prediction": None, "error": {"code": "damaged_media", "message": ""}}
    assert answers.batch(["a", "b"], batch(*good)) is None
    assert "the same clip got" in str(answers.batch(["a", "b"], batch(*swapped)))
    assert "indices of the results are [1, 0]" in str(answers.batch(["a", "b"], batch(*good[::-1])))
    assert "damaged_media" in str(answers.batch(["a", "b"], batch(good[0], failed)))
    assert "a prediction or an error" in str(answers.batch(["a", "b"], batch(good[0], good[1] | {"prediction": None})))
    assert "1 results to 2 clips" in str(answers.batch(["a", "b"], batch(good[0])))


def test_a_timeline_needs_rows_in_order() -> None:
    rows = [row(seed) for seed in range(3)]
    assert FirstAnswers().timeline("a", timeline(*rows)) is None
    assert "at least 1 item" in str(FirstAnswers().timeline("a", timeline()))
    assert "windows start at" in str(FirstAnswers().timeline("a", timeline(*rows[::-1])))
    assert "windows start at" in str(FirstAnswers().timeline("a", timeline(rows[0], rows[0])))


def test_each_row_of_a_timeline_is_compared_with_its_own_first_answer() -> None:
    answers = FirstAnswers()
    answers.timeline("a", timeline(row(0), row(1)))
    assert "row 1: the same clip got" in str(
        answers.timeline("a", timeline(row(0), scores(2) | {"start": 0.5, "end": 3.5}))
    )


def test_outputs_are_compared_with_earlier_ones() -> None:
    answers = FirstAnswers()
    first, other = (
        ModelOutputs.checked(
            {
                spec.name: np.random.default_rng(seed).dirichlet(np.ones(spec.shape[0]), 1).astype(spec.dtype)
                for spec in OUTPUTS
            },
            "m",
            "1",
        )
        for seed in (0, 1)
    )
    assert answers.outputs("a", first) is None
    assert answers.outputs("a", first) is None
    assert "the same clip got" in str(answers.outputs("a", other))
