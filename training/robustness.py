"""How recall holds when the same voices are recorded otherwise: later, with silence around them, in a noisy room.

Each condition changes every clip in the same way, so that its recall stands beside that of the clips as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from preprocessing.contract import SAMPLE_RATE
from preprocessing.log_mel import log_mel
from training.data.cache import Cache
from training.data.recordings import noise_beside, shifted, speech_of
from training.metrics import unweighted_recall
from training.network import EmotionNetwork

FloatArray = npt.NDArray[np.float32]

_BATCH: Final = 64


def _later(waveform: FloatArray, seconds: float) -> FloatArray:
    return shifted(waveform, round(seconds * SAMPLE_RATE))


def _first_of_all(waveform: FloatArray) -> FloatArray:
    begin, end = speech_of(waveform)
    changed = shifted(waveform, -begin)
    changed[end - begin :] = 0
    return changed


def _noisy(waveform: FloatArray, decibels: float, slope: float) -> FloatArray:
    return waveform + noise_beside(waveform, decibels, slope, np.random.default_rng(0))


CONDITIONS: Final[dict[str, Callable[[FloatArray], FloatArray]]] = {
    "as it is": lambda waveform: waveform,
    "20 ms earlier": partial(_later, seconds=-0.02),
    "20 ms later": partial(_later, seconds=0.02),
    "0.25 s earlier": partial(_later, seconds=-0.25),
    "0.25 s later": partial(_later, seconds=0.25),
    "speech at once, then digital silence": _first_of_all,
    "white noise at 30 dB": partial(_noisy, decibels=30, slope=0),
    "white noise at 20 dB": partial(_noisy, decibels=20, slope=0),
    "pink noise at 20 dB": partial(_noisy, decibels=20, slope=1),
    "pink noise at 10 dB": partial(_noisy, decibels=10, slope=1),
}
"""What is done to a waveform float32 [48000]. Noise is measured against the window's mean power."""


@torch.inference_mode()
def recall_when_recorded_otherwise(
    network: EmotionNetwork, cache: Cache, index: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Unweighted recall of the voice alone, by condition; empty where no clip has sound.

    Args:
        network: Set to evaluation mode.
        cache: Prepared data.
        index: Which of its clips, of people who were not trained on.
    """
    network.eval()
    device = next(network.parameters()).device
    heard = [int(clip) for clip in index if cache.records[clip].audio]
    if not heard:
        return {}
    waveforms = [cache.waveform(clip) for clip in heard]
    found = {}
    for name, change in CONDITIONS.items():
        spectrograms = torch.from_numpy(np.stack([log_mel(change(waveform)) for waveform in waveforms]))
        logits = [
            network.audio_classifier(network.encode_audio(part.to(device))).cpu()
            for part in torch.split(spectrograms, _BATCH)
        ]
        found[name] = unweighted_recall(torch.cat(logits).numpy(), cache.labels[heard])
    return found
