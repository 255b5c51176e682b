"""The answers, typed. Fields that a newer gateway adds are kept, so that an older client does not lose them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Top(Answer):
    """The most probable emotion.

    Attributes:
        label: Its name.
        prob: Its probability, in percent.
    """

    label: str
    prob: float


class Problem(Answer):
    """Why an item of a batch has no prediction.

    Attributes:
        code: Stable identifier.
        message: A sentence.
    """

    code: str
    message: str


class Prediction(Answer):
    """Which emotion a clip expresses, as estimated by the model; not what a person feels.

    Attributes:
        labels: Names of the emotions.
        probs: Their probabilities, in percent.
        top1: The most probable one.
        uncertain: Whether the top one should not be relied on, by the rule in `avemotion.preprocessing.uncertainty`.
        modalities: What the model was given: `video`, `audio`.
        missing: For each modality that is missing, why.
        face: The box around the face as fractions of the frame, if one was found.
        video_probs: What the face alone says, in percent; None without video.
        audio_probs: What the voice alone says, in percent; None without audio.
        frame_attention: How much each frame counted; None without video.
        quality: How well the clip could be seen and heard.
        explanation: A companion's reading of the probabilities, where it was asked for and answered.
        model: Name of the model.
        model_version: Its version.
        timings_ms: Where the time went, in milliseconds.
        request_id: Id of the request in the gateway's log; None from Triton directly.
    """

    labels: list[str]
    probs: list[float]
    top1: Top
    uncertain: bool
    modalities: dict[str, bool]
    missing: dict[str, str] = Field(default_factory=dict)
    face: dict[str, float] | None = None
    video_probs: list[float] | None = None
    audio_probs: list[float] | None = None
    frame_attention: list[float] | None = None
    quality: dict[str, float | None]
    explanation: str | None = None
    model: str
    model_version: str
    timings_ms: dict[str, float] = Field(default_factory=dict)
    request_id: str | None = None


class BatchItem(Answer):
    """One clip of a batch: a prediction, or why there is none.

    Attributes:
        index: Its place in the batch.
        prediction: The prediction, if there is one.
        error: Why there is none.
    """

    index: int
    prediction: Prediction | None
    error: Problem | None


class TimelineRow(Answer):
    """One window of a timeline.

    Attributes:
        start: Start of the window, in seconds.
        end: Its end, in seconds.
        probs: Probabilities, in percent, in the order of the timeline's labels.
        top1: The most probable emotion.
        uncertain: Whether it should not be relied on.
    """

    start: float
    end: float
    probs: list[float]
    top1: Top
    uncertain: bool


class TimelineStart(Answer):
    """What is known of a timeline before its first row.

    Attributes:
        labels: Names of the emotions, in the order of each row's `probs`.
        duration: Length of the clip, in seconds.
        step: Seconds from one window's start to the next one's.
        window_seconds: Length of a window, in seconds.
        model: Name of the model.
        model_version: Its version.
        request_id: Id of the request in the gateway's log.
    """

    labels: list[str]
    duration: float
    step: float
    window_seconds: float
    model: str
    model_version: str
    request_id: str


class Timeline(TimelineStart):
    """A whole timeline.

    Attributes:
        rows: The windows in order.
        timings_ms: Where the time went, in milliseconds.
    """

    rows: list[TimelineRow]
    timings_ms: dict[str, float] = Field(default_factory=dict)


class ModelEntry(Answer):
    """A model that can be asked for.

    Attributes:
        name: Its name.
        versions: Versions that are served.
        ready: Whether it answers.
        default: Whether it is the one that answers when none is named.
        contract_version: Version of the tensor contract that it was made for.
        crop: How it wants frames to be cut.
        metrics: What its export measured, where it says so.
    """

    name: str
    versions: list[str]
    ready: bool
    default: bool
    contract_version: int | None = None
    crop: str | None = None
    metrics: dict[str, Any] | None = None
