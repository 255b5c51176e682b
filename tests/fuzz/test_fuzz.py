"""A small run of `make fuzz`: hostile files cost their own request and nothing else."""

from __future__ import annotations

import asyncio

import numpy as np

from tests.fuzz.__main__ import fuzz
from tests.fuzz.mutations import mutant, originals


def test_mutated_files_are_read_or_refused_and_leave_the_workers_whole() -> None:
    outcome = asyncio.run(fuzz(300, seed=7, workers=2))
    assert outcome.passed, outcome
    assert outcome.answers["read"] > 30
    assert sum(count for code, count in outcome.answers.items() if code != "read") > 30


def test_mutants_repeat_by_seed_and_differ_from_the_originals() -> None:
    files = originals()
    made = [mutant(files, np.random.default_rng([1, number])) for number in range(50)]
    assert made == [mutant(files, np.random.default_rng([1, number])) for number in range(50)]
    assert len(set(made)) == 50
    assert not set(made) & set(files)
