"""One thread per process: tests start several, and threads that wait for each other by spinning take all the cores."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests with crowds."""
    parser.addoption("--full-size", action="store_true", help="crowds of full size, as `make soak` has them")
