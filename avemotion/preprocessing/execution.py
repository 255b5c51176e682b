"""How preprocessing runs: on how many cores, and whether its stages are timed.

Both are settings of the calling context, so that readers need no parameters for them. By default a clip is read on
one core, which is the least work in all and best for a busy machine. If other cores are idle, `parallelism` lets
frames be decoded, searched for faces and cropped on several at once; the tensors stay the same, bit by bit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
First = TypeVar("First")
Second = TypeVar("Second")

_cores: ContextVar[int] = ContextVar("cores", default=1)
_stages: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


@contextmanager
def parallelism(cores: int) -> Iterator[None]:
    """Let the work inside the context use several cores.

    Args:
        cores: The number of cores.
    """
    token = _cores.set(cores)
    try:
        yield
    finally:
        _cores.reset(token)


def usable_cores() -> int:
    """The number of cores that the current work may use; 1 within work that already runs in parallel."""
    return _cores.get()


def for_each(function: Callable[[Item], First], items: Iterable[Item]) -> list[First]:
    """Apply a function to each item, in parallel if several cores are usable.

    Args:
        function: A thread-safe function that spends most of its time outside Python.
        items: Its arguments.

    Returns:
        The results in order.

    Raises:
        Exception: The exception of the first item that raised one, once all calls have ended.
    """
    cores = usable_cores()
    if cores == 1:
        return [function(item) for item in items]
    threads = _threads(cores)
    running = [threads.submit(function, item) for item in items]
    wait(running)
    return [done.result() for done in running]


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Call two functions, in parallel if several cores are usable.

    Args:
        first: Runs in this thread and may use all cores.
        second: Runs in another thread, or after the first one.

    Returns:
        Both results.

    Raises:
        Exception: The exception of one of them, once both have ended.
    """
    cores = usable_cores()
    if cores == 1:
        return first(), second()
    beside = _threads(cores).submit(second)
    try:
        return first(), beside.result()
    finally:
        wait([beside])


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Time all stages that run inside the context.

    Yields:
        Seconds by stage, summed over all runs of that stage; filled in as stages end.
    """
    stages: dict[str, float] = {}
    token = _stages.set(stages)
    try:
        yield stages
    finally:
        _stages.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time the code inside the context as one stage, if the caller asks for times by `timed`.

    Args:
        name: Name of the stage.
    """
    stages = _stages.get()
    if stages is None:
        yield
        return
    begin = time.perf_counter()
    try:
        yield
    finally:
        stages[name] = stages.get(name, 0.0) + time.perf_counter() - begin


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """A pool that lives as long as the process: starting a thread takes longer than cropping a frame."""
    return ThreadPoolExecutor(count, "preprocessing")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads do not exist in a forked process
