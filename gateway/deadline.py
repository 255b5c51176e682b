"""One point in time that travels with a request through every stage, so that no stage waits beyond it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A point in time.

    Attributes:
        seconds: How long after its start the deadline is, for messages.
        expires: The point, on the clock of `time.monotonic`.
        is_requests: Whether it ends the whole request, and not one stage of it.
    """

    seconds: float
    expires: float
    is_requests: bool = False

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """A deadline so many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.expires - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """This deadline or one so many seconds from now, whichever comes first."""
        other = Deadline.after(seconds)
        return other if other.expires < self.expires else self
