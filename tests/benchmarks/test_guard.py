"""A prediction must not become much dearer than what it consists of."""

from __future__ import annotations

from benchmarks import guard
from loadtest.clips import synthetic_clip


def test_a_prediction_costs_little_more_than_decoding_and_the_model() -> None:
    measured = guard.measure(synthetic_clip(3.0, "webm", "libvpx", "libopus", seed=0))
    assert measured.ratio < guard.LIMIT, measured
