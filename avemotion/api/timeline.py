"""A clip as a row of windows, whole or line by line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avemotion.api.base import REQUEST_ID, Schema
from avemotion.api.errors import ErrorDetail
from avemotion.api.predictions import EXAMPLE_PERCENTAGES, Modalities, TopLabel
from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.uncertainty import RULE


class TimelineRow(Schema):
    """What is expressed in one window, as estimated by the model."""

    start: float = Field(description="Start of the window, in seconds from the clip's.", examples=[0.5])
    end: float = Field(description="End of the window, in seconds from the clip's start.", examples=[3.5])
    probs: list[float] = Field(
        min_length=len(LABELS),
        max_length=len(LABELS),
        description="Probabilities, in percent, summing to 100.",
        examples=[EXAMPLE_PERCENTAGES],
    )
    top1: TopLabel
    uncertain: bool = Field(description=RULE, examples=[True])
    modalities: Modalities


class TimelineTimings(Schema):
    """Where the time went, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    queue: float = Field(description="Waiting for a free decode worker, and moving bytes there and back.")
    decode: float = Field(description="Decoding, cropping and the log-mel of all windows, in the worker.")
    inference: float = Field(description="The model for all windows, including the way there and back.")
    total: float = Field(description="From the first byte of the request to the end of the answer.")


class TimelineHead(Schema):
    """What holds for all rows."""

    labels: list[str] = Field(description="Names of the emotions, in the order of `probs`.", examples=[list(LABELS)])
    duration: float = Field(description="Length of the clip, in seconds.", examples=[12.4])
    step: float = Field(description="Seconds between the starts of two windows.", examples=[0.5])
    window_seconds: float = Field(description="Length of a window, in seconds.", examples=[3.0])
    model: str = Field(description="Name of the model; `mock` for made-up numbers.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    request_id: str = Field(description=REQUEST_ID)


class TimelineResponse(TimelineHead):
    """A clip as a row of windows, as estimated by the model; not what the person feels."""

    rows: list[TimelineRow] = Field(description="The windows in order; a clip shorter than a window has one.")
    timings_ms: TimelineTimings


class StartLine(TimelineHead):
    """First line of the stream."""

    type: Literal["start"] = "start"


class RowLine(TimelineRow):
    """A line of the stream for each window, in order."""

    type: Literal["row"] = "row"


class EndLine(Schema):
    """Last line of a stream that is complete."""

    type: Literal["end"] = "end"
    rows: int = Field(description="How many rows there were.")
    timings_ms: TimelineTimings


class ErrorLine(Schema):
    """Last line of a stream that failed on its way."""

    type: Literal["error"] = "error"
    error: ErrorDetail
