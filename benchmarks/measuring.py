"""Wall and CPU time of code in this process, and CPU time and memory of process trees."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Time tasks by turns, so that a change of the machine's speed affects all of them alike.

    Args:
        tasks: The tasks by name; each runs once before.
        rounds: Number of measurements of each.

    Returns:
        By name, the medians `wall` and `cpu` in milliseconds; CPU time is that of all threads.
    """
    for task in tasks.values():
        task()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            kind: 1000 * statistics.median(column)
            for kind, column in zip(("wall", "cpu"), zip(*times, strict=True), strict=True)
        }
        for name, times in found.items()
    }


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Stop a process tree for a while, so that it takes nothing from what is measured; at the end it continues."""
    try:
        _each(pid, psutil.Process.suspend)
        yield
    finally:
        _each(pid, psutil.Process.resume)


@contextmanager
def resumed(pid: int) -> Iterator[None]:
    """Let a suspended process tree run for a while."""
    _each(pid, psutil.Process.resume)
    try:
        yield
    finally:
        _each(pid, psutil.Process.suspend)


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _each(pid: int, change: Callable[[psutil.Process], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in _tree(pid):
            with contextlib.suppress(psutil.Error):
                change(process)


def cpu_seconds(pid: int | None) -> float:
    """CPU time of a process tree, including children that have ended and were waited for; 0 without one."""
    total = 0.0
    for process in _tree(pid) if pid else []:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_bytes(pid: int) -> int:
    """Memory of a process tree; shared pages count once (proportional set size)."""
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
