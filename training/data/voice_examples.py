"""Voices, clean and beside other sounds, against sounds without a voice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from avemotion.preprocessing.audio import read_sound
from avemotion.preprocessing.contract import WINDOW_SAMPLES
from avemotion.preprocessing.errors import MediaError
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.media import open_media
from training.data.cache import Cache
from training.data.examples import Examples, is_unseen
from training.data.recordings import RecordingChanges, change_recordings
from training.data.splits import split_clips
from training.data.voiceless import KINDS, at_level, coloured, draw_sound, limit_band

FloatArray = npt.NDArray[np.float32]

_SYNTHETIC: Final = 5000
"""Synthetic sounds to train on."""

_SYNTHETIC_UNSEEN: Final = 150
"""Synthetic sounds of each kind to measure on."""

_WINDOWS: Final = 12
"""Most windows of one recording."""

_NOISE_RATIOS: Final = (-5.0, 30.0)
"""Range of the ratio of a voice to the sound beside it, in dB."""

_MEASURED_RATIOS: Final = (30, 20, 10, 0)


def voice_examples(cache: Cache, voices: Sequence[Path], sounds: Sequence[Path], *, seed: int = 0) -> Examples:
    """Voices, clean and beside other sounds, against recordings and synthetic sounds without a voice.

    Args:
        cache: Voices of actors; the validation and test actors are measured on.
        voices: Folders of recordings of further voices.
        sounds: Folders of recordings without a voice.
        seed: Seed of all random draws.

    Raises:
        FileNotFoundError: A folder holds no recording.
    """
    random = np.random.default_rng(seed)
    examples = Examples()
    backgrounds: dict[bool, list[FloatArray]] = {True: [], False: []}
    for name, recording in _recordings(sounds):
        training = not is_unseen(name)
        for _ in range(min(_WINDOWS, max(1, len(recording) // WINDOW_SAMPLES))):
            window = _window(recording, random)
            if window.any():
                backgrounds[training].append(window)
                examples.add(window, "recorded sounds", positive=False, training=training)
    for window in list(backgrounds[True]):
        other = backgrounds[True][random.integers(len(backgrounds[True]))] if random.random() < 0.5 else None
        beside = coloured(random) if other is None else other
        mixture = at_level(window, random.uniform(-60, -10)) + at_level(beside, random.uniform(-80, -10))
        examples.add(_limited(mixture), "mixtures", positive=False, training=True)
    for _ in range(_SYNTHETIC):
        examples.add(draw_sound(random), "synthetic", positive=False, training=True)
    for kind in KINDS:
        for _ in range(_SYNTHETIC_UNSEEN):
            examples.add(draw_sound(random, kind), f"synthetic: {kind}", positive=False, training=False)
    trained = set(split_clips(cache, "subject").training.tolist())
    for clip in range(len(cache.records)):
        if cache.records[clip].audio:
            _add_voice(examples, cache.waveform(clip), backgrounds, random, kind="voices", training=clip in trained)
    for name, recording in _recordings(voices):
        window = _window(recording, random)
        _add_voice(examples, window, backgrounds, random, kind="further voices", training=not is_unseen(name))
    return examples


def _add_voice(
    examples: Examples,
    voice: FloatArray,
    backgrounds: dict[bool, list[FloatArray]],
    random: np.random.Generator,
    *,
    kind: str,
    training: bool,
) -> None:
    """Add a voice as it is, changed, and beside other sounds."""

    def background() -> npt.NDArray[np.floating]:
        if backgrounds[training] and random.random() < 0.6:
            return backgrounds[training][random.integers(len(backgrounds[training]))]
        return draw_sound(random)

    examples.add(voice, kind, positive=True, training=training)
    if training:
        for _ in range(2):
            generator = torch.Generator().manual_seed(int(random.integers(2**32)))
            changed = change_recordings(torch.from_numpy(voice[None]), RecordingChanges(), generator)[0].numpy()
            examples.add(changed, "changed voices", positive=True, training=True)
            mixture = _beside(voice, background(), random.uniform(*_NOISE_RATIOS))
            examples.add(_limited(limit_band(mixture, random)), "voices beside sounds", positive=True, training=True)
        return
    for decibels in _MEASURED_RATIOS:
        for name, other in (("noise", coloured(random)), ("sounds", background())):
            mixture = _limited(_beside(voice, other, decibels))
            examples.add(mixture, f"{kind} beside {name} at {decibels} dB", positive=True, training=False)


def _beside(voice: FloatArray, sound: npt.NDArray[np.floating], decibels: float) -> npt.NDArray[np.floating]:
    """A voice with a sound so many dB below the level of its audible part."""
    audible = voice[np.abs(voice) > 0.01 * np.abs(voice).max()]
    level = 10 * np.log10(np.mean(np.square(audible, dtype=np.float64)) + 1e-12)
    return voice + at_level(sound, level - decibels) if sound.any() else voice


def _limited(sound: npt.NDArray[np.floating]) -> FloatArray:
    return np.asarray(np.clip(sound, -1, 1), np.float32)


def _window(recording: FloatArray, random: np.random.Generator) -> FloatArray:
    """Three seconds of a recording; a shorter one stands at its beginning or anywhere between silence."""
    missing = WINDOW_SAMPLES - len(recording)
    if missing > 0:
        before = int(random.integers(missing + 1)) if random.random() < 0.7 else 0
        return np.pad(recording, (before, missing - before))
    begin = int(random.integers(-missing + 1))
    return recording[begin : begin + WINDOW_SAMPLES]


def _recordings(folders: Iterable[Path]) -> Iterator[tuple[str, FloatArray]]:
    """Names and waveforms at 16 kHz of all recordings below some folders; other files are left out."""
    for folder in folders:
        count = 0
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            budget = DecodeBudget(MediaLimits(duration=3600, audio_samples=10**9))
            try:
                with open_media(path, budget.limits) as media:
                    sound = None if media.audio is None else read_sound(media.audio, media.start, media.end, budget)
            except MediaError:
                continue
            if sound is not None and len(sound.waveform):
                count += 1
                yield path.name, sound.waveform
        if not count:
            raise FileNotFoundError(f"{folder} holds no recording.")
