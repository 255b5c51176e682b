"""One thread per process: tests start several, and threads that wait for each other by spinning take all the cores."""

from __future__ import annotations

import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores it, and hands that down to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests with crowds."""
    parser.addoption("--full-size", action="store_true", help="crowds of full size, as `make soak` has them")
