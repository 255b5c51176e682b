"""Hostile files cost their own request and nothing else: a small run of `make fuzz`, and a full one."""

from __future__ import annotations

import asyncio

import pytest

from tests.fuzz.__main__ import fuzz


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("files", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused_and_leave_the_workers_whole(files: int) -> None:
    outcome = asyncio.run(fuzz(files, seed=7, workers=2))
    assert outcome.passed, outcome
    assert outcome.answers["read"] > files / 10
    assert sum(count for code, count in outcome.answers.items() if code != "read") > files / 10
