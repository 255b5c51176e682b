"""Log-mel spectrogram in numpy, equal to librosa's.

librosa is the oracle in the tests but not a dependency: its first call takes seconds and its import hundreds of
megabytes, in every decode worker of the gateway.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import (
    DECIBEL_FLOOR,
    FFT_SIZE,
    HOP_LENGTH,
    LOG_MEL,
    MEL_BINS,
    POWER_MINIMUM,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
)

FloatArray = npt.NDArray[np.float32]


def log_mel(waveform: npt.NDArray[np.floating]) -> FloatArray:
    """Scaled log-mel spectrogram of one window.

    Equals `librosa.power_to_db(librosa.feature.melspectrogram(...), ref=np.max, top_db=80)` divided by 40,
    plus 1. A silent waveform has its maximum everywhere, so it gives 1 everywhere, as librosa's does.

    Args:
        waveform: [48000] samples in [-1, 1] at 16 kHz.

    Returns:
        float32 [64, 188] in [-1, 1]: 0 dB relative to the clip's maximum is 1, -80 dB and less is -1.

    Raises:
        ValueError: The waveform is not one window long.
    """
    if waveform.shape != (WINDOW_SAMPLES,):
        raise ValueError(f"waveform has shape {waveform.shape}, expected ({WINDOW_SAMPLES},)")
    decibels = _power_to_decibels(_mel_power(waveform))
    return (decibels / (DECIBEL_FLOOR / 2) + 1).astype(LOG_MEL.dtype)


def _mel_power(waveform: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Mel power spectrogram [64, 188], centred frames padded with zeros."""
    padded = np.pad(waveform.astype(np.float64), FFT_SIZE // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SIZE)[::HOP_LENGTH]
    spectrum = np.fft.rfft(frames * _hann_window())
    power = (spectrum.real**2 + spectrum.imag**2).T
    # Filter by filter over its few bins: a product with the whole, nearly empty matrix would start the threads of the
    # linear algebra library, which take more time than they save.
    return np.stack([weights @ power[bins] for bins, weights in _mel_bands()])


def _power_to_decibels(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    decibels = 10 * np.log10(np.maximum(power, POWER_MINIMUM))
    decibels -= decibels.max()
    return np.asarray(np.maximum(decibels, -DECIBEL_FLOOR))


@cache
def _hann_window() -> npt.NDArray[np.float64]:
    """Periodic Hann window [1024]."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SIZE) / FFT_SIZE))


@cache
def _mel_bands() -> list[tuple[slice, npt.NDArray[np.float64]]]:
    """For each filter, its non-zero bins and its weights in them."""
    bands = []
    for weights in mel_filters():
        bins = np.flatnonzero(weights)
        band = slice(bins[0], bins[-1] + 1)
        bands.append((band, weights[band]))
    return bands


@cache
def mel_filters() -> npt.NDArray[np.float64]:
    """Slaney-normalised triangular filters [64, 513].

    Source: M. Slaney, Auditory Toolbox, Technical Report 1998-010; the same as `librosa.filters.mel`.
    """
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(SAMPLE_RATE / 2), MEL_BINS + 2))
    frequencies = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)
    widths = np.diff(edges)
    ramps = edges[:, None] - frequencies[None, :]
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: npt.NDArray[np.float64] = triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters


# Slaney's mel scale: linear up to 1 kHz (15 mel), then logarithmic with 27 mel per factor 6.4.
_LINEAR_HERTZ_PER_MEL = 200.0 / 3
_BREAK_HERTZ = 1_000.0
_BREAK_MEL = _BREAK_HERTZ / _LINEAR_HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _BREAK_HERTZ:
        return hertz / _LINEAR_HERTZ_PER_MEL
    return float(_BREAK_MEL + np.log(hertz / _BREAK_HERTZ) / _LOG_STEP)


def _mel_to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = mel * _LINEAR_HERTZ_PER_MEL
    logarithmic = _BREAK_HERTZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, linear, logarithmic)
