"""The API answers below the page's prefix, too, whether or not the gateway serves the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.running import running_gateway, settings_for_tests


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_the_api_answers_with_and_without_the_prefix(tmp_path: Path, path: str) -> None:
    with running_gateway(settings_for_tests(frontend_folder=tmp_path)) as client:
        assert client.get(path).status_code == 200
        assert client.get("/api/nothing").status_code == 404
