"""Clips and models of the gateway's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.gateway.models import write_model
from tests.support.clips import synthetic_clip
from tests.support.triton import serving
from triton_server.launcher import TritonServer


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say what the settings are."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"EMO_{field.upper()}", raising=False)


@pytest.fixture
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway soon closes connections of clients that keep sending after an early answer."""
    monkeypatch.setattr("gateway.http.middleware._DRAIN_SECONDS", 1.0)


@pytest.fixture(scope="session")
def clip() -> bytes:
    """A short clip with both tracks, of a drawn face."""
    return synthetic_clip()


@pytest.fixture(scope="session")
def model_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the model `tests.gateway.models.MODEL`."""
    return write_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="package")
def triton_server(model_repository: Path) -> Iterator[TritonServer]:
    """A real Triton that serves `model_repository`; a test that kills it waits until it is ready again."""
    with serving(model_repository) as server:
        yield server
