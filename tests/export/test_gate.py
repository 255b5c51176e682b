"""A quantisation that changes labels is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avemotion.preprocessing.contract import FRAMES, LABELS, LOG_MEL, PROBABILITIES
from export.errors import GateError
from export.gate import Comparison, LabelledBatch, compare, enforce
from export.parity import open_session, random_inputs, run
from export.quantization import quantize
from tests.export.conftest import Exported
from tests.support.standin_model import write_standin


def labelled(count: int) -> Iterator[LabelledBatch]:
    random = np.random.default_rng(0)
    for seed in range(count):
        yield random_inputs(4, (True, True), seed), random.integers(0, len(LABELS), 4)


def test_a_model_agrees_with_itself_and_its_accuracy_is_counted(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    write_standin(model)
    found = compare(model, model, labelled(8))
    session = open_session(model)
    right = [
        (run(session, inputs)[PROBABILITIES.name].argmax(axis=1) == labels).mean() for inputs, labels in labelled(8)
    ]
    assert 0 < np.mean(right) < 1
    assert (found.clips, found.agreement) == (32, 1.0)
    assert found.fp32_accuracy == found.int8_accuracy == pytest.approx(np.mean(right))
    enforce(found)


def test_a_broken_quantisation_is_refused(exported: Exported, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    faint = random_inputs(1, (True, True), seed=0)
    faint[FRAMES.name] //= 64
    faint[LOG_MEL.name] *= 1e-3
    quantize(exported.fp32, broken, [faint])
    with pytest.raises(GateError, match=r"INT8 agrees with FP32 on .*% of 12 held-out clips; the limit is 98\.5%"):
        enforce(compare(exported.fp32, broken, labelled(3)))


def test_lost_accuracy_is_refused_naming_loss_and_limit() -> None:
    with pytest.raises(GateError, match=r"INT8 is 2\.0% less accurate .* the limit is 0\.5%"):
        enforce(Comparison(1000, 0.99, 0.60, 0.58))


def test_limits_can_be_changed() -> None:
    comparison = Comparison(1000, 0.97, 0.60, 0.58)
    enforce(comparison, min_agreement=0.9, max_accuracy_loss=0.03)


def test_without_held_out_clips_nothing_is_let_through(exported: Exported) -> None:
    with pytest.raises(GateError, match="no held-out clips"):
        compare(exported.fp32, exported.int8, iter(()))
