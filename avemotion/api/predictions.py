"""Response bodies of `/predict`, `/predict/sampled` and `/predict/batch`, and when an answer is uncertain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from avemotion.api.base import REQUEST_ID, Schema
from avemotion.preprocessing.contract import FRAME_COUNT, LABELS

LOWEST_PROBABILITY: Final = 0.5
"""An answer whose top probability is below this is uncertain."""

SMALLEST_LEAD: Final = 0.1
"""An answer whose top probability leads the second by less than this is uncertain."""

CLEAR_EVIDENCE: Final = 0.8
"""An answer is uncertain if the model is less sure than this of the face or the voice that it judges."""

UNCERTAIN_RULE: Final = (
    f"Whether the top probability is below {100 * LOWEST_PROBABILITY:g} %, or less than {100 * SMALLEST_LEAD:g} "
    f"points above the second, or if the evidence of a face or voice that was used is below {CLEAR_EVIDENCE:g}. "
    "The answer is then a guess, and should be shown as one."
)
"""The rule by which an answer counts as uncertain.

Probabilities are calibrated: a top probability below one half means that the label is more likely wrong than right. If
the second probability is close to the first, chance decides which of the two comes first.
"""

EXAMPLE_PERCENTAGES: Final = [11.2, 9.4, 8.1, 14.9, 20.5, 13.3, 12.5, 10.1]

_SUM_TOLERANCE: Final = 0.1
"""Percentage points by which probabilities may miss 100: far more than rounding, far less than a wrong answer."""

FACE: Final = "Box around the face; null if none was found or looked for."
FACES: Final = "Number of people seen; the most prominent one is judged."

Percentage = Annotated[float, Field(ge=0, le=100)]
"""A probability, in percent."""


class TopLabel(Schema):
    """The most probable emotion."""

    label: str = Field(description="Name of the most probable emotion.", examples=["angry"])
    prob: Percentage = Field(description="Its probability, in percent.", examples=[20.5])


class Modalities(Schema):
    """What the answer is based on."""

    video: bool = Field(description="Whether a face was found and used.")
    audio: bool = Field(description="Whether a voice was found and used.")


class Evidence(Schema):
    """The model's own probability that there is something to judge, 0 to 1; null for what it was not given."""

    face: float | None = Field(description="That the frames show a face.", examples=[0.998])
    voice: float | None = Field(description="That the sound holds a voice.", examples=[0.973])


class FaceSchema(Schema):
    """The box around the face, as fractions of the upright frame."""

    left: float = Field(description="Left edge, as a fraction of the frame's width.", examples=[0.36])
    top: float = Field(description="Upper edge, as a fraction of the frame's height.", examples=[0.21])
    width: float = Field(description="Width, as a fraction of the frame's.", examples=[0.27])
    height: float = Field(description="Height, as a fraction of the frame's.", examples=[0.48])


class QualitySchema(Schema):
    """Quality of frames and sound in the window; a measure is null if there is nothing to measure."""

    face_height: float | None = Field(description="Height of the face, as a fraction of the frame's.", examples=[0.48])
    brightness: float | None = Field(
        description="Mean brightness of the model's input frames, 0 black to 1 white.", examples=[0.42]
    )
    audio_level: float | None = Field(
        description="Level of the sound, in dB relative to full scale; -120 is silence.", examples=[-31.5]
    )
    clipping: float | None = Field(description="Fraction of the samples that are clipped.", examples=[0.0])
    padding: float = Field(description="Fraction of the window that is filled with silence.", examples=[0.05])


