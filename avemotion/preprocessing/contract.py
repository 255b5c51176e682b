"""The tensor contract: labels, sizes, tensor names, dtypes and shapes, stated once.

Checkpoints, ONNX files and running servers carry `parameters()`. `check_parameters` compares these with this code, so
that a model never gets tensors other than those it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from avemotion.preprocessing.errors import ContractMismatchError

if TYPE_CHECKING:
    import numpy.typing as npt

CONTRACT_VERSION: Final = 2
"""Raised whenever the same frames and sound would give other tensors, or a tensor's name or meaning changes.
Corrections of how files are decoded do not raise it: a model stays valid."""

LABELS: Final = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Class names in the order of the logits: RAVDESS emotion codes 01 to 08."""

WINDOW_SECONDS: Final = 3.0
"""Length of the window at the centre of a clip, in seconds."""

FRAME_COUNT: Final = 8
"""Video frames per window, one at the midpoint of each of as many equal parts."""

FRAME_SIZE: Final = 112
"""Height and width of a frame, in pixels."""

SAMPLE_RATE: Final = 16_000
"""Audio sampling rate, in Hz."""

WINDOW_SAMPLES: Final = int(WINDOW_SECONDS * SAMPLE_RATE)
"""Audio samples per window."""

FFT_SIZE: Final = 1_024
"""Samples per Fourier transform and length of its periodic Hann window."""

HOP_LENGTH: Final = 256
"""Samples between two Fourier transforms."""

MEL_BINS: Final = 64
"""Triangular Slaney mel filters from 0 Hz to half the sampling rate, area-normalised."""

MEL_FRAMES: Final = WINDOW_SAMPLES // HOP_LENGTH + 1
"""Columns of a centred log-mel spectrogram of the window."""

DECIBEL_FLOOR: Final = 80.0
"""Range of the log-mel spectrogram below the clip's own maximum, in dB; [-floor, 0] is scaled to [-1, 1]."""

POWER_MINIMUM: Final = 1e-10
"""Lower bound of the mel power, as in `librosa.power_to_db`."""

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
"""Mean of ImageNet's RGB values in [0, 1] (torchvision's constants); subtracted inside the graph."""

IMAGENET_STD: Final = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's RGB values in [0, 1]; divided by inside the graph."""

LOWEST_EVIDENCE: Final = 0.5
"""A modality with less evidence counts as missing: in the graph, and in every answer."""

NOT_FOUND: Final = {"video": "No face was found.", "audio": "No voice was heard."}
"""Why a modality is missing although the clip has its track, as a sentence."""

CropMode = Literal["face", "none"]
"""`face`: a square around the face; without a face, video is missing. `none`: the whole frame, resized."""

CROP_MODES: Final[tuple[CropMode, ...]] = get_args(CropMode)


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and shape of one tensor.

    Attributes:
        name: Name in the ONNX graph and in Triton's configuration.
        dtype: numpy's name of the element type.
        shape: Shape without the leading batch dimension.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    def zeros(self, batch: int = 1) -> npt.NDArray[Any]:
        """An array of zeros [batch, *shape] of this tensor's dtype."""
        import numpy as np  # noqa: PLC0415 (clients that only read answers have no numpy)

        return np.zeros((batch, *self.shape), self.dtype)


FRAMES: Final = TensorSpec("frames", "uint8", (FRAME_COUNT, FRAME_SIZE, FRAME_SIZE, 3))
"""RGB frames, channels last; zeros without video."""

LOG_MEL: Final = TensorSpec("log_mel", "float32", (MEL_BINS, MEL_FRAMES))
"""Log-mel spectrogram scaled to [-1, 1]; zeros without audio."""

PRESENT: Final = TensorSpec("present", "bool", (2,))
"""Whether there are frames of a face and sound above the floor, in the order of `MODALITIES`, as far as preprocessing
can tell. The network ignores the other tensor of a missing modality."""

PROBABILITIES: Final = TensorSpec("probabilities", "float32", (len(LABELS),))
"""Temperature-calibrated softmax."""

LOGITS: Final = TensorSpec("logits", "float32", (len(LABELS),))
"""Scores before calibration."""

VIDEO_PROBABILITIES: Final = TensorSpec("video_probabilities", "float32", (len(LABELS),))
"""Output of the video branch's own classifier."""

AUDIO_PROBABILITIES: Final = TensorSpec("audio_probabilities", "float32", (len(LABELS),))
"""Output of the audio branch's own classifier."""

FRAME_ATTENTION: Final = TensorSpec("frame_attention", "float32", (FRAME_COUNT,))
"""Attention to each frame, summing to 1; uniform for fusions without attention."""

EVIDENCE: Final = TensorSpec("evidence", "float32", (2,))
"""The model's own probability that the frames show a face and that the sound holds a voice, in the order of
`MODALITIES`; 0 for what is not present. Below `LOWEST_EVIDENCE` a modality counts as missing inside the graph; if both
do, probabilities are uniform."""

INPUTS: Final = (FRAMES, LOG_MEL, PRESENT)
OUTPUTS: Final = (PROBABILITIES, LOGITS, VIDEO_PROBABILITIES, AUDIO_PROBABILITIES, FRAME_ATTENTION, EVIDENCE)
MODALITIES: Final = ("video", "audio")


def parameters() -> dict[str, Any]:
    """All values of the contract, ready for JSON."""
    return {
        "contract_version": CONTRACT_VERSION,
        "labels": list(LABELS),
        "window_seconds": WINDOW_SECONDS,
        "sample_rate": SAMPLE_RATE,
        "fft_size": FFT_SIZE,
        "hop_length": HOP_LENGTH,
        "mel_bins": MEL_BINS,
        "decibel_floor": DECIBEL_FLOOR,
        "inputs": [_spec_parameters(spec) for spec in INPUTS],
        "outputs": [_spec_parameters(spec) for spec in OUTPUTS],
    }


def check_parameters(found: Mapping[str, Any], *, source: str) -> None:
    """Compare a model's contract with this code's.

    Args:
        found: The model's contract, as written by `parameters()`.
        source: Name of the model or file, for the message.

    Raises:
        ContractMismatchError: They differ; the message names every field that does.
    """
    expected = parameters()
    different = [
        f"{key} is {found.get(key)!r}, this code has {value!r}"
        for key, value in expected.items()
        if found.get(key) != value
    ]
    if different:
        raise ContractMismatchError(f"{source} was made for another tensor contract: {'; '.join(different)}.")


def _spec_parameters(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
