"""What recordings of one voice differ by: when it begins, how much silence lies around it, and the noise of the room.

RAVDESS was recorded in a studio, each sentence about a second after the start: a network that knows nothing else
takes the hiss of a microphone for an emotion. Loudness is left alone, for the log-mel is relative to the clip's own
maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from preprocessing.contract import SAMPLE_RATE

FloatArray = npt.NDArray[np.float32]

_BLOCK: Final = 160
"""Samples by which speech is looked for: 10 ms."""

_AUDIBLE: Final = 0.01
"""Level of speech at least, as a share of the loudest block: -40 dB."""


@dataclass(frozen=True)
class RecordingChanges:
    """How much is changed.

    Attributes:
        moved: Share of voices that begin at any other time, their speech still whole; the others move a little.
        shift: Seconds by which these move at most, either way.
        noisy: Share of voices with noise.
        noise: Range of the signal-to-noise ratio, in dB of the window's mean power.
        colour: Range of the noise's spectral slope: its power falls by the frequency to this power, from 0, white, to
            2, brown.
        padded: Share of voices with digital silence before and after their speech, from anywhere on.
    """

    moved: float = 0.4
    shift: float = 0.1
    noisy: float = 0.7
    noise: tuple[float, float] = (10.0, 50.0)
    colour: tuple[float, float] = (0.0, 2.0)
    padded: float = 0.4


def change_recording(waveform: FloatArray, random: np.random.Generator, changes: RecordingChanges) -> FloatArray:
    """Record a voice anew: at another time, with other noise and other silence around it.

    Args:
        waveform: float32 [N], mono at 16 kHz; nothing is done to silence.
        random: Source of the amounts.
        changes: How much.

    Returns:
        float32 [N], not bound to [-1, 1].
    """
    if not waveform.any():
        return waveform.copy()
    count = len(waveform)
    begin, end = speech_of(waveform)
    if random.random() < changes.moved:
        moved = int(random.integers(-begin, count - end + 1))
    else:
        moved = round(random.uniform(-changes.shift, changes.shift) * SAMPLE_RATE)
    changed = shifted(waveform, moved)
    begin, end = (min(max(0, place + moved), count) for place in (begin, end))
    if random.random() < changes.noisy:
        decibels, slope = random.uniform(*changes.noise), random.uniform(*changes.colour)
        changed = changed + noise_beside(waveform, decibels, slope, random)
    if random.random() < changes.padded:
        changed[: int(random.integers(0, begin + 1))] = 0
        changed[int(random.integers(end, count + 1)) :] = 0
    return np.asarray(changed, np.float32)


def speech_of(waveform: FloatArray) -> tuple[int, int]:
    """First sample of what can be heard in a waveform [N], and the one after its last."""
    blocks = -(-len(waveform) // _BLOCK)
    level = np.abs(np.pad(waveform, (0, blocks * _BLOCK - len(waveform)))).reshape(blocks, _BLOCK).max(axis=1)
    audible = np.flatnonzero(level > _AUDIBLE * level.max())
    if not len(audible):
        return 0, len(waveform)
    return int(audible[0]) * _BLOCK, min(len(waveform), (int(audible[-1]) + 1) * _BLOCK)


def shifted(waveform: FloatArray, samples: int) -> FloatArray:
    """A waveform [N] that comes later by some samples, or earlier, with silence in what it leaves."""
    result = np.zeros_like(waveform)
    if samples >= 0:
        result[samples:] = waveform[: len(waveform) - samples]
    else:
        result[:samples] = waveform[-samples:]
    return result


def noise_beside(waveform: FloatArray, decibels: float, slope: float, random: np.random.Generator) -> FloatArray:
    """float32 [N] noise that lies some decibels below the mean power of a waveform [N]."""
    level = float(np.sqrt(np.mean(np.square(waveform)))) * 10 ** (-decibels / 20)
    return level * coloured_noise(len(waveform), slope, random)


def coloured_noise(count: int, slope: float, random: np.random.Generator) -> FloatArray:
    """float32 [count] noise of unit power whose power falls by the frequency to the power of `slope`."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum[0] = 0
    spectrum[1:] *= np.arange(1, len(spectrum)) ** (-slope / 2)
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / np.sqrt(np.mean(np.square(noise))), np.float32)
