"""Sound is read as players play it: all of it, from the default track, in phase, and within its range."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.stream import Disposition

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import SAMPLE_RATE
from avemotion.preprocessing.timeline import read_timeline
from tests.preprocessing.comparison import LOG_MEL_TOLERANCE, assert_close, melody
from tests.preprocessing.reference import read_slowly
from tests.support.clips import noise

FloatArray = npt.NDArray[np.float32]


def sound_file(
    channels: FloatArray,
    *,
    codec: str = "pcm_s16le",
    container: str = "wav",
    layout: str = "stereo",
    rate: int = 16_000,
    bit_rate: int = 128_000,
) -> bytes:
    """Encode samples [channels, samples]."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = bit_rate
        for begin in range(0, channels.shape[1], 1024):
            part = np.ascontiguousarray(channels[:, begin : begin + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return buffer.getvalue()


def float_wav(samples: npt.NDArray[np.float32 | np.float64], rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file of floating-point numbers [channels, samples] of 32 or 64 bits, whatever their values."""
    data, count, size = samples.T.tobytes(), len(samples), samples.itemsize
    head = struct.pack("<HHIIHH", 3, count, rate, rate * count * size, count * size, 8 * size)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@pytest.mark.parametrize("other", [0.0, 0.1], ids=["no other sound", "another sound in both"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "pcm_u8"])
def test_channels_out_of_phase_do_not_cancel_a_voice(codec: str, other: float) -> None:
    voice = noise(3.0, SAMPLE_RATE)
    both = other * noise(3.0, SAMPLE_RATE, seed=5)
    clip = read_clip(sound_file(np.stack([voice + both, -voice + both]), codec=codec))
    assert abs(np.corrcoef(clip.waveform, voice)[0, 1]) > 0.95
    assert clip.waveform.std() == pytest.approx(voice.std(), rel=0.05)


@pytest.mark.parametrize("channel", range(6))
def test_a_voice_in_one_of_six_channels_is_heard_beside_faint_noise_in_the_others(channel: int) -> None:
    voice, hiss = noise(3.0, SAMPLE_RATE), [0.01 * noise(3.0, SAMPLE_RATE, seed=seed) for seed in range(6)]
    channels = np.stack(hiss)
    channels[channel] += voice
    clip = read_clip(sound_file(channels, layout="5.1"))
    np.testing.assert_allclose(clip.waveform, channels.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_channels_that_do_not_cancel_are_averaged(share: float) -> None:
    left, right = noise(3.0, SAMPLE_RATE), noise(3.0, SAMPLE_RATE, seed=1)
    right = share * left + (1 - share) * right
    clip = read_clip(sound_file(np.stack([left, right])))
    np.testing.assert_allclose(clip.waveform, (left + right) / 2, atol=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_samples_that_are_no_numbers_are_silent_and_those_beyond_one_are_clipped(
    kind: type[np.float32 | np.float64],
) -> None:
    samples: npt.NDArray[np.float32 | np.float64] = noise(3.0, SAMPLE_RATE).astype(kind)
    expected = samples.astype(np.float32)
    for begin, value, heard in ((5_000, np.nan, 0), (9_000, np.inf, 1), (12_000, -np.inf, -1), (20_000, 3.5, 1)):
        samples[begin : begin + 50], expected[begin : begin + 50] = value, heard
    samples[30_000], expected[30_000] = np.finfo(kind).max, 1
    clip = read_clip(float_wav(samples[None]))
    np.testing.assert_allclose(clip.waveform, expected, atol=1e-6)
    assert np.isfinite(clip.log_mel).all()
    stereo = read_clip(float_wav(np.stack([np.full_like(samples, np.nan), samples])))
    np.testing.assert_allclose(stereo.waveform, expected / 2, atol=1e-6)


def test_sound_of_no_numbers_at_all_is_silent() -> None:
    data = float_wav(np.full((1, 48_000), np.nan, np.float32))
    assert read_clip(data).missing["audio"] == "The audio track is silent."
    assert read_timeline(data).windows[0].missing["audio"] == "The audio track is silent."


@pytest.mark.parametrize("codec", ["pcm_f64le", "pcm_f32le", "pcm_s32le", "pcm_s64le", "pcm_alaw", "pcm_mulaw"])
def test_every_kind_of_pcm_is_read_at_its_level(codec: str) -> None:
    sound = noise(3.0, SAMPLE_RATE)
    clip = read_clip(sound_file(np.stack([sound, sound]), codec=codec))
    np.testing.assert_allclose(clip.waveform, sound, atol=0.01)


@pytest.mark.parametrize("start", [0.0, 6.0])
@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("adpcm_ms", "wav"),
        ("adpcm_ima_wav", "wav"),
        ("adpcm_ima_qt", "mov"),
        ("wmav2", "wav"),
        ("mp3", "avi"),
        ("ac3", "avi"),
    ],
)
def test_all_frames_of_a_packet_are_heard(codec: str, container: str, start: float) -> None:
    sound = melody(3.3 + 2 * start, 48_000)
    data = sound_file(sound[None], codec=codec, container=container, layout="mono", rate=48_000)
    clip = read_clip(data)
    assert clip.quality.padding < 0.03
    heard = clip.waveform.reshape(30, -1).std(axis=1)
    assert heard[1:-1].min() > 0.1
    assert_close(clip, read_slowly(data), 40_000)
    twin = read_clip(sound_file(sound[None], layout="mono", rate=48_000))
    assert np.abs(clip.log_mel - twin.log_mel).mean() < 0.15


def test_sound_that_an_encoder_adds_at_both_ends_is_not_counted() -> None:
    sound = melody(2.51, 48_000)
    data = sound_file(sound[None], codec="libopus", container="webm", layout="mono", rate=48_000)
    clip = read_clip(data)
    assert clip.report.duration == pytest.approx(2.51, abs=0.002)
    assert clip.start == pytest.approx(0, abs=0.001)
    plain = read_clip(sound_file(sound[None], layout="mono", rate=48_000))
    assert np.abs(clip.log_mel - plain.log_mel).mean() < 0.1
    data = sound_file(sound[None], codec="aac", container="mp4", layout="mono", rate=48_000)
    assert read_clip(data).report.duration == pytest.approx(2.51, abs=0.002)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_voice_notes_whose_codec_keeps_samples_back_until_the_end_are_read(rate: int) -> None:
    sound = melody(2.5, rate)
    data = sound_file(sound[None], codec="libopus", container="webm", layout="mono", rate=rate, bit_rate=8_000)
    clip = read_clip(data)
    assert clip.present.tolist() == [False, True]
    assert clip.quality.padding == pytest.approx(0.5 / 3, abs=0.03)
    plain = read_clip(sound_file(sound[None], layout="mono", rate=rate))
    heard = slice(0, 32)  # Opus at 8 kbit/s keeps the lower half of the mel bins.
    assert np.abs(clip.log_mel - plain.log_mel)[heard].mean() < 0.2


def laced(data: bytes) -> bytes:
    """A Matroska file of PCM whose blocks hold two frames each, as some muxers write, the second without a time."""
    position = data.index(b"\x1f\x43\xb6\x75")
    header, blocks, output = data[:position], list[bytes](), b""
    while (position := data.find(b"\xa3", position)) >= 0:
        length = 8 - data[position + 1].bit_length() + 1
        size = int.from_bytes(data[position + 1 : position + 1 + length], "big") & ((1 << 7 * length) - 1)
        blocks.append(data[position + 1 + length : position + 1 + length + size])
        position += 1 + length + size
    for first, second in zip(blocks[0:-1:2], blocks[1:-1:2], strict=False):
        assert len(first) == len(second)
        content = first[:3] + bytes([first[3] | 0x04, 1]) + first[4:] + second[4:]
        output += b"\xa3" + (len(content) | 1 << 28).to_bytes(4, "big") + content
    cluster = b"\xe7\x81\x00" + output
    return header + b"\x1f\x43\xb6\x75" + (len(cluster) | 1 << 56).to_bytes(8, "big") + cluster


def test_frames_of_a_lace_follow_each_other() -> None:
    sound = noise(2.0, SAMPLE_RATE)
    plain = sound_file(sound[None], container="matroska", layout="mono")
    clip, whole = read_clip(laced(plain)), read_clip(plain)
    heard = 1024 * (len(sound) // 2048) * 2
    np.testing.assert_allclose(clip.waveform[:heard], whole.waveform[:heard], atol=1e-6)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_default_track_is_heard(container: str, default: int) -> None:
    sounds = [melody(3.0, 48_000), noise(3.0, 48_000)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        streams: list[Any] = [target.add_stream("flac", rate=48_000, layout="mono") for _ in sounds]
        for index, stream in enumerate(streams):
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for stream, sound in zip(streams, sounds, strict=True):
            for begin in range(0, len(sound), 4608):
                frame = av.AudioFrame.from_ndarray(sound[None, begin : begin + 4608], format="flt", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, begin, Fraction(1, 48_000)
                target.mux(stream.encode(frame))
        for stream in streams:
            target.mux(stream.encode(None))
    expected = read_clip(sound_file(sounds[default][None], layout="mono", rate=48_000))
    clip = read_clip(buffer.getvalue())
    assert np.abs(clip.log_mel - expected.log_mel).mean() < LOG_MEL_TOLERANCE
