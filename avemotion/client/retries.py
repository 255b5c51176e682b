"""How long a call waits for a busy gateway: as long as the gateway asks, and no longer than the caller allows."""

from __future__ import annotations

import httpx

_BUSY = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


class RetryBudget:
    """The waiting of one call."""

    def __init__(self, seconds: float) -> None:
        """Start a call.

        Args:
            seconds: Time that it may wait in all.
        """
        self._left = seconds

    def pause_after(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the call is sent again, or None to take this answer.

        A busy gateway has not begun to work on what it refused, so that sending again repeats nothing.
        """
        asked = response.headers.get("Retry-After", "")
        if response.status_code not in _BUSY or not asked.isdecimal():
            return None
        pause = float(asked)
        if pause > self._left:
            return None
        self._left -= max(pause, 0.1)
        return pause
