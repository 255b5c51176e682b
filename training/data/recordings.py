"""Changes of recordings: onset of speech, silence around it, and noise of the room.

RAVDESS was recorded in a studio, each sentence about a second after the start. A network trained on nothing else
mistakes the hiss of a microphone for an emotion. Loudness is not changed, because the log-mel spectrogram is relative
to the clip's own maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.preprocessing.contract import SAMPLE_RATE

_BLOCK: Final = 160
"""Resolution of the search for speech, in samples: 10 ms."""

_AUDIBLE: Final = 0.01
"""Lower bound of the level of speech, relative to the loudest block: -40 dB."""


@dataclass(frozen=True)
class RecordingChanges:
    """Ranges of the changes.

    Attributes:
        moved: Share of voices that start at a random time, with all of their speech; the others move slightly.
        shift: Limit of the slight move in either direction, in seconds.
        noisy: Share of voices with noise.
        noise: Range of the signal-to-noise ratio, in dB of the window's mean power.
        colour: Range of the noise's spectral slope: its power falls by the frequency to this power, from 0, white, to
            2, brown.
        padded: Share of voices with digital silence of random length before and after their speech.
    """

    moved: float = 0.4
    shift: float = 0.1
    noisy: float = 0.7
    noise: tuple[float, float] = (10.0, 50.0)
    colour: tuple[float, float] = (0.0, 2.0)
    padded: float = 0.4


def change_recordings(waveforms: Tensor, changes: RecordingChanges, generator: torch.Generator | None = None) -> Tensor:
    """Change the recordings of voices at random: onset, noise and silence.

    Args:
        waveforms: float32 [B, N], mono at 16 kHz; silence is left unchanged.
        changes: Ranges of the changes.
        generator: Source of randomness, on the waveforms' device; torch's default if None.

    Returns:
        float32 [B, N], not limited to [-1, 1].
    """
    batch, count = waveforms.shape

    def draw(low: Tensor | float = 0.0, high: Tensor | float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator, device=waveforms.device)

    begin, end = speech_of(waveforms)
    anywhere, nearby = draw(-begin, count - end + 1).floor(), draw(-changes.shift, changes.shift) * SAMPLE_RATE
    by = torch.where(draw() < changes.moved, anywhere, nearby).long()
    changed = shifted(waveforms, by)
    begin, end = (begin + by).clamp(0, count), (end + by).clamp(0, count)
    noise = noise_beside(waveforms, draw(*changes.noise), draw(*changes.colour), generator)
    changed = torch.where(draw()[:, None] < changes.noisy, changed + noise, changed)
    place = torch.arange(count, device=waveforms.device)
    before, after = draw(0, begin + 1).long(), draw(end, count + 1).long()
    silent = (place < before[:, None]) | (place >= after[:, None])
    return changed.masked_fill(silent & (draw()[:, None] < changes.padded), 0)


def speech_of(waveforms: Tensor) -> tuple[Tensor, Tensor]:
    """First sample of the audible part of each waveform [B, N], and the sample after its last; int64 [B] each."""
    count = waveforms.shape[1]
    blocks = functional.pad(waveforms, (0, -count % _BLOCK)).view(len(waveforms), -1, _BLOCK)
    level = blocks.abs().amax(dim=2)
    audible = level >= _AUDIBLE * level.amax(dim=1, keepdim=True)
    first = audible.int().argmax(dim=1)
    last = audible.shape[1] - audible.flip(1).int().argmax(dim=1)
    return first * _BLOCK, (last * _BLOCK).clamp(max=count)


def shifted(waveforms: Tensor, samples: Tensor) -> Tensor:
    """Waveforms [B, N] delayed by some samples [B], or advanced if negative, and filled with silence."""
    count = waveforms.shape[1]
    place = torch.arange(count, device=waveforms.device) - samples[:, None]
    inside = (place >= 0) & (place < count)
    return waveforms.gather(1, place.clamp(0, count - 1)).masked_fill(~inside, 0)


def noise_beside(
    waveforms: Tensor, decibels: Tensor, slope: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Noise float32 [B, N], some decibels [B] below the mean power of waveforms [B, N]."""
    level = waveforms.square().mean(dim=1).sqrt() * 10 ** (-decibels / 20)
    return level[:, None] * coloured_noise(waveforms.shape[1], slope, generator)


def coloured_noise(count: int, slope: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Noise float32 [B, count] of unit power with a power spectrum of frequency to the power of -`slope` [B]."""
    spectrum = torch.fft.rfft(torch.randn(len(slope), count, generator=generator, device=slope.device))
    frequency = torch.arange(spectrum.shape[1], device=slope.device)
    spectrum = spectrum * torch.where(frequency > 0, frequency ** (-slope[:, None] / 2), 0.0)
    noise: Tensor = torch.fft.irfft(spectrum, count)
    return noise / noise.square().mean(dim=1, keepdim=True).sqrt()
