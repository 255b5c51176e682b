"""Synthetic sounds without a voice: what microphones, rooms, machines and instruments record when nobody speaks.

They teach the voice detector what is not a voice. Every sound is drawn at random, so that the detector learns kinds of
sounds and not recordings; `training.evidence` adds real recordings without a voice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS

FloatArray = npt.NDArray[np.float64]

_TIMES: Final = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE
_FREQUENCIES: Final = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE)
_SIXTEEN_BITS: Final = 2.0**15

_DTMF: Final = ((697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0))
"""Low and high tones of telephone keys (ITU-T Q.23), in Hz."""


def draw_sound(random: np.random.Generator, kind: str | None = None) -> npt.NDArray[np.float32]:
    """One sound without a voice, as a recorder would store it.

    Args:
        random: Source of randomness.
        kind: One of `KINDS`; if None, one of them or a mixture of two, at random.

    Returns:
        float32 [48000] in [-1, 1], at -90 to -10 dBFS, some rounded to 16 bits, with noise, or with digital silence.
    """
    sound = KINDS[kind or random.choice(list(KINDS))](random)
    if kind is None and random.random() < 0.3:
        other = KINDS[random.choice(list(KINDS))](random)
        sound = at_level(sound, 0) + at_level(other, random.uniform(-30, 0))
    return _recorded(limit_band(sound, random), random)


def at_level(sound: npt.NDArray[np.floating], decibels: float) -> FloatArray:
    """A sound scaled to a root mean square, in dB relative to full scale."""
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
    return np.asarray(sound * (10 ** (decibels / 20) / (level + 1e-12)))


def limit_band(sound: npt.NDArray[np.floating], random: np.random.Generator) -> FloatArray:
    """A sound [48000] without the highest or lowest frequencies, as codecs and telephones leave it; sometimes whole."""
    spectrum = np.fft.rfft(sound)
    if random.random() < 0.3:
        spectrum[random.uniform(2500, 7900) < _FREQUENCIES] = 0
    if random.random() < 0.2:
        spectrum[random.uniform(40, 400) > _FREQUENCIES] = 0
    return np.fft.irfft(spectrum, WINDOW_SAMPLES)


def coloured(random: np.random.Generator) -> FloatArray:
    """Noise whose power falls by the frequency to a power of -2 (violet) to 3."""
    spectrum = np.fft.rfft(random.standard_normal(WINDOW_SAMPLES))
    spectrum[0] = 0
    spectrum[1:] *= _FREQUENCIES[1:] ** (-random.uniform(-2, 3) / 2)
    return at_level(np.fft.irfft(spectrum, WINDOW_SAMPLES), 0)


def _recorded(sound: FloatArray, random: np.random.Generator) -> npt.NDArray[np.float32]:
    sound = at_level(sound, random.uniform(-90, -10))
    if random.random() < 0.6:
        dither = random.uniform(-0.5, 0.5, WINDOW_SAMPLES) if random.random() < 0.5 else 0
        sound = np.round(sound * _SIXTEEN_BITS + dither) / _SIXTEEN_BITS
    if random.random() < 0.4:
        sound = sound + at_level(random.standard_normal(WINDOW_SAMPLES), random.uniform(-95, -50))
    if random.random() < 0.15:
        begin, end = sorted(random.integers(0, WINDOW_SAMPLES, 2))
        sound[slice(0, begin) if random.random() < 0.5 else slice(end, None)] = 0
    return np.asarray(np.clip(sound, -1, 1), np.float32)


def _pitch(random: np.random.Generator, low: float, high: float) -> float:
    """A frequency between two, in Hz, uniform in octaves."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _envelope(random: np.random.Generator) -> FloatArray:
    """Loudness over the window, 0 to 1, with 2 to 30 turning points."""
    count = int(random.integers(2, 30))
    points = np.exp(random.normal(0, random.uniform(0.2, 2), count))
    return np.asarray(np.interp(_TIMES, np.linspace(0, WINDOW_SECONDS, count), points / points.max()))


def _gliding_phase(random: np.random.Generator, low: float, high: float) -> FloatArray:
    """Phase of an oscillator whose frequency wanders between two, in radians."""
    count = int(random.integers(2, 20))
    path = np.interp(_TIMES, np.linspace(0, WINDOW_SECONDS, count), [_pitch(random, low, high) for _ in range(count)])
    return np.asarray(2 * np.pi * np.cumsum(path) / SAMPLE_RATE)


def _harmonics(random: np.random.Generator, phase: FloatArray, count: int, slope: float) -> FloatArray:
    sounds = (
        random.exponential() / number**slope * np.sin(number * phase + random.uniform(0, 2 * np.pi))
        for number in range(1, count + 1)
    )
    return np.asarray(sum(sounds))


def _band(random: np.random.Generator) -> FloatArray:
    """Noise around one frequency: wind, hiss, whistling."""
    centre = _pitch(random, 80, 7000)
    spectrum = np.fft.rfft(random.standard_normal(WINDOW_SAMPLES))
    spectrum *= np.exp(-0.5 * ((_FREQUENCIES - centre) / (centre * random.uniform(0.02, 1))) ** 2)
    return at_level(np.fft.irfft(spectrum, WINDOW_SAMPLES), 0)


def _noise(random: np.random.Generator) -> FloatArray:
    return coloured(random) if random.random() < 0.6 else _band(random)


