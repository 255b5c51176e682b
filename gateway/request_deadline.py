"""How long one request may take: by the gateway's settings, and shorter where the client says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import Header

from gateway.deadline import Deadline
from gateway.settings import Settings

DEADLINE_HEADER: Final = "X-Deadline-Seconds"


@dataclass(frozen=True)
class RequestDeadline:
    """The time limits of one request.

    Attributes:
        settings: The gateway's own limits: one for the upload, one from its end to the answer.
        asked: When the client stops waiting, counted from the head of its request; None where it did not say.
    """

    settings: Settings
    asked: Deadline | None

    @classmethod
    def from_now(cls, settings: Settings, seconds: float | None) -> RequestDeadline:
        """The limits of a request whose head has arrived just now.

        Args:
            settings: The gateway's settings.
            seconds: What the client says; None where it says nothing.
        """
        return cls(settings, None if seconds is None else replace(Deadline.after(seconds), is_requests=True))

    def for_upload(self) -> Deadline:
        """When the body must be there; to be asked for before it is read."""
        return self._within(self.settings.upload_timeout)

    def for_answer(self, longest: float | None = None) -> Deadline:
        """When the answer is of no more use; to be asked for once the body is there.

        Args:
            longest: Seconds that it may take; the setting's where None.
        """
        return self._within(longest or self.settings.request_deadline)

    def _within(self, seconds: float) -> Deadline:
        own = replace(Deadline.after(seconds), is_requests=True)
        return own if self.asked is None else min(own, self.asked, key=lambda deadline: deadline.expires)


DeadlineSeconds = Annotated[
    float | None,
    Header(
        alias=DEADLINE_HEADER,
        gt=0,
        allow_inf_nan=False,
        description=(
            "Seconds after which the answer is of no more use to the client, the upload included; all work for it "
            "is given up then. The server's own limits hold beside it."
        ),
    ),
]
