"""Frames and sound sampled by a client become the same tensors as the whole clip."""

from __future__ import annotations

import io
import struct
import wave

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE
from avemotion.preprocessing.errors import SampledAudioError, SampledFramesError, TooManyPixelsError
from avemotion.preprocessing.limits import MediaLimits
from avemotion.preprocessing.sampled import FRAME_BYTES, read_sampled
from avemotion.preprocessing.video import sample_times
from tests.support.clips import drawing, noise, shown_index, synthetic_clip
from tests.support.data import data_path

JPEG_TOLERANCE = 2.0
"""Mean difference of pixel values that JPEG at quality 95 may make."""


def jpeg(picture: npt.NDArray[np.uint8], quality: int = 95) -> bytes:
    encoded, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def wav(samples: npt.NDArray[np.float32], *, rate: int = SAMPLE_RATE, channels: int = 1, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def photographs(height: int = 120, width: int = 160) -> list[bytes]:
    random = np.random.default_rng(1)
    return [jpeg(random.integers(0, 256, (height, width, 3), np.uint8)) for _ in range(FRAME_COUNT)]


def test_sampled_frames_and_sound_give_the_tensors_of_the_clip() -> None:
    sound = noise(3.0, SAMPLE_RATE)
    clip = read_clip(synthetic_clip(waveform=sound, sample_rate=SAMPLE_RATE), crop="none")
    shown = [int(1000 * time // 40) for time in sample_times(0, 3)]
    sampled = read_sampled([jpeg(drawing(index, 160, 120)) for index in shown], wav(sound), crop="none")
    assert [shown_index(frame) for frame in sampled.frames] == shown
    assert np.abs(sampled.frames.astype(int) - clip.frames).mean() < JPEG_TOLERANCE
    np.testing.assert_allclose(sampled.log_mel, clip.log_mel, atol=0.02)
    np.testing.assert_array_equal(sampled.present, clip.present)


@pytest.mark.parametrize("crop", ["face", "none"])
def test_frames_of_a_recording_give_its_face_and_its_tensors(crop: str) -> None:
    data = data_path("clips/chrome_a01_neutral_vp8.webm").read_bytes()
    clip = read_clip(data, crop=crop)  # type: ignore[arg-type]
    with av.open(io.BytesIO(data)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    moments = sample_times(clip.start, clip.length)
    chosen = [[picture for time, picture in frames if time <= moment][-1] for moment in moments]
    sampled = read_sampled([jpeg(picture) for picture in chosen], wav(clip.waveform), crop=crop)  # type: ignore[arg-type]
    assert (sampled.face is None) == (crop == "none")
    if sampled.face is not None and clip.face is not None:
        assert list(vars(sampled.face).values()) == pytest.approx(list(vars(clip.face).values()), abs=0.005)
    # JPEG moves a box by a fraction of a pixel, which may move the crop by one.
    tolerance = JPEG_TOLERANCE * (2 if crop == "face" else 1)
    assert np.abs(sampled.frames.astype(int) - clip.frames).mean() < tolerance
    assert np.abs(sampled.log_mel - clip.log_mel).mean() < 0.02


def test_sound_alone_is_read_and_padded_and_the_report_says_that_there_are_no_frames() -> None:
    sound = noise(1.0, SAMPLE_RATE)
    clip = read_sampled([], wav(sound))
    assert clip.present.tolist() == [False, True]
    assert clip.missing == {"video": "No frames were sent."}
    np.testing.assert_allclose(clip.waveform[:SAMPLE_RATE], sound, atol=1e-4)
    assert not clip.waveform[SAMPLE_RATE:].any()
    assert clip.quality.padding == pytest.approx(2 / 3, abs=0.001)


def test_frames_alone_are_read_and_the_report_says_that_there_is_no_sound() -> None:
    clip = read_sampled(photographs(), None, crop="none")
    assert clip.present.tolist() == [True, False]
    assert clip.missing == {"audio": "No sound was sent."}


def test_silent_sound_counts_as_missing() -> None:
    clip = read_sampled(photographs(), wav(np.zeros(48_000, np.float32)), crop="none")
    assert clip.missing == {"audio": "The audio track is silent."}


def test_a_recorder_that_stops_a_little_late_is_cut_off() -> None:
    sound = noise(3.05, SAMPLE_RATE)
    np.testing.assert_allclose(read_sampled([], wav(sound)).waveform, sound[:48_000], atol=1e-4)


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_middle(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[-2:]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "neither frames nor audio; send 8 JPEG frames"),
        (photographs()[:7], "There are 7 frames; expected 8"),
        (photographs() * 2, "There are 16 frames; expected 8"),
        ([*photographs()[:7], b""], "Frame 8 is not a JPEG file; expected JPEG"),
        ([b"\x89PNG\r\n\x1a\n" + bytes(99), *photographs()[1:]], "Frame 1 is not a JPEG file"),
        ([*photographs()[:7], cut_in_half(photographs()[7])], "Frame 8 is a JPEG file that is damaged or cut off"),
        ([*photographs()[:7], without_middle(photographs()[7])], "Frame 8 is a JPEG file that is damaged or cut off"),
        ([*photographs()[:7], photographs(96, 128)[7]], "Frame 8 is 128 × 96 pixels and the first one 160 × 120"),
        ([photographs()[0] + bytes(FRAME_BYTES), *photographs()[1:]], r"Frame 1 has [\d,]+ bytes; the limit is 2,097"),
    ],
    ids=["nothing", "too few", "too many", "no bytes", "png", "cut off", "a hole", "another size", "too many bytes"],
)
def test_frames_that_are_not_eight_whole_jpegs_are_refused_saying_why(frames: list[bytes], message: str) -> None:
    with pytest.raises(SampledFramesError, match=message):
        read_sampled(frames, None)


def test_a_jpeg_that_claims_billions_of_pixels_is_refused_before_it_is_decoded() -> None:
    data = bytearray(photographs()[0])
    header = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, header + 5, 65_500, 65_500)
    with pytest.raises(TooManyPixelsError, match=r"65500 × 65500 = 4,290,250,000 pixels; the limit is 9,437,184"):
        read_sampled([bytes(data)] * FRAME_COUNT, None)


def test_a_second_frame_header_cannot_smuggle_a_larger_picture_past_the_limit() -> None:
    small, large = photographs(16, 16)[0], photographs(400, 400)[0]
    with pytest.raises((SampledFramesError, TooManyPixelsError)):
        read_sampled([small[:-2] + large[2:]] * FRAME_COUNT, None, limits=MediaLimits(pixels=300 * 300))


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (b"", "cannot be read; expected a WAV file of 16000 Hz, mono, 16 bits"),
        (b"OggS" + bytes(1000), "cannot be read"),
        (wav(noise(0.1, SAMPLE_RATE)).replace(b"data", b"junk\xff\xff\xff\x7fdata"), "cannot be read"),
        (wav(noise(1.0, 48_000), rate=48_000), "48000 Hz, 1 channels and 16 bits"),
        (wav(np.repeat(noise(1.0, SAMPLE_RATE), 2), channels=2), "16000 Hz, 2 channels"),
        (wav(noise(1.0, SAMPLE_RATE), width=1), "1 channels and 8 bits"),
        (wav(noise(3.3, SAMPLE_RATE)), r"3\.30 s long; .*at most 3 s"),
        (wav(np.zeros(0, np.float32)), r"0\.00 s long"),
        (wav(noise(6.0, SAMPLE_RATE)), r"has 192,044 bytes; .*at most 3 s"),
    ],
    ids=[
        "no bytes",
        "ogg",
        "a chunk beyond the end",
        "48 kHz",
        "stereo",
        "8 bits",
        "too long",
        "no samples",
        "too many bytes",
    ],
)
def test_sound_that_is_no_such_wav_is_refused_saying_why(audio: bytes, message: str) -> None:
    with pytest.raises(SampledAudioError, match=message):
        read_sampled(photographs(), audio)


def test_mutated_frames_and_sound_never_raise_anything_but_media_errors() -> None:
    random = np.random.default_rng(5)
    frames, sound = photographs(), wav(noise(1.0, SAMPLE_RATE))
    for _ in range(150):
        damaged, heard = bytearray(frames[0]), bytearray(sound)
        for data in (damaged, heard):
            for position in random.integers(0, min(700, len(data)), random.integers(1, 6)):
                data[position] = random.integers(256)
        try:
            clip = read_sampled([bytes(damaged), *frames[1:]], bytes(heard), crop="none")
        except (SampledFramesError, SampledAudioError, TooManyPixelsError) as error:
            assert error.message.endswith(".")  # noqa: PT017 - some mutants are still readable
        else:
            assert clip.present[0]
