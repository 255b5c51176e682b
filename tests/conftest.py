"""Assigns tests to lanes by marks.

`make test-fast` runs the tests marked `fast`, `make test` all but those marked `slow`, `make test-all` everything. The
lists below mark whole files; individual tests are marked `slow` where they are defined.

Each process computes on one thread: libraries' threads that wait for each other by spinning would take all the cores
from the processes beside it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final, Literal

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores it, and hands that down to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest

from tests.support.tools import missing_programs

_NOT_FAST: Final = (
    "tests/benchmarks/",
    "tests/client/",
    "tests/compose/test_images.py",
    "tests/containers/",
    "tests/export/",
    "tests/frontend/",
    "tests/fuzz/",
    "tests/gateway/",
    "tests/k8s/test_api_server.py",
    "tests/loadtest/test_runs.py",
    "tests/monitoring/",
    "tests/preprocessing/test_golden.py",
    "tests/preprocessing/test_timeline.py",
    "tests/stack/",
    "tests/training/",
    "tests/triton_server/",
)
"""Prefixes of the node ids of tests that need a server, a browser, training, a container, or much decoding."""

_FAST: Final = (
    "tests/frontend/test_modules.py",
    "tests/frontend/test_style.py",
    "tests/gateway/test_decode_messages.py",
    "tests/gateway/test_errors.py",
    "tests/gateway/test_settings.py",
    "tests/triton_server/test_session.py",
)
"""Exceptions to `_NOT_FAST`."""

_SLOW: Final = (
    "tests/benchmarks/test_gpu.py",
    "tests/containers/",
    "tests/export/test_command.py",
    "tests/export/test_gate.py",
    "tests/export/test_live_versions.py",
    "tests/export/test_onnx_model.py",
    "tests/export/test_quantization.py",
    "tests/frontend/test_states.py",
    "tests/gateway/test_openapi.py::test_nothing_happens_that_is_not_documented",
    "tests/gateway/test_soak.py",
    "tests/training/test_exported.py",
    "tests/training/test_waveforms.py",
)
"""Prefixes of the node ids of slow tests, besides those that are marked where they are defined."""

_ROOT: Final = Path(__file__).parents[1]


def is_fast(name: str) -> bool:
    """Whether the fast lane runs a file or test, by its path below the repository."""
    return name.startswith(_FAST) or not name.startswith(_NOT_FAST)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests with crowds."""
    parser.addoption("--full-size", action="store_true", help="crowds of full size, as `make soak` has them")


def pytest_report_header() -> list[str]:
    """Say which programs are missing, what they would prove, and what installs them."""
    missing = [f"  {program.name}: {program.proves}" for program in missing_programs()]
    heading = "programs that are missing, and what their tests prove (`make test-programs` installs them):"
    return [heading, *missing] if missing else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> Literal[True] | None:
    """Leave out what the fast lane does not run: importing PyTorch and Lightning takes longer than all its tests."""
    is_file = collection_path.name.startswith("test_") and collection_path.is_file()
    name = collection_path.relative_to(_ROOT).as_posix()
    return True if config.getoption("markexpr") == "fast" and is_file and not is_fast(name) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with their lane."""
    for item in items:
        if item.nodeid.startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
        if is_fast(item.nodeid) and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)
