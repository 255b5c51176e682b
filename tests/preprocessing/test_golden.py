"""Unusual clips give the tensors of a slow, independent reader."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from cv2.data import haarcascades

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.face import crop_square
from tests.preprocessing.comparison import FRAME_TOLERANCE, LOG_MEL_TOLERANCE, assert_close, melody, scene
from tests.preprocessing.reference import read_slowly
from tests.support.clips import synthetic_clip
from tests.support.data import data_path

SHORT: dict[str, Any] = {"width": 160, "height": 120, "picture": scene}
H264: dict[str, Any] = {"video_codec": "libx264", "container": "mp4", "audio_codec": "aac"}

CASES: dict[str, dict[str, Any]] = {
    "variable frame rate": {"frame_times": [0, 33, 66, 480, 500, 900, 910, 1300, 1700, 2090, 2500, 2533, 2960]},
    "reordered frames": {**H264, "frame_times": range(0, 6000, 40), "audio_seconds": 6.0, "options": {"bf": "3"}},
    "reordered frames, pyramid": {
        **H264,
        "frame_times": range(0, 4000, 33),
        "options": {"bf": "7", "x264-params": "b-pyramid=normal:b-adapt=0:scenecut=0"},
    },
    "open groups of pictures": {
        **H264,
        "frame_times": range(0, 5400, 40),
        "audio_seconds": 5.4,
        "options": {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"},
    },
    "vp9": {"container": "webm", "video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    "vp8": {"container": "webm", "video_codec": "libvpx", "audio_codec": "libopus"},
    "avi": {"container": "avi", "video_codec": "mpeg4", "frame_times": range(0, 3000, 40)},
    "audio later than video": {"frame_times": range(0, 4000, 40), "audio_start": 800},
    "stereo": {"audio_layout": "stereo"},
    "5.1": {"audio_layout": "5.1"},
    **{f"{rate} Hz": {"sample_rate": rate} for rate in (8_000, 16_000, 22_050, 44_100, 96_000)},
    "10 bits": {"pixel_format": "yuv420p10le"},
    "4:2:2": {"pixel_format": "yuv422p"},
    "alpha": {"pixel_format": "yuva420p"},
    "full range": {"container": "avi", "video_codec": "mjpeg", "pixel_format": "yuvj420p"},
    "odd size": {"width": 161, "height": 121},
    "odd crop": {"width": 202, "height": 133},
    "smaller than the tensors": {"width": 64, "height": 48},
    "one frame": {"frame_times": [0]},
    "0.3 s": {"frame_times": range(0, 300, 40), "audio_seconds": 0.3},
    "60 s": {"frame_times": range(0, 60_000, 250), "audio_seconds": 60.0},
    "4K": {"width": 3840, "height": 2160, "frame_times": range(0, 3000, 500), "video_codec": "mpeg4"},
    "portrait": {"width": 180, "height": 320},
}


@pytest.mark.usefixtures("face_everywhere")
@pytest.mark.parametrize("name", CASES)
def test_awkward_clip(name: str) -> None:
    changes = SHORT | CASES[name]
    seconds, rate = changes.get("audio_seconds", 3.0), changes.get("sample_rate", 48_000)
    data = synthetic_clip(**changes, waveform=melody(seconds, rate))
    assert_close(read_clip(data), read_slowly(data), rate)


@pytest.mark.parametrize(
    "name",
    [
        "01-01-01-01-01-01-01.mp4",
        "01-01-07-02-02-01-01.mp4",
        "chrome_a01_disgust_avc1.mp4",
        "chrome_a01_neutral_vp8.webm",
        "chrome_a01_neutral_vp9.webm",
        "face_noface.mov",
        "fire2.mp4",
        "no_duration.webm",
        "var_fps_video.mp4",
        "woman2.mp4",
    ],
)
def test_real_clip(name: str, request: pytest.FixtureRequest) -> None:
    data = data_path(f"clips/{name}").read_bytes()
    clip = read_clip(data)
    found = clip.face
    if found is None:
        request.getfixturevalue("face_everywhere")
        clip = read_clip(data)
    turns = 2 if name == "fire2.mp4" else 0  # a phone that was held upside down
    square = None
    if found is not None and clip.report.video is not None:
        region = crop_square(found, clip.report.video.width, clip.report.video.height)
        square = (region.left, region.top, region.size)
    reference = read_slowly(data, upright=lambda picture: np.rot90(picture, turns), square=square)
    np.testing.assert_allclose(clip.start, reference.start, atol=0.03)
    assert reference.frames is not None
    assert np.abs(clip.frames.astype(int) - reference.frames).mean() < FRAME_TOLERANCE
    if clip.present[1]:
        assert reference.log_mel is not None
        assert np.abs(clip.log_mel - reference.log_mel).mean() < LOG_MEL_TOLERANCE
    if found is not None:
        assert overlap(found, [slow_box(reference.pictures[index]) for index in (1, 4, 6)]) > 0.75


def slow_box(picture: npt.NDArray[np.uint8]) -> tuple[float, float, float, float] | None:
    """The largest face of a whole picture, looked for at every size, as fractions of width and height."""
    height, width = picture.shape[:2]
    scale = 320 / max(height, width)
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    cascade = cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_alt2.xml")
    found = cascade.detectMultiScale(grey, scaleFactor=1.2, minNeighbors=3, minSize=(20, 20))
    if len(found) == 0:
        return None
    left, top, side, _ = max(found, key=lambda box: int(box[2]))
    return left / grey.shape[1], top / grey.shape[0], side / grey.shape[1], side / grey.shape[0]


def overlap(face: Any, boxes: list[tuple[float, float, float, float] | None]) -> float:
    """Intersection over union of a face and the median of boxes."""
    left, top, width, height = np.median([box for box in boxes if box is not None], axis=0)
    across = min(face.left + face.width, left + width) - max(face.left, left)
    down = min(face.top + face.height, top + height) - max(face.top, top)
    shared = max(0.0, across) * max(0.0, down)
    return float(shared / (face.width * face.height + width * height - shared))
