"""Figures of a run, objectives, shapes of load and times of sending."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from loadtest import slo
from loadtest.recorder import Answer, summarise
from loadtest.scraping import counters_of, gateway_stages, triton_stages
from loadtest.shapes import SHAPES, at, poisson


def _answers(milliseconds: list[float], *, refused: int = 0, failed: int = 0) -> list[Answer]:
    good = [Answer(0.0, "predict", value, False, False) for value in milliseconds]
    full = [Answer(0.0, "predict", 1.0, True, False)] * refused
    return [*good, *full, *[Answer(0.0, "predict", 9e9, False, True)] * failed]


def test_percentiles_are_of_good_answers_and_ratios_of_all() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0)).tolist()
    figures = summarise(_answers(values, refused=60, failed=40), seconds=10)["predict"]
    assert (figures["p50"], figures["p95"], figures["p99"]) == (50.0, 95.0, 99.0)
    assert (figures["error_ratio"], figures["refused_ratio"]) == (0.2, 0.3)
    assert figures["throughput"] == 10.0


@pytest.mark.parametrize(
    ("objectives", "missed"),
    [
        ({"predict": {"p50": 50, "p95": 95, "p99": 99, "error_ratio": 0, "throughput": 10}}, 0),
        ({"predict": {"p50": 49}}, 1),
        ({"predict": {"p95": 94, "p99": 98}}, 2),
        ({"predict": {"throughput": 11}}, 1),
        ({"predict/batch": {"p50": 1}}, 0),
        ({"all": {"throughput": 11}}, 1),
    ],
)
def test_objectives_are_missed_on_the_right_side(objectives: dict[str, dict[str, float]], missed: int) -> None:
    figures = summarise(_answers([float(value) for value in range(1, 101)]), seconds=10)
    assert len(slo.violations(objectives, figures)) == missed


def test_a_run_without_any_answer_reaches_nothing() -> None:
    assert slo.violations({"predict": {"p50": 1}}, {}) == ["no request was answered"]
    figures = summarise(_answers([], failed=3), seconds=1)
    assert "p50 is unknown" in slo.violations({"predict": {"p50": 1}}, figures)[0]


@pytest.mark.parametrize("name", ["slo.yaml", "slo-all-endpoints.yaml"])
def test_the_committed_objectives_can_be_read(name: str) -> None:
    assert slo.read_objectives(Path(slo.__file__).with_name(name))["predict"]["p95"] > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("predict: {p42: 1}", "'p42' of 'predict' is none of p50"),
        ("predict: {p50: soon}", "'p50' of 'predict' is 'soon'"),
        ("predict: {p50: -1}", "should be a number from 0"),
        ("[]", "holds no endpoints"),
        ("a: [", "cannot be read"),
    ],
)
def test_objectives_that_are_not_measured_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "slo.yaml").write_text(text)
    with pytest.raises(slo.SloFileError, match=said):
        slo.read_objectives(tmp_path / "slo.yaml")


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_shape_lasts_as_long_as_asked_and_never_has_more_users(name: str) -> None:
    steps = SHAPES[name](6, 120)
    assert sum(step.seconds for step in steps) == pytest.approx(120)
    assert max(step.users for step in steps) == {"smoke": 1, "soak": 3}.get(name, 6)
    assert at(steps, 119.9) == len(steps) - 1
    assert at(steps, 120.1) is None


def test_the_open_loop_sends_at_random_times_with_the_asked_mean() -> None:
    times = list(itertools.islice(poisson(random.Random(0), 20.0, 100.0), 4000))
    gaps = np.diff([100.0, *times])
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 20, rel=0.1)  # an exponential's deviation is its mean
    assert (gaps > 0).all()


def test_stages_are_means_between_two_looks() -> None:
    def look(total: float, count: float) -> dict[tuple[str, str], float]:
        key = "stage=decode"
        return {("emotion_stage_seconds_sum", key): total, ("emotion_stage_seconds_count", key): count}

    found = gateway_stages(look(1.0, 10), look(3.0, 20))
    assert found is not None
    assert found == pytest.approx({"decode": 200.0})
    assert gateway_stages(look(1.0, 10), look(1.0, 10)) == {}
    assert gateway_stages(None, look(1.0, 10)) is None


def test_batches_of_triton_are_inferences_over_executions() -> None:
    values = {"request_success": 4, "count": 8, "exec_count": 2, "queue_duration_us": 8000}
    after = "".join(
        f"# HELP nv_inference_{name} As Triton writes it\n# TYPE nv_inference_{name} counter\n"
        f'nv_inference_{name}{{model="emotion_int8",version="1"}} {value}\n'
        for name, value in values.items()
    )
    found = triton_stages({}, counters_of(after))
    assert found
    assert (found["queue"], found["batch"]) == (2.0, 4.0)
