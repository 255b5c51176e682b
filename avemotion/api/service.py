"""What the service says of itself: models, contract, health."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from avemotion.api.base import Schema
from avemotion.preprocessing.contract import FRAME_COUNT, LABELS
from avemotion.preprocessing.uncertainty import RULE


class ModelSchema(Schema):
    """A model that can be asked for."""

    name: str = Field(description="For `?model=`.", examples=["emotion_int8"])
    versions: list[str] = Field(description="Versions that are ready, oldest first, for `?version=`.", examples=[["1"]])
    ready: bool = Field(description="Whether it answers: the default has done so lately, the others are loaded.")
    default: bool = Field(description="Whether it answers where no model is asked for.")
    contract_version: int = Field(description="Version of the tensor contract that it was made for.", examples=[1])
    crop: str = Field(description="`face`: looks at the face; `none`: at the whole frame.", examples=["face"])
    metrics: dict[str, Any] | None = Field(
        description="Figures of its newest version's validation, where it says so.",
        examples=[{"validation": {"clips": 240, "both": {"accuracy": 0.7417}}}],
    )


class ModelsResponse(Schema):
    """The models that can be asked for, by name."""

    models: list[ModelSchema]


class SampledParameters(Schema):
    """How a client that samples by itself should encode what it sends to `/predict/sampled`."""

    frame_longest_side: int = Field(description="Longest side of a frame, in pixels.", examples=[384])
    jpeg_quality: float = Field(description="Quality of the JPEG frames, 0 to 1.", examples=[0.7])
    upload_bytes: int = Field(description="Most bytes of all files together.", examples=[4_194_304])
    sample_format: Literal["pcm_s16le"] = Field(description="Samples of the WAV file: 16 bits, mono.")


class ContractLimits(Schema):
    """What is refused beyond."""

    upload_bytes: int = Field(description="Largest clip, in bytes.", examples=[52_428_800])
    batch_clips: int = Field(description="Most clips in one batch.", examples=[32])
    batch_bytes: int = Field(description="Most bytes of a batch.", examples=[104_857_600])
    timeline_seconds: float = Field(description="Longest clip for a timeline, in seconds.", examples=[60.0])
    timeline_step_min: float = Field(description="Smallest step of a timeline, in seconds.", examples=[0.5])
    timeline_step_max: float = Field(description="Largest step of a timeline, in seconds.", examples=[1.0])
    deadline_seconds: float = Field(description="Longest time from the upload to the answer.", examples=[10.0])


class Features(Schema):
    """What this server asks for and offers."""

    api_key: bool = Field(description="Whether predictions need an API key.")
    explain: bool = Field(description="Whether `?explain=true` may get an explanation.")


class ContractResponse(Schema):
    """The sizes, times and limits that pages and clients go by, so that none of them repeats a number."""

    contract_version: int = Field(description="Version of the tensor contract.", examples=[1])
    labels: list[str] = Field(description="Names of the emotions.", examples=[list(LABELS)])
    window_seconds: float = Field(description="Length of what is looked at, in seconds.", examples=[3.0])
    frame_count: int = Field(description="Frames of a window.", examples=[FRAME_COUNT])
    frame_size: int = Field(description="Side of a frame as the model sees it, in pixels.", examples=[112])
    sample_rate: int = Field(description="Samples of sound per second, in Hz.", examples=[16_000])
    sample_times: list[float] = Field(description="When frames are taken, in seconds from the window's start.")
    sampled: SampledParameters
    limits: ContractLimits
    features: Features
    uncertain_rule: str = Field(description="When an answer is marked `uncertain`, in words.", examples=[RULE])


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
    answered_seconds_ago: float = Field(description="Age of the model's last answer, in seconds.", examples=[0.7])
