"""A gateway to ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import synthetic_clip


@pytest.fixture(scope="session")
def clip() -> bytes:
    """A short clip with both tracks and no face."""
    return synthetic_clip()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """A mock gateway that decodes for real."""
    with running_gateway(settings_for_tests()) as gateway:
        yield str(gateway.base_url)
