"""The one shape of all errors."""

from __future__ import annotations

from pydantic import Field

from avemotion.api.base import REQUEST_ID, Schema


class ErrorDetail(Schema):
    """What went wrong."""

    code: str = Field(description="Stable identifier.", examples=["unsupported_media"])
    message: str = Field(description="One sentence that names what was wrong and what was expected.")
    request_id: str = Field(description=REQUEST_ID)


class ErrorResponse(Schema):
    """The body of every error."""

    error: ErrorDetail
