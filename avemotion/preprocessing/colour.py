"""Conversion of pixels of HDR and of wide colour gamuts to ordinary video, BT.709.

Phones record HDR by default. Read as if they were ordinary, its pixels are pale and dark, unlike all frames that models
are trained on. Diffuse white becomes the white of ordinary video (203 cd/m², ITU-R BT.2408); what is brighter, such as
lamps and reflections, is compressed into the last tenth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorPrimaries, ColorTrc

FloatArray = npt.NDArray[np.float32]

_WHITE: Final = 203.0
"""Diffuse white, in cd/m² (ITU-R BT.2408, table 1)."""

_HLG_PEAK: Final = 1000.0
_HLG_GAMMA: Final = 1.2
"""Luminance of the display that HLG is graded on, in cd/m², and its system gamma (ITU-R BT.2100, table 5)."""

_SDR_GAMMA: Final = 2.4
"""Exponent of the displays that ordinary video is graded on (ITU-R BT.1886)."""

_KNEE: Final = 0.9
"""Linear light up to this is kept; all above is compressed between this and 1."""

_BT2020_LUMA: Final = np.array([0.2627, 0.6780, 0.0593], np.float32)

_TO_BT709: Final[dict[int, Any]] = {
    ColorPrimaries.BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    ColorPrimaries.SMPTE432: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""Matrices of linear light to the primaries of BT.709 (of BT.2020: ITU-R BT.2087; of Display P3: by its chromaticities,
SMPTE EG 432-1)."""


@dataclass(frozen=True)
class ToSdr:
    """One conversion to ordinary video.

    Attributes:
        linear: float32 [65536]: linear light of each value of a channel. Of the display, 1 being white; of the scene,
            1 being the brightest, for HLG.
        of_scene: Whether `linear` is light of the scene.
        matrix: float32 [3, 3] to the primaries of BT.709, or None.
    """

    linear: FloatArray
    of_scene: bool
    matrix: FloatArray | None

    def pixels(self, rgb: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
        """Convert pixels.

        Args:
            rgb: uint16 [height, width, 3], full range.

        Returns:
            uint8 [height, width, 3].
        """
        light = self.linear[rgb]
        if self.of_scene:
            luminance = light @ _BT2020_LUMA
            light *= np.float32(_HLG_PEAK / _WHITE) * luminance[..., None] ** np.float32(_HLG_GAMMA - 1)
        if self.matrix is not None:
            light = light @ self.matrix.T
        bright = _KNEE + (1 - _KNEE) * -np.expm1(-np.maximum(light - _KNEE, 0) / (1 - _KNEE))
        light = np.where(light > _KNEE, bright, np.maximum(light, 0))
        return np.asarray(np.round(255 * light ** np.float32(1 / _SDR_GAMMA)), np.uint8)

    def grey_table(self) -> npt.NDArray[np.uint8]:
        """uint8 [256]: what each value of a grey frame becomes."""
        ramp = np.repeat(np.arange(256, dtype=np.uint16) * 257, 3).reshape(256, 1, 3)
        return self.pixels(ramp)[:, 0, 0]


def to_sdr(transfer: int, primaries: int) -> ToSdr | None:
    """The conversion for a frame.

    Args:
        transfer: FFmpeg's transfer characteristic of the frame.
        primaries: FFmpeg's colour primaries of the frame.

    Returns:
        The conversion; None for ordinary video.
    """
    hdr = transfer in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
    if not hdr and primaries not in _TO_BT709:
        return None
    if hdr and primaries == ColorPrimaries.UNSPECIFIED:
        primaries = ColorPrimaries.BT2020
    return _conversion(transfer if hdr else 0, primaries)


@cache
def _conversion(transfer: int, primaries: int) -> ToSdr:
    matrix = _TO_BT709.get(primaries)
    signal = np.linspace(0, 1, 2**16)
    if transfer == ColorTrc.SMPTE2084:
        linear = _pq_luminance(signal) / _WHITE
    elif transfer == ColorTrc.ARIB_STD_B67:
        linear = _hlg_scene_light(signal)
    else:
        linear = signal**_SDR_GAMMA
    return ToSdr(
        linear.astype(np.float32),
        transfer == ColorTrc.ARIB_STD_B67,
        None if matrix is None else np.array(matrix, np.float32),
    )


def _pq_luminance(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Luminance in cd/m² of PQ (ITU-R BT.2100, table 4)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def _hlg_scene_light(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Light of the scene, 0 to 1, of HLG (ITU-R BT.2100, table 5)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
