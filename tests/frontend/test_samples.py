"""What the browser draws and hears, compared with what was played to it."""

from __future__ import annotations

import base64
import io
import wave

import av
import numpy as np
import pytest
from playwright.sync_api import Page

from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SECONDS
from avemotion.preprocessing.video import sample_times
from tests.support.clips import shown_index, synthetic_clip

FRAMES_PER_SECOND = 25
CONTRACT = {"window_seconds": WINDOW_SECONDS, "sample_times": sample_times(0, WINDOW_SECONDS)}
FORM = {"longestSide": 160, "quality": 0.9}

TO_BASE64 = """
    const toBase64 = async (blob) => new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(",")[1]);
      reader.readAsDataURL(blob);
    });
    const fromBase64 = (text, type) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      return new Blob([bytes], {type});
    };
"""


def webm(seconds: int) -> str:
    """A clip that Chromium plays, as base64; its frames are numbered."""
    clip = synthetic_clip(
        container="webm",
        video_codec="libvpx",
        audio_codec="libopus",
        frame_times=range(0, 1000 * seconds, 1000 // FRAMES_PER_SECOND),
        audio_seconds=float(seconds),
        options={"deadline": "realtime", "b": "2M"},
    )
    return base64.b64encode(clip).decode()


def number(jpeg: str) -> int:
    """Which frame a JPEG shows, by its bytes as base64."""
    with av.open(io.BytesIO(base64.b64decode(jpeg)), format="jpeg_pipe") as container:
        return shown_index(next(container.decode(video=0)).to_ndarray(format="rgb24"))


def test_pictures_of_a_clip_are_those_that_the_server_looks_at(page: Page) -> None:
    pictures = page.evaluate(
        f"""async ([clip, contract, form]) => {{
          {TO_BASE64}
          const {{picturesOf}} = await import("/assets/pictures.js");
          const pictures = await picturesOf(fromBase64(clip, "video/webm"), contract, form);
          return Promise.all(pictures.map(toBase64));
        }}""",
        [webm(4), CONTRACT, FORM],
    )
    # The window lies at the centre of the clip, half a second from its beginning.
    expected = [int(FRAMES_PER_SECOND * time) for time in sample_times(0.5, WINDOW_SECONDS)]
    assert [number(picture) for picture in pictures] == pytest.approx(expected, abs=1)


def test_frames_are_kept_as_they_were_shown_at_the_times_asked_for(page: Page) -> None:
    kept = page.evaluate(
        f"""async ([clip, contract, form]) => {{
          {TO_BASE64}
          const {{FrameKeeper}} = await import("/assets/pictures.js");
          const video = document.createElement("video");
          video.muted = true;
          video.src = URL.createObjectURL(fromBase64(clip, "video/webm"));
          document.body.append(video);
          await video.play();
          const keeper = new FrameKeeper(video, contract.sample_times, form);
          const begin = video.currentTime;
          keeper.begin(0, new AbortController().signal);
          await new Promise((resolve) => video.addEventListener("ended", resolve));
          const {{frames, times}} = await keeper.end();
          return {{begin, times, frames: await Promise.all(frames.map(toBase64))}};
        }}""",
        [webm(4), CONTRACT, FORM],
    )
    assert len(kept["frames"]) == FRAME_COUNT
    wanted = CONTRACT["sample_times"]
    assert all(time <= latest for time, latest in zip(kept["times"], wanted, strict=True))  # type: ignore[call-overload]
    assert kept["times"] == sorted(kept["times"])
    # A busy machine shows a frame late, never another one.
    shown = [FRAMES_PER_SECOND * (kept["begin"] + time) for time in kept["times"]]
    assert [number(frame) for frame in kept["frames"]] == pytest.approx(shown, abs=6)


def test_sound_is_resampled_without_folding_high_tones_into_low_ones(page: Page) -> None:
    file = page.evaluate(
        f"""async ([rate, seconds]) => {{
          {TO_BASE64}
          const {{soundFile}} = await import("/assets/sound.js");
          const tone = (frequency, index) => 0.4 * Math.sin((2 * Math.PI * frequency * index) / 48000);
          const both = (_, index) => tone(1000, index) + tone(11000, index);
          const samples = Float32Array.from({{length: 48000 * 3.1}}, both);
          return toBase64(await soundFile(samples, 48000, rate, seconds));
        }}""",
        [SAMPLE_RATE, WINDOW_SECONDS],
    )
    with wave.open(io.BytesIO(base64.b64decode(file))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 2**15
    assert len(samples) == WINDOW_SECONDS * SAMPLE_RATE
    middle = samples[SAMPLE_RATE : 2 * SAMPLE_RATE]
    strength = 2 * np.abs(np.fft.rfft(middle)) / len(middle)
    assert strength[1000] == pytest.approx(0.4, rel=0.02)
    # Players, which fold, would put the high tone at 16 - 11 kHz.
    assert strength[5000] < 0.004