class Timings(Schema):
    """Time by stage, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    queue: float = Field(description="Waiting for a free decode worker, and moving bytes there and back.")
    decode: float = Field(description="Decoding, cropping and the log-mel spectrogram, in the worker.")
    inference: float = Field(description="The model, including the round trip to it.")
    total: float = Field(
        description="From the first byte of the request to the prediction; an explanation takes its time on top."
    )


class ClipPrediction(Schema):
    """The emotion that is expressed in a clip, as estimated by the model; not what the person feels."""

    labels: list[str] = Field(description="Names of the emotions, in the order of `probs`.", examples=[list(LABELS)])
    probs: list[Percentage] = Field(
        description="Calibrated probabilities, in percent, summing to 100.", examples=[EXAMPLE_PERCENTAGES]
    )
    top1: TopLabel
    uncertain: bool = Field(description=UNCERTAIN_RULE, examples=[True])
    model: str = Field(description="Name of the model; `mock` marks made-up numbers.", examples=["emotion_int8"])
    model_version: str = Field(description="Version of the model.", examples=["1"])
    modalities: Modalities
    evidence: Evidence
    missing: dict[str, str] = Field(
        description="For each missing modality, the reason.", examples=[{"audio": "No voice was heard."}]
    )
    note: str | None = Field(
        description="What to keep in mind about the answer, as a sentence; null if there is nothing.",
        examples=["2 people were seen: the voice may belong to someone else."],
    )
    face: FaceSchema | None = Field(description=FACE)
    faces: int = Field(ge=0, description=FACES, examples=[1])
    quality: QualitySchema
    video_probs: list[float] | None = Field(
        description="Probabilities from the face alone, in percent; null without a face.",
        examples=[EXAMPLE_PERCENTAGES],
    )
    audio_probs: list[float] | None = Field(
        description="Probabilities from the voice alone, in percent; null without a voice.",
        examples=[EXAMPLE_PERCENTAGES],
    )
    frame_attention: list[float] | None = Field(
        description="Weight of each frame in the model's attention, summing to 1; null without a face.",
        examples=[[round(1 / FRAME_COUNT, 4)] * FRAME_COUNT],
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        check_scores(self.probs, self.top1)
        check_labels(self.labels, self.probs, self.top1)
        return self


class PredictResponse(ClipPrediction):
    """The emotion that is expressed in a clip, as estimated by the model; not what the person feels."""

    explanation: str | None = Field(
        description="The probabilities in plain words, if requested and available; else null.", examples=[None]
    )
    timings_ms: Timings
    request_id: str = Field(description=REQUEST_ID)


class ItemError(Schema):
    """Why one clip of a batch has no prediction."""

    code: str = Field(description="Stable identifier, as in error responses.", examples=["damaged_media"])
    message: str = Field(description="One sentence: what was wrong, and what was expected.")


class BatchResult(Schema):
    """The result of one clip: a prediction or an error."""

    index: int = Field(ge=0, description="Position of the clip among the files, from 0.")
    prediction: ClipPrediction | None = Field(default=None, description="The prediction; null after an error.")
    error: ItemError | None = Field(default=None, description="Why there is no prediction; null if there is one.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.prediction is None) == (self.error is None):
            raise ValueError(f"result {self.index} needs a prediction or an error, and not both")
        return self


class BatchTimings(Schema):
    """Time by stage, in milliseconds."""

    upload: float = Field(description="Receiving the body.")
    decode: float = Field(description="Decoding all clips, several at a time, including the wait for workers.")
    inference: float = Field(description="The model, including the round trip to it.")
    total: float = Field(description="From the first byte of the request to the response.")


class BatchResponse(Schema):
    """The results of all clips, in the order of the files."""

    results: list[BatchResult] = Field(description="One result a clip, in the order of the files.")
    timings_ms: BatchTimings
    request_id: str = Field(description=REQUEST_ID)

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if (found := [result.index for result in self.results]) != list(range(len(found))):
            raise ValueError(f"indices of the results are {found}")
        return self


def is_uncertain(probabilities: Iterable[float], evidence: Iterable[float]) -> bool:
    """Whether an answer is uncertain.

    Args:
        probabilities: One for each label, summing to 1, before rounding.
        evidence: Of each modality that was used, 0 to 1.
    """
    second, first = sorted(map(float, probabilities))[-2:]
    return first < LOWEST_PROBABILITY or first - second < SMALLEST_LEAD or min(evidence) < CLEAR_EVIDENCE


def check_scores(probs: Sequence[float], top1: TopLabel) -> None:
    """Check that probabilities are a distribution and that the top label has the largest.

    Raises:
        ValueError: They are not; the message has the values.
    """
    if abs(sum(probs) - 100) > _SUM_TOLERANCE:
        raise ValueError(f"probabilities sum to {sum(probs):.2f} %")
    if top1.prob != max(probs):
        raise ValueError(f"top1 has {top1.prob} %, the largest probability is {max(probs)} %")


def check_labels(labels: Sequence[str], probs: Sequence[float], top1: TopLabel) -> None:
    """Check that each label has one probability, and the top label its own.

    Raises:
        ValueError: They do not agree; the message has the values.
    """
    if len(labels) != len(probs) or len(set(labels)) != len(labels):
        raise ValueError(f"{len(probs)} probabilities for the labels {', '.join(labels)}")
    if (top1.label, top1.prob) not in zip(labels, probs, strict=True):
        raise ValueError(
            f"top1 is {top1.label} with {top1.prob} %, which is not among {list(zip(labels, probs, strict=True))}"
        )
