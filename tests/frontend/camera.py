"""What Chromium's fake camera and microphone play: a real recording, or a face that is drawn."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from loadtest import drawn_face

CLIP = "clips/01-01-01-01-01-01-01.mp4"
"""A talking face below EMO_DATA."""

WIDTH, HEIGHT = 480, 270
"""Uncompressed video is large: no more pixels than the page needs to be looked at."""

_RATE = 48_000


@dataclass(frozen=True)
class FakeCamera:
    """Files that Chromium plays in a loop."""

    video: Path
    audio: Path

    @property
    def arguments(self) -> list[str]:
        """Arguments of Chromium."""
        return [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={self.video}",
            f"--use-file-for-fake-audio-capture={self.audio}",
        ]


def make_fake_camera(folder: Path, *, drawn: bool = False) -> FakeCamera:
    """Convert the recording into a folder; the drawn face where it is absent, or where that is asked for."""
    camera = FakeCamera(folder / "camera.y4m", folder / "microphone.wav")
    recording = Path(os.environ.get("EMO_DATA", "")) / CLIP
    if drawn or not recording.is_file():
        pictures = (av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in drawn_face.frames(WIDTH, HEIGHT))
        _write_video(pictures, Fraction(drawn_face.FRAME_RATE), camera.video)
        _write_audio([np.asarray(drawn_face.voice() * 2**15, np.int16)], camera.audio)
        return camera
    with av.open(recording) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        _write_video(container.decode(video=0), rate, camera.video)
    with av.open(recording) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        parts = (part for frame in container.decode(audio=0) for part in resampler.resample(frame))
        _write_audio((np.asarray(part.to_ndarray(), np.int16) for part in parts), camera.audio)
    return camera


def _write_video(frames: Iterable[av.VideoFrame], rate: Fraction, path: Path) -> None:
    """YUV4MPEG2, by hand: FFmpeg's muxer of it takes no frames from PyAV."""
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate.numerator}:{rate.denominator} Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n")
            file.write(frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray().tobytes())


def _write_audio(parts: Iterable[npt.NDArray[np.int16]], path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        for part in parts:
            file.writeframes(np.ascontiguousarray(part).tobytes())
