"""Response bodies that describe the service: models, contract, health."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from avemotion.api.base import Schema
from avemotion.api.predictions import UNCERTAIN_RULE
from avemotion.preprocessing.contract import FRAME_COUNT, LABELS


class ModelEntry(Schema):
    """A model that can be selected."""

    name: str = Field(description="Name, for `?model=`.", examples=["emotion_int8"])
    versions: list[str] = Field(description="Versions that are ready, oldest first, for `?version=`.", examples=[["1"]])
    ready: bool = Field(
        description="Whether it can predict: the default model succeeded recently, the others are loaded."
    )
    default: bool = Field(description="Whether it is used if a request selects no model.")
    contract_version: int = Field(description="Version of the tensor contract that it was exported for.", examples=[1])
    crop: str = Field(description="`face`: sees the face; `none`: sees the whole frame.", examples=["face"])
    metrics: dict[str, Any] | None = Field(
        description="Validation figures of its newest version; null if it carries none.",
        examples=[{"validation": {"clips": 240, "both": {"accuracy": 0.7417}}}],
    )


class ModelsResponse(Schema):
    """The models that can be selected."""

    models: list[ModelEntry] = Field(description="The models, by name.")


class SampledParameters(Schema):
    """How a client that samples clips itself should encode what it sends to `/predict/sampled`."""

    frame_longest_side: int = Field(description="Longest side of a frame, in pixels.", examples=[384])
    jpeg_quality: float = Field(description="Quality of the JPEG frames, 0 to 1.", examples=[0.7])
    upload_bytes: int = Field(description="Upper bound of all files together, in bytes.", examples=[4_194_304])
    sample_format: Literal["pcm_s16le"] = Field(description="Samples of the WAV file: 16 bits, mono.")


class ContractLimits(Schema):
    """Limits of a request."""

    upload_bytes: int = Field(description="Largest clip, in bytes.", examples=[52_428_800])
    batch_clips: int = Field(description="Most clips in one batch.", examples=[32])
    batch_bytes: int = Field(description="Largest batch, in bytes.", examples=[104_857_600])
    timeline_seconds: float = Field(description="Longest clip for a timeline, in seconds.", examples=[60.0])
    timeline_step_min: float = Field(description="Smallest step of a timeline, in seconds.", examples=[0.5])
    timeline_step_max: float = Field(description="Largest step of a timeline, in seconds.", examples=[1.0])
    deadline_seconds: float = Field(description="Longest time from the upload to the response.", examples=[10.0])


class Features(Schema):
    """What this server requires and offers."""

    api_key: bool = Field(description="Whether predictions require an API key.")
    explain: bool = Field(description="Whether `?explain=true` can return an explanation.")


class ContractResponse(Schema):
    """Sizes, times and limits for pages and clients, so that none of them repeats a number."""

    contract_version: int = Field(description="Version of the tensor contract.", examples=[1])
    labels: list[str] = Field(description="Names of the emotions.", examples=[list(LABELS)])
    window_seconds: float = Field(description="Length of the window that is read, in seconds.", examples=[3.0])
    frame_count: int = Field(description="Frames of a window.", examples=[FRAME_COUNT])
    frame_size: int = Field(description="Side of a frame as the model sees it, in pixels.", examples=[112])
    sample_rate: int = Field(description="Samples of sound per second, in Hz.", examples=[16_000])
    sample_times: list[float] = Field(description="When frames are taken, in seconds from the window's start.")
    sampled: SampledParameters
    limits: ContractLimits
    features: Features
    uncertain_rule: str = Field(description="The rule that marks an answer as `uncertain`.", examples=[UNCERTAIN_RULE])


class HealthResponse(Schema):
    """The process is alive."""

    status: Literal["ok"] = Field(default="ok", description="The process answers.")
    version: str = Field(description="Version of the gateway.", examples=["0.1.0"])


class ReadyResponse(Schema):
    """A recent inference succeeded."""

    status: Literal["ready"] = Field(default="ready", description="The model answers.")
    predictor: str = Field(description="What runs the model.", examples=["triton"])
    model: str = Field(description="Name of the model.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    answered_seconds_ago: float = Field(description="Age of the last inference, in seconds.", examples=[0.7])
