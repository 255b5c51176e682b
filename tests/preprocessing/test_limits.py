"""Decoding is limited, and each limit has its own error, which names the limit and the value."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import av
import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.errors import (
    ClipTooLongError,
    TooManyFramesError,
    TooManyPixelsError,
    TooManySamplesError,
    TooManyTracksError,
)
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.timeline import read_timeline
from tests.support.clips import synthetic_clip


def test_duration_counts_timestamps() -> None:
    data = synthetic_clip(frame_times=range(0, 5000, 1000), audio_codec=None)
    with pytest.raises(ClipTooLongError, match=r"4\.04 s long; the limit is 4 s"):
        read_clip(data, limits=MediaLimits(duration=4))
    assert read_clip(data, limits=MediaLimits(duration=4.1)).present[0]


def test_pixels_count_those_of_a_frame_also_where_it_grows_in_the_middle() -> None:
    with pytest.raises(TooManyPixelsError, match=r"160 × 120 = 19,200 pixels; the limit is 19,199"):
        read_clip(synthetic_clip(), limits=MediaLimits(pixels=19_199))
    drawn = {"container": "avi", "video_codec": "mjpeg", "audio_codec": None, "pixel_format": "yuvj420p"}
    small, large = (synthetic_clip(**drawn, width=size) for size in (160, 320))
    with av.open(io.BytesIO(small)) as one, av.open(io.BytesIO(large)) as other:
        packets = [list(container.demux(video=0)) for container in (one, other)]
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="avi") as out:
            stream = out.add_stream_from_template(one.streams.video[0])
            for index in range(75):
                packet = packets[index >= 40][index]
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(TooManyPixelsError, match=r"320 × 120 = 38,400 pixels; the limit is 20,000"):
        read_clip(buffer.getvalue(), limits=MediaLimits(pixels=20_000))


def test_frames_count_those_that_only_others_need() -> None:
    options = {"g": "1000", "bf": "0", "sc_threshold": "0"}
    times = range(0, 8000, 40)
    data = synthetic_clip(container="mp4", video_codec="libx264", audio_codec=None, frame_times=times, options=options)
    with pytest.raises(TooManyFramesError, match=r"101 video frames; the limit is 100\."):
        read_clip(data, limits=MediaLimits(frames=100))
    assert read_clip(data, limits=MediaLimits(frames=150)).present[0]


def test_audio_samples_count_all_channels() -> None:
    data = synthetic_clip(container="wav", video_codec=None, audio_layout="5.1", sample_rate=48_000)
    with pytest.raises(TooManySamplesError, match=r"over all channels; the limit is 860,000"):
        read_clip(data, limits=MediaLimits(audio_samples=860_000))
    assert read_clip(data, limits=MediaLimits(audio_samples=6 * 3 * 48_000)).present[1]


def test_tracks_of_any_kind_count() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(20)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 160), np.int16), format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
    with pytest.raises(TooManyTracksError, match="20 tracks; the limit is 16"):
        read_clip(buffer.getvalue())


@pytest.mark.parametrize("tracks", [{}, {"audio_codec": None}, {"video_codec": None}], ids=str)
@pytest.mark.parametrize("read", [read_clip, read_timeline])
def test_what_is_of_no_more_use_is_given_up(read: Callable[..., object], tracks: dict[str, None]) -> None:
    data, now = synthetic_clip(**tracks), time.monotonic()
    with pytest.raises(TimeoutError):
        read(data, limits=MediaLimits(expires=now))
    read(data, limits=MediaLimits(expires=now + 3600))


def test_a_timeline_has_the_same_limits() -> None:
    data = synthetic_clip(frame_times=range(0, 6000, 40), audio_seconds=6.0)
    with pytest.raises(TooManyFramesError):
        read_timeline(data, limits=MediaLimits(frames=100))
    with pytest.raises(TooManySamplesError):
        read_timeline(data, limits=MediaLimits(audio_samples=200_000))
    with pytest.raises(ClipTooLongError):
        read_timeline(data, limits=MediaLimits(duration=5))
