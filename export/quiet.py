"""Temporary log levels for libraries that log advice during an export."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loggers_at(level: int, *loggers: str) -> Iterator[None]:
    """Set the level of loggers inside the context.

    Args:
        level: The level, e.g. `logging.ERROR`.
        *loggers: Names of the loggers; by default the root logger, which ONNX Runtime's quantisation uses.
    """
    found = [logging.getLogger(name) for name in loggers or (None,)]
    before = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, former in zip(found, before, strict=True):
            logger.setLevel(former)
