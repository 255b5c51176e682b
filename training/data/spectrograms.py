"""Batches of spectrograms on any device, and augmentations that preserve the emotion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.preprocessing.contract import DECIBEL_FLOOR, FFT_SIZE, HOP_LENGTH, MEL_BINS, MEL_FRAMES, POWER_MINIMUM
from avemotion.preprocessing.log_mel import mel_filters


@dataclass(frozen=True)
class SpectrogramChanges:
    """Limits of the changes.

    Stronger changes than the defaults reduce the recall of unseen actors.

    Attributes:
        shift: Shift in time in either direction, in columns of the spectrogram.
        stretch: Share by which sound is stretched or shortened.
        mel_shift: Shift in pitch in either direction, in mel bins.
        time_mask: Columns of the SpecAugment mask (Park et al. 2019, arXiv 1904.08779); 0 for none.
        mel_mask: Mel bins of the SpecAugment mask; 0 for none.
    """

    shift: float = 10.0
    stretch: float = 0.05
    mel_shift: float = 1.0
    time_mask: int = 0
    mel_mask: int = 0


def change_spectrograms(log_mel: Tensor, changes: SpectrogramChanges) -> Tensor:
    """Shift, stretch and mask each spectrogram of a batch by random amounts.

    Args:
        log_mel: float [B, 64, 188] in [-1, 1].
        changes: Limits of the changes.

    Returns:
        The same shape, filled with silence (-1).
    """
    count, device = len(log_mel), log_mel.device
    transform = torch.zeros(count, 2, 3, device=device)
    transform[:, 0, 0] = 1 + changes.stretch * _uniform(count, device)
    transform[:, 0, 2] = 2 * changes.shift / MEL_FRAMES * _uniform(count, device)
    transform[:, 1, 1] = 1
    transform[:, 1, 2] = 2 * changes.mel_shift / MEL_BINS * _uniform(count, device)
    grid = functional.affine_grid(transform, [count, 1, MEL_BINS, MEL_FRAMES], align_corners=False)
    # Samples outside count as 0, so that silence is shifted to 0 for the transform.
    moved = functional.grid_sample(log_mel[:, None] + 1, grid, align_corners=False)[:, 0] - 1
    masked = _mask(moved, changes.time_mask, axis=2)
    return _mask(masked, changes.mel_mask, axis=1)


def _mask(log_mel: Tensor, longest: int, axis: int) -> Tensor:
    """Mask a random stretch of each spectrogram with silence."""
    if not longest:
        return log_mel
    count, size, device = len(log_mel), log_mel.shape[axis], log_mel.device
    length = torch.randint(0, longest + 1, (count, 1), device=device)
    begin = (torch.rand(count, 1, device=device) * (size - length)).long()
    place = torch.arange(size, device=device)
    hidden = (place >= begin) & (place < begin + length)
    return log_mel.masked_fill(hidden.unsqueeze(3 - axis), -1.0)


@dataclass(frozen=True)
class SpeechChanges:
    """Limits of changes of a voice before the mel filters, where pitch and speed are exact.

    Attributes:
        pitch: Logarithm of the factor by which all frequencies are multiplied, fundamental and formants alike, as
            with a smaller or larger speaker; 0.1 is 1.7 semitones.
        tempo: Logarithm of the factor by which speech becomes slower or faster, at the same pitch.
        shift: Shift in time in either direction, in columns of the spectrogram.
    """

    pitch: float = 0.1
    tempo: float = 0.1
    shift: float = 10.0


def changed_log_mel(waveforms: Tensor, changes: SpeechChanges) -> Tensor:
    """Compute log-mel spectrograms of voices, each changed in pitch, tempo and time by random amounts.

    Args:
        waveforms: float32 [B, 48000], mono at 16 kHz.
        changes: Limits of the changes.

    Returns:
        float32 [B, 64, 188] in [-1, 1], filled with silence.
    """
    power = power_spectrogram(waveforms)
    count, device = len(power), power.device
    pitch = torch.exp(changes.pitch * _uniform(count, device))
    transform = torch.zeros(count, 2, 3, device=device)
    transform[:, 0, 0] = torch.exp(changes.tempo * _uniform(count, device))
    transform[:, 0, 2] = 2 * changes.shift / MEL_FRAMES * _uniform(count, device)
    # Frequency 0 is at -1 and must stay there.
    transform[:, 1, 1], transform[:, 1, 2] = pitch, pitch - 1
    grid = functional.affine_grid(transform, [count, 1, *power.shape[1:]], align_corners=True)
    return scaled_log_mel(functional.grid_sample(power[:, None], grid, align_corners=True)[:, 0])


def power_spectrogram(waveforms: Tensor) -> Tensor:
    """Power [B, 513, 188] of waveforms float32 [B, 48000], as `avemotion.preprocessing.log_mel` computes it."""
    window = torch.hann_window(FFT_SIZE, device=waveforms.device)
    spectrum = torch.stft(
        waveforms, FFT_SIZE, HOP_LENGTH, window=window, center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.real.square() + spectrum.imag.square()


def scaled_log_mel(power: Tensor) -> Tensor:
    """Log-mel float32 [B, 64, 188] in [-1, 1] of power [B, 513, 188], scaled as in preprocessing."""
    decibels = 10 * torch.log10((_filters(power.device) @ power).clamp(min=POWER_MINIMUM))
    decibels = decibels - decibels.amax(dim=(1, 2), keepdim=True)
    return decibels.clamp(min=-DECIBEL_FLOOR) / (DECIBEL_FLOOR / 2) + 1


@cache
def _filters(device: torch.device) -> Tensor:
    return torch.from_numpy(mel_filters()).float().to(device)


def _uniform(count: int, device: torch.device) -> Tensor:
    return 2 * torch.rand(count, device=device) - 1
