"""Contenders take turns, and ratios are those of rounds in which the machine was the same."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare
from benchmarks.overhead import UpperBound
from benchmarks.turns import Rounds, Row, by_turns, paired, server_turns, suspended_servers
from benchmarks.workloads import SAMPLED, payload
from loadtest.servers import ours
from tests.support.clips import synthetic_clip
from tests.support.standin_model import write_standin


def test_contenders_alternate_clip_by_clip_and_in_reverse_every_other_round() -> None:
    called: list[tuple[str, str]] = []

    def measure(name: str, clip: str) -> Row:
        called.append((name, clip))
        return {"number": float(len(called))}

    names = [(name, clip) for name in ("a", "b") for clip in ("short", "long")]
    found = by_turns({(name, clip): partial(measure, name, clip) for name, clip in names}, 2)
    first = [("a", "long"), ("b", "long"), ("a", "short"), ("b", "short")]
    assert called == first + first[::-1]
    assert found["b"]["short"] == [{"number": 4.0}, {"number": 5.0}]
    assert list(found) == ["a", "b"]


@pytest.mark.parametrize(("count", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (25, 8, 18)])
def test_the_interval_has_the_ranks_of_published_tables(count: int, low: int, high: int) -> None:
    ratios = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    speed = np.random.default_rng(0).uniform(1, 9, count)  # of the machine, different in each round
    mine = [{"rate": value} for value in ratios * speed]
    median, interval = paired(mine, [{"rate": value} for value in speed], "rate")
    assert median == pytest.approx((count + 1) / 2)
    assert interval == f"95 % interval {low:.3f} to {high:.3f}"


def test_few_rounds_have_no_interval_and_a_contender_without_answers_is_infinitely_slower() -> None:
    assert paired([{"rate": 3.0}] * 5, [{"rate": 2.0}] * 5, "rate") == (1.5, "too few rounds for an interval")
    assert paired([{"rate": 3.0}], [{"rate": 0.0}], "rate")[0] == np.inf


def test_a_comparison_prints_both_and_the_ratio_of_each_figure_that_both_have() -> None:
    row = {"per_second": 8.0, "server_cpu_ms": 200.0, "alone_p50_ms": 150.0, "failed": 0.0}
    rounds: Rounds = {
        compare.THIS: {"recording": [row | {"alone_overhead_ms": 5.0}] * 6},
        compare.OTHER: {"recording": [row | {"per_second": 10.0, "failed": 1.0}] * 6},
    }
    text = compare.table(rounds)
    assert "recording: 6 rounds; failed requests of this, other: 0, 6" in text
    assert "    8.00   10.00   0.800   95 % interval 0.800 to 0.800" in text
    assert "overhead" not in text


@pytest.mark.slow
def test_servers_are_measured_with_one_client_and_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.turns._RAMP_SECONDS", 0.1)
    with suspended_servers([ours(name, predictor="mock") for name in ("first", "second")]) as servers:
        measurements = [server_turns(one.name, one, {SAMPLED: payload(SAMPLED)}, 0.5, 2) for one in servers]
        found = by_turns(measurements[0] | measurements[1], 2)
    for rows in (found["first"][SAMPLED], found["second"][SAMPLED]):
        assert [row["failed"] for row in rows] == [0, 0]
        assert all(0 < row["alone_overhead_ms"] < row["alone_p50_ms"] for row in rows)
        assert all(row["server_cpu_ms"] > 0 for row in rows)


@pytest.mark.slow
def test_the_upper_bound_counts_the_clips_of_all_cores(tmp_path: Path) -> None:
    write_standin(tmp_path / "model.onnx")
    with UpperBound(tmp_path / "model.onnx", synthetic_clip(frame_times=range(0, 500, 100)), 0.0) as bound:
        bound.measure()
        begin = time.perf_counter()
        found = bound.measure()
        seconds = time.perf_counter() - begin
    assert found["per_second"] * seconds >= 8 * len(os.sched_getaffinity(0)), "a batch on each core"
    assert found["server_cpu_ms"] > 0
