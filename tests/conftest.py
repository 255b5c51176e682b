"""How tests share the cores: one thread per process, and two processes of tests, of which one drives all the servers.

Tests start several processes, and threads that wait for each other by spinning would take all the cores.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores it, and hands that down to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest

_COMPUTING: Final = ("containers", "export", "preprocessing", "training")
"""Folders of tests that compute or build. Their files may run beside servers; tests of servers never do so with each
other, for much of what they are asked has a deadline."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests with crowds."""
    parser.addoption("--full-size", action="store_true", help="crowds of full size, as `make soak` has them")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests keep to one process, where there are several (`--dist loadgroup`)."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        group = path.with_suffix("").as_posix() if path.parts[0] in _COMPUTING else "servers"
        item.add_marker(pytest.mark.xdist_group(group))
