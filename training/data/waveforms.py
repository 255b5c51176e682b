"""Changed copies of every voice, made once by librosa because they are too expensive to compute in every epoch.

Pitch, speed and noise are changed in the waveform, where these changes are exact. Shifts and masks of the spectrogram
are cheap and computed during training.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from training.data.cache import Cache, open_cache, write_copies

FloatArray = npt.NDArray[np.float32]

_CHUNK: Final = 8


@dataclass(frozen=True)
class WaveformChanges:
    """Limits of the changes.

    Attributes:
        semitones: Semitones by which the pitch rises or falls.
        stretch: Share by which speech becomes slower or faster, at the same pitch.
        noise: Range of the signal-to-noise ratio of added white noise, in dB.
    """

    semitones: float = 2.0
    stretch: float = 0.1
    noise: tuple[float, float] = (15.0, 40.0)


def change_waveform(waveform: FloatArray, random: np.random.Generator, changes: WaveformChanges) -> FloatArray:
    """Change pitch, speed and noise by random amounts.

    Args:
        waveform: float32 [48000], mono at 16 kHz.
        random: Source of the amounts.
        changes: Limits of the changes.

    Returns:
        The same shape, in [-1, 1]: slower speech is cut at both ends, faster speech is padded with silence.
    """
    from librosa.effects import pitch_shift, time_stretch  # noqa: PLC0415 (it imports numba, which only this needs)

    if not waveform.any():
        return waveform.copy()
    pitch = random.uniform(-changes.semitones, changes.semitones)
    rate = 1 + random.uniform(-changes.stretch, changes.stretch)
    changed = pitch_shift(waveform, sr=SAMPLE_RATE, n_steps=pitch)
    changed = _central(time_stretch(changed, rate=rate))
    decibels = random.uniform(*changes.noise)
    level = float(np.sqrt(np.mean(np.square(changed)))) * 10 ** (-decibels / 20)
    changed = changed + random.normal(0, level, WINDOW_SAMPLES)
    return np.asarray(changed / max(1.0, float(np.abs(changed).max())), np.float32)


def write_changed_copies(
    cache: Cache, count: int, *, changes: WaveformChanges | None = None, seed: int = 0, workers: int | None = None
) -> None:
    """Write changed copies of every voice into the cache, replacing existing ones.

    Args:
        cache: The cache.
        count: Number of copies of each voice.
        changes: Limits of the changes.
        seed: Seed of the amounts; the same seed gives the same copies.
        workers: Number of processes; one per core by default, and 1 uses this process.
    """
    jobs = [(int(row), copy) for copy in range(count) for row in cache.rows]
    change = partial(_changed, cache.folder, changes or WaveformChanges(), seed)
    with ExitStack() as stack:
        copies = stack.enter_context(write_copies(cache, count))
        results: Iterable[FloatArray] = map(change, jobs)
        if workers != 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            results = pool.map(change, jobs, chunksize=_CHUNK)
        for (row, copy), changed in tqdm(zip(jobs, results, strict=True), total=len(jobs), unit="copy", disable=None):
            copies[copy, row] = np.round(changed * 32767).astype(np.int16)


def _changed(folder: Path, changes: WaveformChanges, seed: int, job: tuple[int, int]) -> FloatArray:
    return change_waveform(np.array(_waveforms(folder)[job[0]]), np.random.default_rng((seed, *job)), changes)


@lru_cache(maxsize=1)
def _waveforms(folder: Path) -> FloatArray:
    """Waveforms of a cache, opened once per process: sending them would take longer than reading them."""
    return open_cache(folder).waveforms


def _central(waveform: FloatArray) -> FloatArray:
    """The central window of a waveform, padded with silence."""
    missing = WINDOW_SAMPLES - len(waveform)
    if missing > 0:
        return np.pad(waveform, (missing // 2, missing - missing // 2))
    begin = -missing // 2
    return waveform[begin : begin + WINDOW_SAMPLES]
