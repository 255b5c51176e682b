"""Predictions of one clip and of many."""

from __future__ import annotations

from pydantic import Field

from avemotion.api.base import REQUEST_ID, Schema
from avemotion.preprocessing.contract import FRAME_COUNT, LABELS
from avemotion.preprocessing.uncertainty import RULE

EXAMPLE_PERCENTAGES = [11.2, 9.4, 8.1, 14.9, 20.5, 13.3, 12.5, 10.1]


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


class QualitySchema(Schema):
    """How well the window could be seen and heard; null where there is nothing to measure."""

    face_height: float | None = Field(description="Height of the face, as a fraction of the frame's.", examples=[0.48])
    brightness: float | None = Field(
        description="Mean brightness of what the model sees, 0 black to 1 white.", examples=[0.42]
    )
    audio_level: float | None = Field(
        description="Level of the sound, in dB relative to full scale; -120 is silence.", examples=[-31.5]
    )
    clipping: float | None = Field(description="Share of the samples that are clipped.", examples=[0.0])
    padding: float = Field(description="Share of the window that had to be filled with silence.", examples=[0.05])


class Timings(Schema):
    """Where the time went, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    queue: float = Field(description="Waiting for a free decode worker, and moving bytes there and back.")
    decode: float = Field(description="Decoding, cropping and the log-mel, in the worker.")
    inference: float = Field(description="The model, including the way there and back.")
    total: float = Field(
        description="From the first byte of the request to the prediction; an explanation takes its time on top."
    )


class ClipPrediction(Schema):
    """The emotion that is expressed in a clip, as estimated by the model; not what the person feels."""

    labels: list[str] = Field(description="Names of the emotions, in the order of `probs`.", examples=[list(LABELS)])
    probs: list[float] = Field(
        min_length=len(LABELS),
        max_length=len(LABELS),
        description="Probabilities, in percent, summing to 100.",
        examples=[EXAMPLE_PERCENTAGES],
    )
    top1: TopLabel
    uncertain: bool = Field(description=RULE, examples=[True])
    model: str = Field(description="Name of the model; `mock` for made-up numbers.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    modalities: Modalities
    missing: dict[str, str] = Field(
        description="For each modality that is missing, why.", examples=[{"audio": "The file has no audio track."}]
    )
    face: FaceSchema | None = Field(description="Where the face is; null where none was found or looked for.")
    quality: QualitySchema
    video_probs: list[float] | None = Field(
        description="What the face alone says, in percent; null without video.", examples=[EXAMPLE_PERCENTAGES]
    )
    audio_probs: list[float] | None = Field(
        description="What the voice alone says, in percent; null without audio.", examples=[EXAMPLE_PERCENTAGES]
    )
    frame_attention: list[float] | None = Field(
        description="How much the model looked at each frame, summing to 1; null without video.",
        examples=[[round(1 / FRAME_COUNT, 4)] * FRAME_COUNT],
    )


class PredictResponse(ClipPrediction):
    """The emotion that is expressed in a clip, as estimated by the model; not what the person feels."""

    explanation: str | None = Field(
        description="The probabilities in plain words, where they were asked for and a companion language model "
        "answered; else null.",
        examples=[None],
    )
    timings_ms: Timings
    request_id: str = Field(description=REQUEST_ID)


class ItemError(Schema):
    """Why there is no answer for one clip of a batch."""

    code: str = Field(description="Stable identifier, as in error answers.", examples=["unsupported_media"])
    message: str = Field(description="One sentence that names what was wrong and what was expected.")


class BatchResult(Schema):
    """What became of one clip: either a prediction or an error."""

    index: int = Field(ge=0, description="Which of the files, counted from 0.")
    prediction: ClipPrediction | None = None
    error: ItemError | None = None


class BatchTimings(Schema):
    """Where the time went, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    decode: float = Field(description="Decoding all clips, several at a time, with the wait for workers.")
    inference: float = Field(description="The model, including the way there and back.")
    total: float = Field(description="From the first byte of the request to the answer.")


class BatchResponse(Schema):
    """What became of each clip, in the order of the files."""

    results: list[BatchResult]
    timings_ms: BatchTimings
    request_id: str = Field(description=REQUEST_ID)
