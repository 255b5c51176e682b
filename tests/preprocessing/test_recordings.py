"""Real recordings: from browsers and phones, and files with one peculiarity each."""

from __future__ import annotations

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from tests.support.data import data_path

UNSEEN = "No face was found."

CHROME = [
    f"clips/chrome_a01_{emotion}_{codec}"
    for emotion in ("disgust", "neutral")
    for codec in ("avc1.mp4", "vp8.webm", "vp9.webm")
]


@pytest.mark.parametrize("name", CHROME)
def test_browser_recordings_have_both_modalities_and_a_face(name: str) -> None:
    clip = read_clip(data_path(name))
    assert clip.present.tolist() == [True, True]
    assert clip.report.duration == pytest.approx(3.0, abs=0.1)
    assert clip.report.video is not None
    assert clip.report.video.frame_rate == pytest.approx(30, abs=0.5)
    face = clip.face
    assert face is not None
    assert 0.2 < face.left + face.width / 2 < 0.8
    assert 0.2 < face.width < 0.6


def test_rotation_of_a_phone_is_applied() -> None:
    upright = read_clip(data_path("clips/fire2.mp4"))
    assert upright.report.video is not None
    assert upright.report.video.rotation == 180


def test_a_recording_without_duration_and_with_silent_sound_says_so() -> None:
    clip = read_clip(data_path("clips/no_duration.webm"))
    assert clip.report.duration == pytest.approx(4.94, abs=0.01)
    assert clip.missing == {"video": UNSEEN, "audio": "The audio track is silent."}


@pytest.mark.parametrize("name", ["clips/var_fps_video.mp4", "clips/woman2.mp4"])
def test_video_without_sound_says_so(name: str) -> None:
    clip = read_clip(data_path(name), crop="none")
    assert clip.present.tolist() == [True, False]
    assert clip.missing == {"audio": "The file has no audio track."}


def test_a_window_in_which_no_face_is_seen_has_no_face() -> None:
    clip = read_clip(data_path("clips/face_noface.mov"))
    assert clip.report.video is not None
    assert clip.report.video.codec == "hevc"
    assert clip.face is None
    assert not clip.present[0]
    assert clip.missing["video"] == UNSEEN


def test_the_whole_frame_is_used_where_no_crop_is_wanted() -> None:
    path = data_path("clips/chrome_a01_neutral_vp8.webm")
    whole, cropped = read_clip(path, crop="none"), read_clip(path, crop="face")
    assert whole.face is None
    assert np.abs(whole.frames.astype(int) - cropped.frames).mean() > 10


def test_speech_is_read_with_its_level() -> None:
    clip = read_clip(data_path("ravdess_speech/Actor_01/03-01-05-01-01-01-01.flac"))
    assert clip.present.tolist() == [False, True]
    assert np.abs(clip.waveform).max() > 0.01
