"""Lanes of tests, and how tests share the cores.

`make test-fast` runs the tests marked `fast`, `make test` all but those marked `slow`, `make test-all` everything. The
table below marks whole files as `fast`; single tests are marked `slow` where they are defined.

Processes take the tests in groups: a folder whose tests share servers, images or exports, or else a file. Processes
without servers give way to those with them, because much of what servers are asked has a deadline. Each process
computes on one thread: libraries' threads that wait for each other by spinning would take all the cores.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final, Literal

os.environ["OMP_NUM_THREADS"] = "1"
# Tests that import ONNX Runtime by themselves report nothing either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores it, and hands that down to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.support.tools import missing_programs

Kind = Literal["servers", "shared", "computing", "quick"]
"""`servers`: start a gateway, Triton, nginx or a browser. `shared`: share what takes long to make, without a server.
`computing`: train, build, or decode much. `quick`: need no server, browser, container or training."""

_KINDS: Final[dict[str, Kind]] = {
    "tests/gateway/": "servers",
    "tests/frontend/": "servers",
    "tests/triton_server/": "servers",
    "tests/loadtest/test_runs.py": "servers",
    "tests/stack/": "servers",
    "tests/client/": "servers",
    "tests/client/test_packaging.py": "computing",
    "tests/benchmarks/": "servers",
    "tests/monitoring/": "servers",
    "tests/fuzz/": "servers",
    "tests/compose/test_images.py": "servers",
    "tests/k8s/test_api_server.py": "servers",
    "tests/containers/": "shared",
    "tests/export/": "shared",
    "tests/benchmarks/test_gpu.py": "computing",
    "tests/training/": "computing",
    "tests/preprocessing/test_golden.py": "computing",
    "tests/preprocessing/test_timeline.py": "computing",
    "tests/frontend/test_modules.py": "quick",
    "tests/frontend/test_style.py": "quick",
    "tests/gateway/test_decode_messages.py": "quick",
    "tests/gateway/test_errors.py": "quick",
    "tests/gateway/test_settings.py": "quick",
    "tests/triton_server/test_session.py": "quick",
    "tests/": "quick",
}
"""Kinds of test files by the start of their path, in the order in which they are run: servers first, since
a process that has given way to others stays slow, and the longest folders first. The longest start counts."""

_SLOW: Final = (
    "tests/benchmarks/test_gpu.py",
    "tests/containers/",
    "tests/gateway/test_openapi.py::test_nothing_happens_that_is_not_documented",
    "tests/gateway/test_soak.py",
)
"""Starts of the names of tests that only `make test-all` runs, besides those with the mark `slow`."""

_NICENESS: Final = 10
"""Of a process without servers, if others run beside it: it takes what the tests of servers leave."""

_ROOT: Final = Path(__file__).parents[1]


def _start_of(name: str) -> str:
    return max(filter(name.startswith, _KINDS), key=len)


def kind_of(name: str) -> Kind:
    """Return the kind of a test by its node id or its file's path below the repository."""
    return _KINDS[_start_of(name)]


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
    if config.getoption("markexpr") != "fast":
        return None
    name = collection_path.relative_to(_ROOT).as_posix()
    if collection_path.is_dir():
        inside = {kind for start, kind in _KINDS.items() if start.startswith(f"{name}/")}
        return None if "quick" in inside | {kind_of(f"{name}/")} else True
    return True if collection_path.name.startswith("test_") and kind_of(name) != "quick" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with their lane, and order them as the table says, so that what takes longest starts first."""
    order = list(_KINDS)
    items.sort(key=lambda item: order.index(_start_of(item.nodeid)))
    for item in items:
        if item.nodeid.startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
        if kind_of(item.nodeid) == "quick" and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a process without servers give way."""
    if "PYTEST_XDIST_WORKER" in os.environ and sys.platform != "win32" and kind_of(item.nodeid) != "servers":
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process all tests of a group: a folder that shares something, or else a file.

    pytest-xdist's own groups by mark (3.8) are silently lost with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return the name of a test's group."""
        file = nodeid.split("::", maxsplit=1)[0]
        return file.rpartition("/")[0] if kind_of(nodeid) in {"servers", "shared"} else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Say which tests keep to one process, if there are several."""
    config.option.loadscopereorder = False
    return _Scheduling(config, log)
