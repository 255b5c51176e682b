"""Options of an export, in a module that is quick to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["video", "video-but-first", "all"]
"""Convolutions to quantise: the video branch's, the video branch's without the first one, or all."""

Calibration = Literal["minmax", "entropy", "percentile"]
"""How ranges are computed from calibration clips: extremes, minimum relative entropy, or 99.999th percentile."""

Activations = Literal["u8", "s8"]
"""`u8` is fast on CPUs; `s8`, symmetric, is slow on CPUs and the only form that TensorRT accepts."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
CALIBRATIONS: Final[tuple[Calibration, ...]] = get_args(Calibration)
ACTIVATIONS: Final[tuple[Activations, ...]] = get_args(Activations)

TOLERANCE: Final = 1e-4
"""Largest difference of any output that the order of floating-point operations may cause."""

MIN_AGREEMENT: Final = 0.985
"""Minimum share of held-out clips whose most probable label is the same."""

MAX_ACCURACY_LOSS: Final = 0.005
"""Limit of the accuracy that INT8 loses against FP32 on the same clips."""


@dataclass(frozen=True)
class Recipe:
    """How a model is quantised.

    Attributes:
        scope: The convolutions to quantise.
        calibration: How ranges are computed from calibration clips.
        activations: The type of activations.
    """

    scope: Scope = "video"
    calibration: Calibration = "minmax"
    activations: Activations = "u8"

    @property
    def reads_pixels(self) -> bool:
        """Whether the first convolution reads pixels without normalisation."""
        return self.scope != "video-but-first" and self.activations == "u8"

    def __str__(self) -> str:
        return f"scope {self.scope}, calibration {self.calibration}, activations {self.activations}"


@dataclass(frozen=True)
class Limits:
    """Limits of an export.

    Attributes:
        tolerance: Limit of the difference between torch and ONNX FP32.
        min_agreement: Minimum share of held-out clips with the same label.
        max_accuracy_loss: Limit of the accuracy that INT8 loses.
    """

    tolerance: float = TOLERANCE
    min_agreement: float = MIN_AGREEMENT
    max_accuracy_loss: float = MAX_ACCURACY_LOSS
