"""One running stack for all tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.running import Stack, stack
from tests.support.triton import skip_without_triton


@pytest.fixture(scope="session")
def running() -> Iterator[Stack]:
    skip_without_triton()
    with stack() as started:
        started.wait_for("Ready (emotion_int8)")
        yield started
