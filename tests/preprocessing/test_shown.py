"""Frames are read as players show them: cut, upright, whole, with square pixels, from the track that they choose."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from av.stream import Disposition

from avemotion.preprocessing.clip import Clip, read_clip
from avemotion.preprocessing.contract import FRAME_COUNT
from avemotion.preprocessing.execution import parallelism
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.timeline import read_timeline
from tests.preprocessing.comparison import assert_close, melody, scene
from tests.preprocessing.reference import read_slowly
from tests.support.clips import drawing, shown_index, synthetic_clip
from tests.support.mp4 import with_edits, with_matrix

pytestmark = pytest.mark.usefixtures("face_everywhere")

Picture = npt.NDArray[np.uint8]

EDITABLE: dict[str, Any] = {
    "video_codec": "libx264",
    "frame_times": range(0, 12_000, 40),
    "audio_seconds": 12.0,
    "options": {"x264-params": "keyint=100:min-keyint=100:scenecut=0:bframes=3:b-adapt=0:b-pyramid=none"},
}


@pytest.mark.parametrize("container", [{"container": "mp4", "audio_codec": "aac"}, {"container": "mov"}], ids=str)
def test_what_an_edit_list_hides_is_neither_shown_nor_counted(container: dict[str, str]) -> None:
    sound = melody(12.0, 48_000)
    data = with_edits(synthetic_clip(**EDITABLE, **container, waveform=sound), [(5.32, 9.52)])
    clip = read_clip(data)
    assert clip.report.duration == pytest.approx(4.2, abs=0.001)
    assert clip.report.video is not None
    assert clip.report.video.frame_rate == pytest.approx(25)
    assert clip.start == pytest.approx(0.6, abs=0.001)
    assert [shown_index(frame) for frame in clip.frames] == drawn_at(5.32 + moment for moment in moments(clip))
    assert_close(clip, read_slowly(data))
    twin = synthetic_clip(
        container="wav", video_codec=None, waveform=sound[round(5.32 * 48_000) : round(9.52 * 48_000)]
    )
    assert np.abs(clip.log_mel - read_clip(twin).log_mel).mean() < 0.03
    windows = read_timeline(data).windows
    assert [round(window.start, 3) for window in windows] == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(windows[1].present, [True, True])
    with parallelism(2):
        np.testing.assert_array_equal(read_clip(data).frames, clip.frames)


def test_an_edit_list_of_two_parts_shows_one_after_the_other() -> None:
    data = with_edits(synthetic_clip(**EDITABLE, container="mp4", audio_codec="aac"), [(8.0, 9.52), (2.0, 4.48)])
    clip = read_clip(data)
    assert clip.report.duration == pytest.approx(4.0, abs=0.05)
    expected = [8.0 + moment if moment < 1.52 else 0.48 + moment for moment in moments(clip)]
    shown = [shown_index(frame) for frame in clip.frames]
    assert shown[:3] == drawn_at(expected)[:3]
    # FFmpeg, as players that build on it, shows one frame more at the seam.
    assert np.abs(np.subtract(shown, drawn_at(expected))).max() <= 1
    assert clip.quality.padding == 0


def moments(clip: Clip) -> list[float]:
    return [clip.start + (part + 0.5) * clip.length / FRAME_COUNT for part in range(FRAME_COUNT)]


def drawn_at(times: Iterable[float]) -> list[int]:
    return [int(time / 0.04 + 1e-6) % 100 for time in times]


MATRICES = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORED = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


def placed(picture: Picture, matrix: tuple[int, int, int, int]) -> Picture:
    """A picture as its display matrix says: the pixel at (p, q) is shown at (a·p + c·q, b·p + d·q), moved into view."""
    a, b, c, d = matrix
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    x, y = a * columns + c * rows, b * columns + d * rows
    x, y = x - x.min(), y - y.min()
    shown = np.empty((y.max() + 1, x.max() + 1, 3), np.uint8)
    shown[y, x] = picture
    return shown


@pytest.mark.parametrize("matrix", MATRICES + MIRRORED, ids=str)
@pytest.mark.parametrize("size", [(202, 132)], ids=str)
def test_a_display_matrix_turns_and_mirrors(matrix: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    drawn = {"width": size[0], "height": size[1], "picture": scene, "frame_times": range(0, 1000, 40)}
    data = with_matrix(synthetic_clip(container="mp4", video_codec="libx264", audio_codec=None, **drawn), matrix)
    clip = read_clip(data)
    assert_close(clip, read_slowly(data, upright=lambda picture: placed(picture, matrix)))
    assert clip.report.video is not None
    assert (clip.report.video.width, clip.report.video.height) == (size if matrix[0] else size[::-1])


EXIF_MATRICES = dict(
    enumerate(
        [MATRICES[0], MIRRORED[0], MATRICES[2], MIRRORED[1], MIRRORED[2], MATRICES[1], MIRRORED[3], MATRICES[3]], 1
    )
)
"""Display matrices by EXIF's orientation: where the first row and the first column are shown (CIPA DC-008)."""


