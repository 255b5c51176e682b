"""Clips and models of the gateway's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.gateway.models import write_model
from tests.support.clips import synthetic_clip


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say what the settings are."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"EMO_{field.upper()}", raising=False)


@pytest.fixture(scope="session")
def clip() -> bytes:
    """A short clip with both tracks and no face."""
    return synthetic_clip()


@pytest.fixture(scope="session")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the model `tests.gateway.models.MODEL`."""
    return write_model(tmp_path_factory.mktemp("models"))
