"""Wall and CPU time of code in this process, and CPU time and memory of whole trees of processes."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cost:
    """What something took, in seconds.

    Attributes:
        wall: Wall time.
        cpu: CPU time of all threads.
    """

    wall: float
    cpu: float


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """Medians of tasks that take turns, so that a change of the machine meets all of them alike.

    Args:
        tasks: What to measure, by name; each is run once before.
        rounds: How often each is measured.
    """
    for task in tasks.values():
        task()
    found: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            found[name].append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))
        for name, costs in found.items()
    }


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that descend from it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


@contextmanager
def suspended(pids: Sequence[int]) -> Iterator[None]:
    """Stop trees of processes for a while, so that they take nothing from what is measured.

    Args:
        pids: Roots of the trees; all that then descends from them goes on at the end.
    """
    try:
        _each(pids, psutil.Process.suspend)
        yield
    finally:
        _each(pids, psutil.Process.resume)


@contextmanager
def awake(pid: int) -> Iterator[None]:
    """Let one tree of suspended processes go on for a while.

    Args:
        pid: Its root.
    """
    _each([pid], psutil.Process.resume)
    try:
        yield
    finally:
        _each([pid], psutil.Process.suspend)


def _each(pids: Sequence[int], change: Callable[[psutil.Process], None]) -> None:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in tree(pid):
                with contextlib.suppress(psutil.Error):
                    change(process)


def cpu_seconds(pid: int) -> float:
    """CPU time of a tree of processes, with children that have ended and were waited for."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_bytes(pid: int) -> int:
    """Memory of a tree of processes; what several share is counted once (proportional set size)."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
