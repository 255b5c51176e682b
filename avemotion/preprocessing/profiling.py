"""Times the stages of preprocessing when the caller asks for it; otherwise a stage costs one lookup."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_stages: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Collect the times of all stages that run inside the context.

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
    """Time the code inside the context as one stage.

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
