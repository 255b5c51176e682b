"""Triton's log, forwarded line by line, and what it says about why a server ended, as one sentence."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable, Mapping

log = logging.getLogger("triton_server.triton")

# E1123 13:09:06.641350 12260 server.cc:241] "message"
_LINE = re.compile(r'^(?P<level>[IWEF])\d{4} [\d:.]+ \d+ [\w.]+:\d+\] *"?(?P<message>.*?)"?$')
_LEVELS = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}
_UNREMARKABLE = (
    "CudaDriverHelper has not been initialized",  # an error at every start without a GPU
    "Signal (15) received",  # the launcher's own
)
_CAUSES = (
    # Of a model's load; the Python traceback that may follow has its line breaks escaped.
    re.compile(
        r"failed to load '(?P<model>[^']+)'[^:]*: (?:Internal: TritonModelException: )?"
        r"(?:model '(?P=model)': )?(?P<reason>.*?)(?:\\n|$)"
    ),
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.*)"),
    re.compile(r"error: (?P<reason>.*)"),
)
"""From what says most about a failed start to what says least."""
_SYNTAX_ERROR = re.compile(r"Error parsing text-format [\w.]+: (?P<position>.*)")


class TritonLog:
    """Forwards Triton's log to Python's and remembers what went wrong."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """Prepare.

        Args:
            names: Texts to replace, e.g. the private folder's path by the path that people know.
        """
        self._names = names
        self._problems: deque[str] = deque(maxlen=100)

    def forward(self, lines: Iterable[str]) -> None:
        """Forward lines until there are no more."""
        for line in lines:
            text = line.rstrip()
            for name, known in self._names.items():
                text = text.replace(name, known)
            found = _LINE.match(text)
            message = found["message"] if found else text
            if not message or any(remark in message for remark in _UNREMARKABLE):
                continue
            level = _LEVELS[found["level"]] if found else logging.INFO
            log.log(level, "%s", message)
            if level >= logging.ERROR or not found:
                self._problems.append(message)

    def reason(self) -> str | None:
        """What Triton said about why it could not start, without a full stop."""
        for cause in _CAUSES:
            if found := self._search(cause):
                model = found.groupdict().get("model")
                reason = found["reason"].strip().rstrip(".")
                if syntax_error := self._search(_SYNTAX_ERROR):
                    reason += f" ({syntax_error['position']})"
                return f"model '{model}' failed to load: {reason}" if model else reason
        return None

    def _search(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return next((found for problem in self._problems if (found := pattern.search(problem))), None)
