"""A real recording as what Chromium's fake camera and microphone play."""

from __future__ import annotations

import io
import os
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tests.support.clips import draw

CLIP = "clips/01-01-01-01-01-01-01.mp4"
"""A talking face; where EMO_DATA does not have it, a drawn clip plays."""

WIDTH, HEIGHT = 480, 270
"""Uncompressed video is large: no more pixels than the page needs to be looked at."""


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


def make_fake_camera(folder: Path) -> FakeCamera:
    """Convert the clip into a folder."""
    path = Path(os.environ.get("EMO_DATA", "")) / CLIP
    clip = path.read_bytes() if path.is_file() else draw()
    camera = FakeCamera(folder / "camera.y4m", folder / "microphone.wav")
    _write_video(clip, camera.video)
    _write_audio(clip, camera.audio)
    return camera


def _write_video(clip: bytes, path: Path) -> None:
    """YUV4MPEG2, by hand: FFmpeg's muxer of it takes no frames from PyAV."""
    with av.open(io.BytesIO(clip)) as container, path.open("wb") as file:
        rate = container.streams.video[0].average_rate
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate.numerator}:{rate.denominator} Ip A1:1 C420jpeg\n".encode())
        for frame in container.decode(video=0):
            file.write(b"FRAME\n")
            file.write(frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray().tobytes())


def _write_audio(clip: bytes, path: Path) -> None:
    with av.open(io.BytesIO(clip)) as container, wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                file.writeframes(np.ascontiguousarray(part.to_ndarray()).tobytes())
