"""Logs as one JSON object a line, with the id of the request they belong to.

What a log never holds: media, faces, tensors, probabilities, file names.
"""

from __future__ import annotations

import json
import logging
import logging.config
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id_of_task: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task works for."""

_TALKATIVE = ("uvicorn.access", "httpx", "httpcore", "grpc", "asyncio", "python_multipart", "limits", "libav")

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """One line of JSON for a record, with whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = request_id_of_task.get()
        if request_id is not None:
            line["request_id"] = request_id
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send everything from this level on to standard error as JSON.

    Args:
        level: `debug`, `info`, `warning` or `error`.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            # The gateway logs each request itself, without its query and its client's address.
            # Libraries tell, at lower levels, what they send and parse: addresses, headers, bytes of bodies.
            "loggers": {name: {"level": "ERROR"} for name in _TALKATIVE},
        }
    )
