"""What all bodies share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

REQUEST_ID = "Id of the request, also in the header X-Request-ID and in the log."
"""Description of the field that every answer has."""


class Schema(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(protected_namespaces=(), frozen=True)
