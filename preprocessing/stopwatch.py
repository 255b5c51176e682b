"""How long the parts of preprocessing take, for whoever wants to know: nothing is measured where nobody asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_parts: ContextVar[dict[str, float] | None] = ContextVar("parts", default=None)


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure the parts that run inside.

    Yields:
        Seconds by name of the part, summed over all its runs; filled as they end.
    """
    parts: dict[str, float] = {}
    token = _parts.set(parts)
    try:
        yield parts
    finally:
        _parts.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Name what runs inside as a part of the work."""
    parts = _parts.get()
    if parts is None:
        yield
        return
    begin = time.perf_counter()
    try:
        yield
    finally:
        parts[name] = parts.get(name, 0.0) + time.perf_counter() - begin
