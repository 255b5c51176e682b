"""Robustness of the audio branch: recall of the same voices under other recording conditions.

Each condition changes every clip in the same way (onset, silence, noise), so that its recall can be compared with that
of the unchanged clips.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avemotion.preprocessing.contract import SAMPLE_RATE
from avemotion.preprocessing.log_mel import log_mel
from training.data.cache import Cache
from training.data.recordings import noise_beside, shifted, speech_of
from training.metrics import unweighted_recall
from training.network import EmotionNetwork

_BATCH: Final = 64


def _later(waveforms: Tensor, seconds: float) -> Tensor:
    return shifted(waveforms, torch.full((len(waveforms),), round(seconds * SAMPLE_RATE)))


def _first_of_all(waveforms: Tensor) -> Tensor:
    begin, end = speech_of(waveforms)
    place = torch.arange(waveforms.shape[1])
    return shifted(waveforms, -begin).masked_fill(place >= (end - begin)[:, None], 0)


def _noisy(waveforms: Tensor, decibels: float, slope: float) -> Tensor:
    count = len(waveforms)
    generator = torch.Generator().manual_seed(0)
    return waveforms + noise_beside(waveforms, torch.full((count,), decibels), torch.full((count,), slope), generator)


CONDITIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "unchanged": lambda waveforms: waveforms,
    "20 ms earlier": partial(_later, seconds=-0.02),
    "20 ms later": partial(_later, seconds=0.02),
    "0.25 s earlier": partial(_later, seconds=-0.25),
    "0.25 s later": partial(_later, seconds=0.25),
    "speech at once, then digital silence": _first_of_all,
    "white noise at 30 dB": partial(_noisy, decibels=30.0, slope=0.0),
    "white noise at 20 dB": partial(_noisy, decibels=20.0, slope=0.0),
    "pink noise at 20 dB": partial(_noisy, decibels=20.0, slope=1.0),
    "pink noise at 10 dB": partial(_noisy, decibels=10.0, slope=1.0),
}
"""Changes of waveforms float32 [B, 48000] by name. Noise is relative to the window's mean power."""


@torch.inference_mode()
def recall_when_recorded_otherwise(
    network: EmotionNetwork, cache: Cache, index: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Unweighted recall of the voice alone, by condition; empty if no clip has sound.

    Args:
        network: Set to evaluation mode.
        cache: Cache of decoded clips.
        index: Indices of its clips, of actors that were not trained on.
    """
    network.eval()
    device = next(network.parameters()).device
    heard = [int(clip) for clip in index if cache.records[clip].audio]
    if not heard:
        return {}
    waveforms = torch.from_numpy(np.stack([cache.waveform(clip) for clip in heard]))
    found = {}
    for name, change in CONDITIONS.items():
        logits = []
        for part in torch.split(waveforms, _BATCH):
            spectrograms = np.stack([log_mel(waveform) for waveform in change(part).numpy()])
            features, _ = network.encode_audio(torch.from_numpy(spectrograms).to(device))
            logits.append(network.audio_classifier(features).cpu())
        found[name] = unweighted_recall(torch.cat(logits).numpy(), cache.labels[heard])
    return found