@pytest.mark.parametrize("orientation", EXIF_MATRICES)
@pytest.mark.parametrize("order", "<>")
def test_exif_turns_and_mirrors_sampled_frames(orientation: int, order: str) -> None:
    picture = scene(3, 160, 120)
    encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert decoded is not None
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    tiff += struct.pack(f"{order}HHHIIHHIHHI", 2, 0x0110, 2, 1, 0, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    data = encoded[:2] + struct.pack(">HH", 0xFFE1, len(segment) + 2) + segment + encoded[2:]
    clip = read_sampled([data] * FRAME_COUNT, None)
    upright = placed(np.asarray(decoded[:, :, ::-1], np.uint8), EXIF_MATRICES[orientation])
    square = upright[:, 20:-20] if upright.shape[1] == 160 else upright[20:-20]
    expected = cv2.resize(square, (112, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(clip.frames[0].astype(int) - expected).mean() < 2
    cut_off = encoded[:2] + struct.pack(">HH", 0xFFE1, 22) + segment[:20] + encoded[2:]
    assert read_sampled([cut_off] * FRAME_COUNT, None).present[0]


FAST = {
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libx264": {"preset": "veryfast", "bf": "0"},
    "libx264 with reordered frames": {"x264-params": "bframes=3:b-adapt=0"},
    "mpeg4": {},
}
"""Encoder options, without frames that are reordered: AVI has no presentation times."""


def coded_in_parts(codec: str, container: str, parts: Sequence[dict[str, Any]]) -> bytes:
    """A clip of 3 s in equal parts, each coded by an encoder of its own into the same track."""
    options, codec = FAST[codec], codec.split(maxsplit=1)[0]
    buffer = io.BytesIO()
    each = 72 // len(parts)
    with av.open(buffer, "w", format=container) as target:
        stream = target.add_stream(codec, rate=24)
        first = {"pix_fmt": "yuv420p"} | parts[0]
        for name, value in first.items():
            setattr(stream, name, value)
        for number, part in enumerate(parts):
            coder: Any = av.CodecContext.create(codec, "w")
            coder.time_base, coder.framerate, coder.bit_rate = Fraction(1, 24), Fraction(24), 4_000_000
            coder.options = options
            for name, value in ({"pix_fmt": "yuv420p"} | part).items():
                setattr(coder, name, value)
            frames: list[Any] = []
            for index in range(number * each, (number + 1) * each):
                frame = av.VideoFrame.from_ndarray(scene(index, coder.width, coder.height), format="rgb24")
                frame = frame.reformat(format=coder.pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, 24)
                frames.append(frame)
            for packet in (packet for frame in (*frames, None) for packet in coder.encode(frame)):
                packet.stream, packet.time_base = stream, Fraction(1, 24)
                target.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize(
    ("codec", "container", "parts"),
    [
        ("libvpx", "webm", [{"width": 160, "height": 120}, {"width": 120, "height": 160}]),
        ("libvpx-vp9", "webm", [{"width": 320, "height": 240}, {"width": 160, "height": 120}]),
        (
            "libx264",
            "avi",
            [{"width": 160, "height": 120}, {"width": 120, "height": 160}, {"width": 320, "height": 240}],
        ),
        (
            "libx264",
            "avi",
            [{"width": 160, "height": 120, "pix_fmt": name} for name in ("yuv420p", "yuv444p", "yuv420p10le")],
        ),
    ],
    ids=["phone turned", "bandwidth falls", "three sizes", "pixel formats"],
)
def test_frames_are_whole_although_their_size_or_format_changes(
    codec: str, container: str, parts: list[dict[str, Any]], cores: int
) -> None:
    data = coded_in_parts(codec, container, parts)
    with parallelism(cores):
        clip = read_clip(data)
        [window] = read_timeline(data).windows
    assert_close(clip, read_slowly(data))
    np.testing.assert_array_equal(window.frames, clip.frames)


RATIOS = [Fraction(2), Fraction(1, 2), Fraction(4, 3)]


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
@pytest.mark.parametrize("stated_by", ["codec", "mp4", "webm"])
def test_pixels_are_square_whoever_states_their_ratio(ratio: Fraction, stated_by: str) -> None:
    sizes = {"width": 160, "height": 120}
    if stated_by == "codec":
        data = coded_in_parts("mpeg4", "avi", [sizes | {"sample_aspect_ratio": ratio}])
    elif stated_by == "mp4":
        data = coded_in_parts("libx264", "mp4", [sizes | {"sample_aspect_ratio": Fraction(1)}])
        box = struct.pack(">4sII", b"pasp", 1, 1)
        assert data.count(box) == 1
        data = data.replace(box, struct.pack(">4sII", b"pasp", ratio.numerator, ratio.denominator))
    else:
        data = coded_in_parts("libvpx", "webm", [sizes])
        # The element DefaultDuration makes room for DisplayWidth and DisplayHeight in the element Video after it.
        display = bytes([0x54, 0xB0, 0x81, 40 * ratio.numerator, 0x54, 0xBA, 0x81, 30 * ratio.denominator])
        pattern = rb"\x23\xe3\x83\x84....\xe0\x86(\xb0\x81\xa0\xba\x81\x78)"
        data, count = re.subn(pattern, lambda found: b"\xe0\x8e" + found[1] + display, data, flags=re.DOTALL)
        assert count == 1
    clip = read_clip(data)
    assert_close(clip, read_slowly(data, upright=lambda picture: stretched(picture, float(ratio))))
    assert clip.report.video is not None
    width, height = 160 * max(Fraction(1), ratio), 120 * max(Fraction(1), 1 / ratio)
    assert (clip.report.video.width, clip.report.video.height) == (round(width), round(height))


@pytest.mark.parametrize("cores", [1, 2])
def test_pixels_are_square_although_their_ratio_changes(cores: int) -> None:
    sizes = {"width": 160, "height": 120}
    parts = [sizes | {"sample_aspect_ratio": Fraction(ratio)} for ratio in (1, 2, 1)]
    data = coded_in_parts("libx264 with reordered frames", "mp4", parts)
    with parallelism(cores):
        clip = read_clip(data)
    narrow = read_slowly(data).frames
    wide = read_slowly(data, upright=lambda picture: stretched(picture, 2.0)).frames
    assert narrow is not None
    assert wide is not None
    expected = [wide[index] if 1 <= moment < 2 else narrow[index] for index, moment in enumerate(moments(clip))]
    assert np.abs(clip.frames.astype(int) - np.stack(expected)).mean(axis=(1, 2, 3)).max() < 2


def stretched(picture: Picture, ratio: float) -> Picture:
    """A picture with pixels of that ratio, with square ones."""
    height, width = picture.shape[:2]
    size = (round(width * max(1, ratio)), round(height * max(1, 1 / ratio)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def two_tracks(container: str, *, default: int, codecs: Sequence[str] = ("mpeg4", "mpeg4")) -> bytes:
    """Two video tracks; all frames of the first one are drawing 11, those of the second one drawing 77."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        streams: list[Any] = [target.add_stream(codec, rate=25) for codec in codecs]
        for index, stream in enumerate(streams):
            stream.width, stream.height = 160, 120
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
        for index in range(50):
            for stream, number in zip(streams, (11, 77), strict=True):
                frame = av.VideoFrame.from_ndarray(drawing(number, 160, 120), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                target.mux(stream.encode(frame))
        for stream in streams:
            target.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_default_track_is_shown(container: str, default: int) -> None:
    assert shown_index(read_clip(two_tracks(container, default=default)).frames[0]) == (11, 77)[default]


def test_a_track_that_cannot_be_decoded_leaves_the_next_one() -> None:
    codecs = ("mpeg4", "mjpeg")
    unknown = two_tracks("matroska", default=0, codecs=codecs).replace(b"V_MPEG4/ISO/ASP", b"V_XXXXX/ISO/ASP")
    assert shown_index(read_clip(unknown).frames[0]) == 77
    damaged = two_tracks("matroska", default=1, codecs=codecs).replace(b"\xff\xc0\x00", b"\xff\xfe\x00")
    assert shown_index(read_clip(damaged).frames[0]) == 11


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_cover_image_is_not_a_video_track(container: str) -> None:
    cover = cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as target:
        sound: Any = target.add_stream("aac", rate=48_000, layout="mono")
        block = av.AudioFrame.from_ndarray(melody(1.0, 48_000)[None], format="fltp", layout="mono")
        block.sample_rate = 48_000
        packets = [*sound.encode(block), *sound.encode(None)]
        if container == "matroska":
            target.add_attachment("cover.jpg", "image/jpeg", cover)
        else:
            picture: Any = target.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            packets.insert(0, av.Packet(cover))
            packets[0].stream, packets[0].pts, packets[0].dts, packets[0].time_base = picture, 0, 0, Fraction(1)
            target.start_encoding()
        for packet in packets:
            target.mux(packet)
    clip = read_clip(buffer.getvalue())
    assert clip.present.tolist() == [False, True]
    assert clip.missing == {"video": "The file has no video track."}
