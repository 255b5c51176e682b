"""Cores that nobody else needs at the moment, for whoever wants one clip read sooner.

One core reads a clip with the least work in all, which is what a busy machine wants. Where others idle, they may
decode frames, look for faces and cut pictures meanwhile: the tensors stay the same, bit by bit. Nothing runs side by
side where nobody asks for it.
"""

from __future__ import annotations

import os
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


@contextmanager
def parallelism(cores: int) -> Iterator[None]:
    """Let the work inside use several cores.

    Args:
        cores: How many, 1 for the least work in all.
    """
    token = _cores.set(cores)
    try:
        yield
    finally:
        _cores.reset(token)


def usable_cores() -> int:
    """How many cores the present work may use; 1 within work that runs beside other."""
    return _cores.get()


def for_each(function: Callable[[Item], First], items: Iterable[Item]) -> list[First]:
    """What a function gives for each item, in order; on as many cores as may be used.

    Args:
        function: What to do; thread-safe, and most of it outside of Python.
        items: Its arguments.

    Raises:
        Exception: What the function raised for the first item for which it raised something, once all have ended.
    """
    cores = usable_cores()
    if cores == 1:
        return [function(item) for item in items]
    threads = _threads(cores)
    running = [threads.submit(function, item) for item in items]
    wait(running)
    return [done.result() for done in running]


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """What two functions return, which run side by side where there is a second core.

    Args:
        first: Runs in this thread, with all its cores.
        second: Runs after it, or beside it in another thread.

    Raises:
        Exception: What one of them raised, once both have ended.
    """
    cores = usable_cores()
    if cores == 1:
        return first(), second()
    beside = _threads(cores).submit(second)
    try:
        return first(), beside.result()
    finally:
        wait([beside])


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Threads that stay: starting one takes longer than cutting a picture."""
    return ThreadPoolExecutor(count, "preprocessing")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads do not follow into a forked process
