"""What all response bodies share, and the body of an error."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

REQUEST_ID: Final = "ID of the request, also in the header `X-Request-ID` and in the server's log."
"""Description of the field that every response has."""


class Schema(BaseModel):
    """Base of all bodies. Fields that a newer gateway adds are kept, so that an older client does not lose them."""

    # Validators are built on first use: all of them take a fifth of the time of importing the client.
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), defer_build=True)


class ErrorDetail(Schema):
    """What went wrong."""

    code: str = Field(description="Stable identifier.", examples=["unsupported_media"])
    message: str = Field(description="One sentence: what was wrong, and what was expected.")
    request_id: str = Field(description=REQUEST_ID)


class ErrorResponse(Schema):
    """The body of every error."""

    error: ErrorDetail
