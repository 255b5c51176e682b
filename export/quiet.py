"""The advice of exporting libraries, kept from the person who exports, and from nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loggers_at(level: int, *loggers: str) -> Iterator[None]:
    """Let loggers through from a level on only, and leave them afterwards as they were.

    Args:
        level: E.g. `logging.ERROR`.
        *loggers: Their names; the root's, through which ONNX Runtime's quantisation speaks, by default.
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
