"""A talking face that nobody has, drawn: what clips and cameras show where no person can or may be shown."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np
import numpy.typing as npt

FRAME_RATE = 25
SECONDS = 4.0
SAMPLE_RATE = 48_000

_SKIN, _SHADE, _HAIR, _DARK, _LIPS = (206, 164, 138), (176, 130, 106), (58, 42, 36), (38, 30, 30), (158, 74, 78)
_WALL, _SHIRT, _WHITE = (214, 220, 232), (64, 78, 140), (246, 244, 240)
_SCALE_BITS = 4
_OPUS_SAMPLES = 960
_SYLLABLES_PER_SECOND = 3.0


def frames(width: int, height: int, seconds: float = SECONDS) -> list[npt.NDArray[np.uint8]]:
    """All frames of the drawing, uint8 [height, width, 3] RGB each."""
    return [_draw(index / FRAME_RATE, width, height) for index in range(round(seconds * FRAME_RATE))]


def still(width: int, height: int) -> npt.NDArray[np.uint8]:
    """One frame of the drawing, uint8 [height, width, 3] RGB."""
    return _draw(0.2, width, height)


def voice(seconds: float = SECONDS) -> npt.NDArray[np.float32]:
    """Something like a voice, in time with the mouth: mono samples in [-1, 1]."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 150 + 25 * np.sin(2 * np.pi * 0.6 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    harmonics = sum(np.sin(number * phase) / number**1.3 for number in range(1, 24))
    return np.asarray(0.15 * _openness(time) * harmonics, np.float32)


def clip(seconds: float, width: int = 320, height: int = 180) -> bytes:
    """Face and voice as a webm file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as container:
        video = container.add_stream("libvpx", rate=FRAME_RATE, options={"deadline": "realtime", "b": "1M"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        for picture in frames(width, height, seconds):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sound = av.AudioFrame.from_ndarray(voice(seconds)[None], format="flt", layout="mono")
        sound.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=_OPUS_SAMPLES)
        for frame in [*resampler.resample(sound), *resampler.resample(None)]:
            container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return buffer.getvalue()


def _openness(time: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """How far the mouth is open, 0 to 1, at times in seconds."""
    return np.square(np.sin(np.pi * _SYLLABLES_PER_SECOND * np.asarray(time)))


def _draw(time: float, width: int, height: int) -> npt.NDArray[np.uint8]:
    picture = np.full((height, width, 3), _WALL, np.uint8)
    unit = height / 270
    middle = (width / 2 + 4 * unit * np.sin(time), 128 * unit + 2 * unit * np.sin(2 * time))

    def oval(x: float, y: float, a: float, b: float, colour: tuple[int, int, int], *arc: float) -> None:
        points = [(middle[0] + x * unit, middle[1] + y * unit), (a * unit, b * unit)]
        centre, axes = (tuple(round(2**_SCALE_BITS * value) for value in point) for point in points)
        start, end = arc or (0, 360)
        cv2.ellipse(picture, centre, axes, 0, start, end, colour, cv2.FILLED, cv2.LINE_AA, _SCALE_BITS)

    oval(0, 150, 118, 76, _SHIRT)
    oval(0, 82, 27, 36, _SHADE)
    oval(0, -22, 70, 82, _HAIR)
    for side in (-1, 1):
        oval(side * 62, 4, 9, 17, _SHADE)
    oval(0, 4, 61, 78, _SKIN)
    oval(0, -66, 58, 26, _HAIR, 180, 360)
    for side in (-1, 1):
        oval(side * 25, -12, 17, 10, _SHADE)
        oval(side * 25, -10, 12, 7, _WHITE)
        oval(side * 25, -10, 6, 6.5, _DARK)
        oval(side * 26, -27, 18, 4.5, _HAIR, 180, 360)
    oval(0, 12, 6, 18, _SHADE)
    oval(0, 22, 11, 7, _SHADE)
    oval(0, 46, 23, 4 + 9 * float(_openness(time)), _LIPS)
    oval(0, 46, 17, 1 + 6 * float(_openness(time)), _DARK)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8 * unit), np.uint8)
