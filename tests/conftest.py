"""How tests share the cores: one thread per process, and three processes of tests, of which one drives all the servers.

Tests start several processes, and threads that wait for each other by spinning would take all the cores.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores it, and hands that down to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

_COMPUTING: Final = (
    "tests/benchmarks/test_gpu.py",
    "tests/containers/",
    "tests/export/",
    "tests/preprocessing/",
    "tests/training/",
)
"""Tests that compute or build. Their files may run beside servers; tests of servers never do so with each other, for
much of what they are asked has a deadline."""

_NICENESS: Final = 10
"""Of a process that computes, where others run beside it: it takes what the tests of servers leave."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests with crowds."""
    parser.addoption("--full-size", action="store_true", help="crowds of full size, as `make soak` has them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a process that computes give way."""
    if "PYTEST_XDIST_WORKER" in os.environ and sys.platform != "win32" and item.nodeid.startswith(_COMPUTING):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process all tests of servers, or all of a file that computes; the group with the most tests first.

    pytest-xdist's own groups by mark (3.8) are lost in silence with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Name of the group of a test."""
        path = nodeid.split("::", maxsplit=1)[0]
        return path if path.startswith(_COMPUTING) else "servers"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Say which tests keep to one process, where there are several."""
    return _Scheduling(config, log)
