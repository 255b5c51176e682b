"""Which answers pass for right ones under load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avemotion.preprocessing.contract import LABELS, PROBABILITIES
from loadtest.checks import Checker


def _answer(seed: int = 0, **changes: Any) -> dict[str, Any]:
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(LABELS)))
    probs = (100 * shares).round(4).tolist()
    top = int(np.argmax(probs))
    good = {"labels": list(LABELS), "probs": probs, "top1": {"label": LABELS[top], "prob": probs[top]}, "model": "m"}
    return good | changes


def test_a_right_answer_passes_again_and_again() -> None:
    checker = Checker()
    assert [checker.prediction("a", _answer()) for _ in range(3)] == [None] * 3
    assert checker.prediction("b", _answer(1)) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": list(LABELS)[::-1]}, "labels are"),
        ({"probs": [12.5] * 7}, "probabilities are"),
        ({"probs": [float("nan")] * 8}, "probabilities are"),
        ({"probs": [12.0] * 8}, "sum to 96.00"),
        ({"top1": {"label": LABELS[0], "prob": 1.0}}, "top1 is"),
        ({"probs": None}, "lacks or garbles"),
        ({"top1": None}, "lacks or garbles"),
    ],
)
def test_a_wrong_answer_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in str(Checker().prediction("a", _answer(**changes)))


def test_an_answer_to_somebody_elses_clip_is_found() -> None:
    checker = Checker()
    checker.prediction("a", _answer(0))
    assert "the same clip got" in str(checker.prediction("a", _answer(1)))


def test_a_batch_in_another_order_or_with_a_failed_item_is_found() -> None:
    checker = Checker()
    for name, seed in (("a", 0), ("b", 1)):
        checker.prediction(name, _answer(seed))
    good = [{"index": index, "prediction": _answer(index), "error": None} for index in range(2)]
    swapped = [good[0] | {"prediction": _answer(1)}, good[1] | {"prediction": _answer(0)}]
    failed = [good[0], {"index": 1, "prediction": None, "error": {"code": "damaged_media", "message": ""}}]
    assert checker.batch(["a", "b"], {"results": good}) is None
    assert "the same clip got" in str(checker.batch(["a", "b"], {"results": swapped}))
    assert "damaged_media" in str(checker.batch(["a", "b"], {"results": failed}))
    assert "1 results to 2 clips" in str(checker.batch(["a", "b"], {"results": good[:1]}))


def test_a_timeline_needs_rows_in_order() -> None:
    rows = [_answer(index) | {"start": 0.5 * index} for index in range(3)]
    body = {"labels": list(LABELS), "model": "m"}
    assert Checker().timeline("a", body | {"rows": rows}) is None
    assert "no row" in str(Checker().timeline("a", body | {"rows": []}))
    assert "starts are" in str(Checker().timeline("a", body | {"rows": rows[::-1]}))


def test_tensors_are_held_against_earlier_ones() -> None:
    checker = Checker()
    first, other = (np.random.default_rng(seed).dirichlet(np.ones(8), 1).astype(np.float32) for seed in (0, 1))
    assert checker.tensors("a", {PROBABILITIES.name: first}) is None
    assert "the same clip got" in str(checker.tensors("a", {PROBABILITIES.name: other}))
