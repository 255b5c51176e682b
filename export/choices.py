"""What a person chooses for an export, apart from everything that is slow to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["video", "video-but-first", "all"]
"""Convolutions that are quantised: the video branch's, those but its first, or all of the network's."""

Calibration = Literal["minmax", "entropy", "percentile"]
"""How ranges follow from calibration clips: their extremes, least relative entropy, or the 99.999th percentile."""

Activations = Literal["u8", "s8"]
"""`u8` is fast on CPUs; `s8`, symmetric, is the only form that TensorRT takes, and slow on CPUs."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
CALIBRATIONS: Final[tuple[Calibration, ...]] = get_args(Calibration)
ACTIVATIONS: Final[tuple[Activations, ...]] = get_args(Activations)

TOLERANCE: Final = 1e-4
"""Largest difference of any output that is put down to the order of floating-point operations."""

MIN_AGREEMENT: Final = 0.985
"""Least share of held-out clips whose most probable label is the same."""

MAX_ACCURACY_LOSS: Final = 0.005
"""Most accuracy that INT8 may lose against FP32 on the same clips."""


@dataclass(frozen=True)
class Recipe:
    """How a model is quantised.

    Attributes:
        scope: Which convolutions.
        calibration: How ranges follow from calibration clips.
        activations: How activations are stored.
    """

    scope: Scope = "video"
    calibration: Calibration = "minmax"
    activations: Activations = "u8"

    @property
    def reads_pixels(self) -> bool:
        """Whether the first convolution takes pixels as they come."""
        return self.scope != "video-but-first" and self.activations == "u8"

    def __str__(self) -> str:
        return f"scope {self.scope}, calibration {self.calibration}, activations {self.activations}"


@dataclass(frozen=True)
class Limits:
    """What an export must keep to.

    Attributes:
        tolerance: Largest difference between torch and ONNX FP32.
        min_agreement: Least share of held-out clips with the same label.
        max_accuracy_loss: Most accuracy that INT8 may lose.
    """

    tolerance: float = TOLERANCE
    min_agreement: float = MIN_AGREEMENT
    max_accuracy_loss: float = MAX_ACCURACY_LOSS
