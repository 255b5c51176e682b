"""A point in time that travels with a request through every stage, so that no stage waits beyond it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A point in time.

    Attributes:
        seconds: How long after its start the deadline is, for messages.
        expires: The point, on the clock of `time.monotonic`.
        ends_request: Whether it ends the whole request, and not one stage of it.
    """

    seconds: float
    expires: float
    ends_request: bool = False

    @classmethod
    def after(cls, seconds: float, *, ends_request: bool = False) -> Deadline:
        """A deadline so many seconds from now."""
        return cls(seconds, time.monotonic() + seconds, ends_request)

    def remaining(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.expires - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """This deadline or one so many seconds from now, whichever comes first."""
        return self.earlier(Deadline.after(seconds))

    def earlier(self, other: Deadline) -> Deadline:
        """This deadline or another, whichever comes first."""
        return other if other.expires < self.expires else self
