"""The sweep measures a real Triton server with each setting and writes the results."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from export import sweep as sweep_module
from export.errors import RepositoryError
from export.sweep import settings, sweep
from tests.support.standin_model import write_repository
from tests.support.triton import STANDIN, skip_without_triton


def test_every_setting_has_a_name_of_its_own_and_no_more_threads_than_asked_for() -> None:
    tried = dict(settings(4))
    assert len(tried) == len(list(settings(4)))
    assert tried["4 instances of 1 thread"].instances == 4
    assert dict(settings(1)).keys() < tried.keys()


def test_a_sweep_measures_each_setting_under_each_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without_triton()
    model = write_repository(tmp_path / "models", STANDIN) / STANDIN
    monkeypatch.setattr(sweep_module, "settings", lambda cores: islice(settings(cores), 1))
    rows = sweep(model, tmp_path / "tables", seconds=0.5, clients=(1, 4), say=print)
    assert [row.clients for row in rows] == [1, 4]
    for row in rows:
        assert row.clips_per_second > 0
        assert 0 < row.median_ms <= row.p95_ms
        assert 1 <= row.mean_batch <= row.clients
        assert row.failed == 0
    assert len(json.loads((tmp_path / "tables" / "sweep.json").read_text())["rows"]) == 2
    assert "| default | 4 |" in (tmp_path / "tables" / "sweep.md").read_text()


def test_a_model_without_a_version_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="has no version to measure"):
        sweep(tmp_path, tmp_path, seconds=1, clients=(1,))
