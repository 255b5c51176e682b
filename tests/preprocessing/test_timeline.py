"""One pass over a clip gives the same windows as cutting it up."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE
from avemotion.preprocessing.errors import ClipTooLongError, NoTracksError
from avemotion.preprocessing.timeline import read_timeline
from tests.support.clips import noise, shown_index, synthetic_clip
from tests.support.data import data_path

FRAME_TOLERANCE = 0.5
"""Mean difference of pixel values between a window and the clip cut out: the same code, on the same frames."""

REDUCED_TOLERANCE = 2.0
"""The same for frames beyond 1080p, which are resized twice."""

LOG_MEL_TOLERANCE = 0.01
"""Mean difference of a log-mel: resampling the whole differs at the edges from resampling a part."""


def cut(data: bytes, start: float, length: float) -> bytes:
    """A part of a clip, coded without loss, the slow way: decode everything, keep what is shown and heard then.

    The frame on display at `start` begins the part.
    """
    with av.open(io.BytesIO(data)) as container:
        frames = [(frame.time, frame) for frame in container.decode(video=0)]
    shown = [item for item in frames if start <= item[0] < start + length - 1e-3]
    before = [(start, frame) for time, frame in frames if time < start][-1:]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = frames[0][1].width, frames[0][1].height, frames[0][1].format.name
        video.codec_context.time_base = Fraction(1, 1000)
        with av.open(io.BytesIO(data)) as container:
            sounds = list(container.decode(audio=0)) if container.streams.audio else []
        audio = None
        if sounds:
            rate = sounds[0].sample_rate
            samples = np.concatenate([sound.to_ndarray().mean(axis=0) for sound in sounds])
            first = round((start - sounds[0].time) * rate)
            samples = samples[first : first + round(length * rate)].astype(np.float32)
            audio = out.add_stream("pcm_f32le", rate=rate, layout="mono")
        for time, frame in before + shown:
            frame.pts, frame.time_base, frame.dts = round(1000 * (time - start)), Fraction(1, 1000), None
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            block = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
            out.mux(audio.encode(block))
            out.mux(audio.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("step", [0.5, 0.8, 1.0])
def test_every_window_shows_the_frames_and_the_sound_of_its_time(step: float) -> None:
    sound = noise(6.0, SAMPLE_RATE)
    timeline = read_timeline(
        synthetic_clip(frame_times=range(0, 6000, 80), waveform=sound, sample_rate=SAMPLE_RATE), step=step, crop="none"
    )
    assert [window.start for window in timeline.windows] == pytest.approx(np.arange(0, 3.01, step))
    for index, window in enumerate(timeline.windows):
        moments = [index * step + (part + 0.5) * 3 / FRAME_COUNT for part in range(FRAME_COUNT)]
        assert [shown_index(frame) for frame in window.frames] == [int(moment / 0.08) for moment in moments]
        first = round(index * step * SAMPLE_RATE)
        alone = read_clip(
            synthetic_clip(
                container="wav",
                video_codec=None,
                waveform=sound[first : first + 3 * SAMPLE_RATE],
                sample_rate=SAMPLE_RATE,
            )
        )
        np.testing.assert_allclose(window.log_mel, alone.log_mel, atol=1e-4)
        assert window.present.all()


def test_windows_of_a_recording_equal_the_clips_that_are_cut_out_of_it() -> None:
    data = data_path("clips/01-01-07-02-02-01-01.mp4").read_bytes()
    timeline = read_timeline(data, step=0.5)
    assert len(timeline.windows) == 3
    for window in timeline.windows:
        clip = read_clip(cut(data, window.start, 3.0))
        assert window.face == clip.face
        assert np.abs(window.frames.astype(int) - clip.frames).mean() < FRAME_TOLERANCE
        assert np.abs(window.log_mel - clip.log_mel).mean() < LOG_MEL_TOLERANCE
        assert window.quality.audio_level == pytest.approx(clip.quality.audio_level, abs=0.1)


def test_a_clip_shorter_than_the_window_gives_one_that_equals_the_clips() -> None:
    data = synthetic_clip(frame_times=range(0, 1000, 40), audio_seconds=1.0)
    timeline, clip = read_timeline(data), read_clip(data)
    [window] = timeline.windows
    np.testing.assert_array_equal(window.frames, clip.frames)
    np.testing.assert_array_equal(window.log_mel, clip.log_mel)
    assert (window.length, window.quality) == (clip.length, clip.quality)


def test_the_box_follows_a_face_that_moves() -> None:
    timeline = read_timeline(data_path("clips/woman2.mp4"), step=1.0)
    assert len(timeline.windows) == 13
    centres = [window.face.left + window.face.width / 2 for window in timeline.windows if window.face]
    assert len(centres) == 13
    assert np.abs(np.diff(centres)).max() < 0.1


def test_a_track_that_ends_early_is_missing_where_it_does_not_reach() -> None:
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 2000, 80), audio_seconds=8.0), step=1.0)
    assert [window.present.tolist() for window in timeline.windows] == [[True, True]] * 2 + [[False, True]] * 4
    assert timeline.windows[-1].missing == {"video": "The video track does not reach this window."}
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 6000, 80), audio_seconds=1.5), step=1.0)
    assert [window.present.tolist() for window in timeline.windows] == [[True, True]] * 2 + [[True, False]]
    assert timeline.windows[-1].missing == {"audio": "The audio track does not reach this window."}
    assert [round(window.quality.padding, 2) for window in timeline.windows] == [0.5, 0.83, 0.0]


def test_a_track_that_begins_seconds_late_costs_no_window_of_the_other() -> None:
    data = synthetic_clip(frame_times=range(0, 6000, 80), audio_start=2000, audio_seconds=4.0)
    timeline = read_timeline(data, step=1.0)
    assert timeline.windows[0].start == 0
    assert timeline.windows[0].quality.padding == pytest.approx(2 / 3, abs=0.01)


def test_sound_alone_and_video_alone_have_timelines() -> None:
    heard = read_timeline(synthetic_clip(container="wav", video_codec=None, audio_seconds=5.0), step=1.0)
    assert [window.present.tolist() for window in heard.windows] == [[False, True]] * 3
    seen = read_timeline(synthetic_clip(audio_codec=None, frame_times=range(0, 5000, 80)), step=1.0)
    assert [window.present.tolist() for window in seen.windows] == [[True, False]] * 3
    assert seen.windows[0].missing == {"audio": "The file has no audio track."}


def test_tensors_of_some_windows_are_one_batch() -> None:
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 6000, 80), audio_seconds=6.0), step=1.0)
    batch = timeline.tensors(1, 3)
    assert {name: array.shape[0] for name, array in batch.items()} == {"frames": 2, "log_mel": 2, "present": 2}
    np.testing.assert_array_equal(batch["frames"][1], timeline.windows[2].frames)


def test_a_clip_longer_than_a_minute_is_refused_naming_both() -> None:
    data = synthetic_clip(frame_times=range(0, 61_000, 500), audio_seconds=1.0)
    with pytest.raises(ClipTooLongError, match=r"60\.54 s long; the limit of a timeline is 60 s"):
        read_timeline(data)
    assert len(read_timeline(data, longest=70, step=1.0).windows) == 58


def test_a_minute_that_its_recorder_overshot_is_a_minute() -> None:
    timeline = read_timeline(synthetic_clip(frame_times=range(0, 60_200, 100), audio_seconds=1.0), step=1.0)
    assert 60 < timeline.duration < 60.25
    assert len(timeline.windows) == 58


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(NoTracksError):
        read_timeline(synthetic_clip(audio_codec=None).replace(b"V_FFV1", b"V_NONE"))
    with pytest.raises(ValueError, match="above 0"):
        read_timeline(synthetic_clip(), step=0)


def test_frames_larger_than_1080p_are_reduced_while_they_wait_and_still_show_the_same() -> None:
    size = {"width": 3840, "height": 2160, "frame_times": range(0, 3000, 375), "video_codec": "mpeg4"}
    data = synthetic_clip(**size)
    [window] = read_timeline(data, crop="none").windows
    clip = read_clip(data, crop="none")
    assert np.abs(window.frames.astype(int) - clip.frames).mean() < REDUCED_TOLERANCE


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        path = tmp_path / f"{seconds}.avi"
        picture = {"container": "avi", "video_codec": "mpeg4", "width": 640, "height": 480}
        path.write_bytes(
            synthetic_clip(**picture, frame_times=range(0, 1000 * seconds, 100), audio_seconds=float(seconds))
        )
        code = (
            "import resource, sys; from pathlib import Path;"
            "from avemotion.preprocessing.timeline import read_timeline;"
            "windows = read_timeline(Path(sys.argv[1]), crop='none').windows;"
            "print(len(windows), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        output = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
        windows, kibibytes = map(int, output.split())
        assert windows == 2 * (seconds - 3) + 1
        return kibibytes // 1024

    longer = 20
    tensors = 2 * longer * 8 * 112 * 112 * 3 // 2**20
    frames = 10 * longer * 640 * 480 * 3 // 2 // 2**20
    assert peak(5 + longer) - peak(5) < tensors + frames // 4
