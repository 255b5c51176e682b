"""Response bodies of `/predict/timeline`: whole, and as lines of a stream."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from avemotion.api.base import REQUEST_ID, ErrorDetail, Schema
from avemotion.api.predictions import (
    EXAMPLE_PERCENTAGES,
    FACE,
    FACES,
    UNCERTAIN_RULE,
    Evidence,
    FaceSchema,
    Modalities,
    Percentage,
    QualitySchema,
    TopLabel,
    check_labels,
    check_scores,
)
from avemotion.preprocessing.contract import LABELS


class TimelineRow(Schema):
    """The emotion that is expressed in one window, as estimated by the model."""

    start: float = Field(description="Start of the window, in seconds from the clip's start.", examples=[0.5])
    end: float = Field(description="End of the window, in seconds from the clip's start.", examples=[3.5])
    probs: list[Percentage] | None = Field(
        description="Calibrated probabilities, in percent, summing to 100; null if nobody was seen or heard.",
        examples=[EXAMPLE_PERCENTAGES],
    )
    top1: TopLabel | None = Field(description="The most probable emotion; null if nobody was seen or heard.")
    uncertain: bool = Field(description=UNCERTAIN_RULE, examples=[True])
    modalities: Modalities
    evidence: Evidence
    face: FaceSchema | None = Field(description=FACE)
    faces: int = Field(ge=0, description=FACES, examples=[1])
    quality: QualitySchema

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.probs is None) != (self.top1 is None):
            raise ValueError("a row has either both probabilities and a top label, or neither")
        if self.probs is not None and self.top1 is not None:
            check_scores(self.probs, self.top1)
        return self


class TimelineTimings(Schema):
    """Time by stage, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    queue: float = Field(description="Waiting for a free decode worker, and moving bytes there and back.")
    decode: float = Field(description="Decoding, cropping and log-mel spectrograms of all windows, in the worker.")
    inference: float = Field(description="The model for all windows, including the round trips to it.")
    total: float = Field(description="From the first byte of the request to the end of the response.")


class TimelineHead(Schema):
    """What holds for all rows."""

    labels: list[str] = Field(description="Names of the emotions, in the order of `probs`.", examples=[list(LABELS)])
    duration: float = Field(description="Length of the clip, in seconds.", examples=[12.4])
    step: float = Field(description="Seconds between the starts of two windows.", examples=[0.5])
    window_seconds: float = Field(description="Length of a window, in seconds.", examples=[3.0])
    model: str = Field(description="Name of the model; `mock` marks made-up numbers.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    request_id: str = Field(description=REQUEST_ID)


class TimelineResponse(TimelineHead):
    """A clip as a row of windows, as estimated by the model; not what the person feels."""

    rows: list[TimelineRow] = Field(
        min_length=1, description="The windows in order; a clip shorter than a window has one."
    )
    timings_ms: TimelineTimings

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        for row in self.rows:
            if row.probs is not None and row.top1 is not None:
                check_labels(self.labels, row.probs, row.top1)
        if not all(before.start < after.start for before, after in pairwise(self.rows)):
            raise ValueError(f"windows start at {[row.start for row in self.rows]}")
        return self


class StartLine(TimelineHead):
    """First line of the stream."""

    type: Literal["start"] = "start"


class RowLine(TimelineRow):
    """A line of the stream for each window, in order."""

    type: Literal["row"] = "row"


class EndLine(Schema):
    """Last line of a stream that is complete."""

    type: Literal["end"] = "end"
    rows: int = Field(description="Number of rows.")
    timings_ms: TimelineTimings


class ErrorLine(Schema):
    """Last line of a stream that failed on its way."""

    type: Literal["error"] = "error"
    error: ErrorDetail


TimelineLine = Annotated[StartLine | RowLine | EndLine | ErrorLine, Field(discriminator="type")]
"""Any line of the stream."""
