"""The JSON of requests and responses, which is also what OpenAPI says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from preprocessing.contract import FRAME_COUNT, LABELS

_EXAMPLE_PERCENTAGES = [11.2, 9.4, 8.1, 14.9, 20.5, 13.3, 12.5, 10.1]


class Schema(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(protected_namespaces=(), frozen=True)


class TopLabel(Schema):
    """The most probable emotion."""

    label: str = Field(description="Its name.", examples=["angry"])
    prob: float = Field(ge=0, le=100, description="Its probability, in percent.", examples=[20.5])


class Modalities(Schema):
    """What the model was given."""

    video: bool = Field(description="Whether there was video.")
    audio: bool = Field(description="Whether there was audio that is not silence.")


class FaceSchema(Schema):
    """The box around the face, as fractions of the upright frame."""

    left: float = Field(description="Left edge, as a fraction of the width.", examples=[0.36])
    top: float = Field(description="Upper edge, as a fraction of the height.", examples=[0.21])
    width: float = Field(description="Width, as a fraction of the width.", examples=[0.27])
    height: float = Field(description="Height, as a fraction of the height.", examples=[0.48])


class Timings(Schema):
    """Where the time went, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    queue: float = Field(description="Waiting for a free decode worker, and moving bytes there and back.")
    decode: float = Field(description="Decoding, cropping and the log-mel, in the worker.")
    inference: float = Field(description="The model, including the way there and back.")
    total: float = Field(description="From the first byte of the request to the answer.")


class PredictResponse(Schema):
    """The emotion that is expressed in a clip, as estimated by the model; not what the person feels."""

    labels: list[str] = Field(description="Names of the emotions, in the order of `probs`.", examples=[list(LABELS)])
    probs: list[float] = Field(
        min_length=len(LABELS),
        max_length=len(LABELS),
        description="Probabilities, in percent, summing to 100.",
        examples=[_EXAMPLE_PERCENTAGES],
    )
    top1: TopLabel
    model: str = Field(description="Name of the model; `mock` for made-up numbers.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    modalities: Modalities
    missing: dict[str, str] = Field(
        description="For each modality that is missing, why.", examples=[{"audio": "The file has no audio track."}]
    )
    face: FaceSchema | None = Field(description="Where the face is; null where none was found or looked for.")
    video_probs: list[float] | None = Field(
        description="What the face alone says, in percent; null without video.", examples=[_EXAMPLE_PERCENTAGES]
    )
    audio_probs: list[float] | None = Field(
        description="What the voice alone says, in percent; null without audio.", examples=[_EXAMPLE_PERCENTAGES]
    )
    frame_attention: list[float] | None = Field(
        description="How much the model looked at each frame, summing to 1; null without video.",
        examples=[[round(1 / FRAME_COUNT, 4)] * FRAME_COUNT],
    )
    timings_ms: Timings
    request_id: str = Field(description="Id of the request, also in the header X-Request-ID and in the log.")


class HealthResponse(Schema):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="Version of the gateway.", examples=["0.1.0"])


class ReadyResponse(Schema):
    """The model answers."""

    status: Literal["ready"] = "ready"
    predictor: str = Field(description="Who computes.", examples=["triton"])
    model: str = Field(description="Name of the model.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    answered_seconds_ago: float = Field(description="Age of the model's last answer, in seconds.", examples=[0.8])


class ErrorDetail(Schema):
    """What went wrong."""

    code: str = Field(description="Stable identifier.", examples=["unsupported_media"])
    message: str = Field(description="One sentence that names what was wrong and what was expected.")
    request_id: str = Field(description="Id of the request, also in the header X-Request-ID and in the log.")


class ErrorResponse(Schema):
    """The body of every error."""

    error: ErrorDetail