def _swelling_noise(random: np.random.Generator) -> FloatArray:
    return _noise(random) * _envelope(random)


def _bursts(random: np.random.Generator) -> FloatArray:
    """Regular bursts of noise: steps, typing, machines."""
    rate, share, phase = random.uniform(0.3, 20), random.uniform(0.05, 0.8), random.random()
    gate = ((_TIMES * rate + phase) % 1 < share).astype(float)
    edge = int(random.integers(1, 800))
    floor = random.choice([0.0, 1e-4, 1e-3, 1e-2]) * random.standard_normal(WINDOW_SAMPLES)
    return np.asarray(_noise(random) * np.convolve(gate, np.full(edge, 1 / edge), "same") + floor)


def _hum(random: np.random.Generator) -> FloatArray:
    """Mains hum and its harmonics."""
    base = random.choice([50.0, 60.0, 100.0, 120.0]) * random.uniform(0.99, 1.01)
    return _harmonics(random, 2 * np.pi * base * _TIMES, int(random.integers(1, 40)), random.uniform(0, 2))


def _tones(random: np.random.Generator) -> FloatArray:
    """One to five steady tones."""
    sounds = (
        random.uniform(0.1, 1) * np.sin(2 * np.pi * _pitch(random, 60, 7500) * _TIMES + random.uniform(0, 2 * np.pi))
        for _ in range(random.integers(1, 6))
    )
    return np.asarray(sum(sounds))


def _notes(random: np.random.Generator) -> FloatArray:
    """Notes of an instrument in equal temperament."""
    sound = np.zeros(WINDOW_SAMPLES)
    buzz = random.random() < 0.25
    for _ in range(random.integers(2, 25)):
        begin = int(random.integers(0, WINDOW_SAMPLES - 2000))
        times = _TIMES[: min(int(random.integers(1500, 30_000)), WINDOW_SAMPLES - begin)]
        phase = 2 * np.pi * 110 * 2 ** (random.integers(0, 48) / 12) * times
        loudness = np.minimum(1, times / 0.01) * np.exp(-times * random.uniform(0.3, 15)) * random.uniform(0.2, 1)
        count, slope = int(random.integers(1, 12)), random.uniform(0.5, 2.5)
        timbre = np.sign(np.sin(phase)) if buzz else _harmonics(random, phase, count, slope)
        sound[begin : begin + len(times)] += loudness * timbre
    return sound


def _clicks(random: np.random.Generator) -> FloatArray:
    """Impulses, most of them with a resonance: clicks, knocks, dripping, crackling."""
    count = int(random.integers(1, 200))
    sound = np.zeros(WINDOW_SAMPLES)
    sound[random.integers(0, WINDOW_SAMPLES, count)] = random.normal(0, 1, count)
    if random.random() < 0.7:
        times = np.arange(random.integers(10, 3000))
        ringing = np.sin(2 * np.pi * _pitch(random, 100, 6000) * times / SAMPLE_RATE)
        body = random.standard_normal(len(times)) if random.random() < 0.5 else ringing
        sound = np.convolve(sound, np.exp(-times / max(2, len(times) / 6)) * body)[:WINDOW_SAMPLES]
    return sound


def _glides(random: np.random.Generator) -> FloatArray:
    """Tones that glide: birds, sirens, electronic sounds."""
    sounds = (np.sin(_gliding_phase(random, 100, 7000)) * _envelope(random) for _ in range(random.integers(1, 4)))
    return np.asarray(sum(sounds))


def _engine(random: np.random.Generator) -> FloatArray:
    """Harmonics of a wandering low pitch, with noise."""
    base = random.uniform(20, 160)
    phase = _gliding_phase(random, 0.8 * base, 1.25 * base)
    sound = _harmonics(random, phase, int(random.integers(5, 40)), random.uniform(0.3, 1.5))
    return at_level(sound, 0) + random.uniform(0, 1.5) * coloured(random)


def _telephone(random: np.random.Generator) -> FloatArray:
    """Keys of a telephone, or its signals."""
    if random.random() < 0.3:
        signal = [(350.0, 440.0), (440.0, 480.0), (480.0, 620.0)][random.integers(3)]
        gate = _TIMES % random.uniform(0.3, 3) < random.uniform(0.2, 1.5)
        return np.asarray(sum(np.sin(2 * np.pi * pitch * _TIMES) for pitch in signal) * gate)
    sound = np.zeros(WINDOW_SAMPLES)
    begin = 0
    while begin < WINDOW_SAMPLES - 3000:
        times = _TIMES[: min(int(random.integers(800, 5000)), WINDOW_SAMPLES - begin)]
        sound[begin : begin + len(times)] = sum(np.sin(2 * np.pi * random.choice(row) * times) for row in _DTMF)
        begin += len(times) + int(random.integers(400, 8000))
    return sound


KINDS: Final[dict[str, Callable[[np.random.Generator], FloatArray]]] = {
    "coloured noise": coloured,
    "band of noise": _band,
    "swelling noise": _swelling_noise,
    "bursts": _bursts,
    "hum": _hum,
    "tones": _tones,
    "notes": _notes,
    "clicks": _clicks,
    "glides": _glides,
    "engine": _engine,
    "telephone": _telephone,
}
"""Kinds of sounds, by name."""
