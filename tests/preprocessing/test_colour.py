"""Colours are those that the file declares: HDR, gamut, matrix and range.

The formulas are the standards' own, in the direction opposite to that of the code.
"""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from avemotion.preprocessing.clip import Clip, decode_window, read_clip
from avemotion.preprocessing.face import crop_square
from avemotion.preprocessing.face_detector import FaceBox
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.timeline import KEPT_PIXELS, read_timeline

pytestmark = pytest.mark.usefixtures("face_everywhere")

FloatArray = npt.NDArray[np.float64]

BT709, BT601, BT2020 = 1, 6, 9
"""Matrices, as FFmpeg and ITU-T H.273 number them."""

WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}
"""Shares of red and blue in luma."""

CHROMATICITIES = {
    ColorPrimaries.BT709: [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)],
    ColorPrimaries.BT2020: [(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)],
    ColorPrimaries.SMPTE432: [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)],
}


def to_xyz(primaries: int) -> FloatArray:
    """The matrix from linear RGB to XYZ, by chromaticities and the white D65 (SMPTE RP 177)."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in CHROMATICITIES[ColorPrimaries(primaries)]]).T
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    return np.asarray(columns * np.linalg.solve(columns, white))


def scene(width: int = 160, height: int = 120) -> FloatArray:
    """Ordinary video, [height, width, 3] in 0 to 1: slopes of moderately saturated colours, up to nearly white."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    grey = 0.1 + 0.75 * columns
    return np.stack([grey + 0.1 * rows, grey, grey - 0.1 * rows], axis=2).clip(0, 1)


def pq(nits: FloatArray) -> FloatArray:
    """SMPTE ST 2084, equation 5.2."""
    power = (nits / 10_000) ** 0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def hlg(nits: FloatArray) -> FloatArray:
    """ITU-R BT.2100: the inverse OOTF of a display of 1000 cd/m², and the OETF."""
    display = nits / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    light = display * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    logarithmic = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(light <= 1 / 12, np.sqrt(3 * light), logarithmic))


def graded(picture: FloatArray, transfer: int, primaries: int) -> FloatArray:
    """The picture of ordinary video in another transfer and gamut, with its white at 203 cd/m² (ITU-R BT.2408)."""
    light = picture**2.4
    if primaries != ColorPrimaries.UNSPECIFIED:
        light = light @ (np.linalg.inv(to_xyz(primaries)) @ to_xyz(ColorPrimaries.BT709)).T
    light = light.clip(0, None)
    if transfer == ColorTrc.SMPTE2084:
        return pq(203 * light)
    return hlg(203 * light) if transfer == ColorTrc.ARIB_STD_B67 else np.asarray(light ** (1 / 2.4))


def film(
    picture: FloatArray,
    *,
    transfer: int = ColorTrc.BT709,
    primaries: int = ColorPrimaries.BT709,
    matrix: int = BT709,
    full: bool = False,
    bits: int = 8,
    codec: str = "libx264",
) -> bytes:
    """A second of a still, converted to YCbCr 4:2:0 by ITU-T H.273, section 8.3, and declared as such."""
    red, blue = WEIGHTS[matrix]
    luma = picture @ np.array([red, 1 - red - blue, blue])
    cb, cr = ((picture[..., index] - luma) / (2 * (1 - share)) for index, share in ((2, blue), (0, red)))
    cb, cr = (plane.reshape(len(plane) // 2, 2, -1, 2).mean(axis=(1, 3)) for plane in (cb, cr))
    top, unit = 2**bits - 1, 2 ** (bits - 8)
    y = luma * top if full else unit * (219 * luma + 16)
    chroma = [plane * (top if full else 224 * unit) + 128 * unit for plane in (cb, cr)]
    height, width = luma.shape
    packed = np.concatenate([y.ravel(), *(plane.ravel() for plane in chroma)]).round().reshape(height * 3 // 2, width)
    name = "yuv420p" if bits == 8 else "yuv420p10le"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as target:
        stream: Any = target.add_stream(
            codec, rate=25, options={"crf": "4", "preset": "ultrafast"} if codec == "libx264" else {}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, name
        context = stream.codec_context
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        context.colorspace, context.color_trc, context.color_primaries = matrix, transfer, primaries
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(packed.astype(np.uint8 if bits == 8 else np.uint16), format=name)
            frame.colorspace, frame.color_range = matrix, context.color_range
            frame.pts, frame.time_base = index, Fraction(1, 25)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return buffer.getvalue()


def difference(first: Clip, second: Clip) -> float:
    return float(np.abs(first.frames.astype(int) - second.frames).mean())


HDR = [
    (ColorTrc.SMPTE2084, ColorPrimaries.BT2020, BT2020),
    (ColorTrc.ARIB_STD_B67, ColorPrimaries.BT2020, BT2020),
    (ColorTrc.BT2020_10, ColorPrimaries.BT2020, BT2020),
    (ColorTrc.BT709, ColorPrimaries.SMPTE432, BT709),
]


@pytest.mark.parametrize(("transfer", "primaries", "matrix"), HDR, ids=["PQ", "HLG", "BT.2020", "Display P3"])
def test_hdr_and_wide_gamuts_agree_with_ordinary_video(transfer: int, primaries: int, matrix: int) -> None:
    picture = scene()
    declared: dict[str, Any] = {"transfer": transfer, "primaries": primaries, "matrix": matrix}
    data = film(graded(picture, transfer, primaries), **declared, bits=10)
    ordinary, clip = read_clip(film(picture)), read_clip(data)
    assert difference(clip, ordinary) < 2
    undeclared = read_clip(film(graded(picture, transfer, primaries), matrix=matrix, bits=10))
    assert difference(undeclared, ordinary) > 1.5 * difference(clip, ordinary)
    [window] = read_timeline(data).windows
    np.testing.assert_array_equal(window.frames, clip.frames)
    decoded, _ = decode_window(data)
    twin, _ = decode_window(film(picture))
    assert np.abs(decoded.frames[0].rgb().astype(int) - twin.frames[0].rgb()).mean() < 2
    assert np.abs(decoded.frames[0].grey(160).astype(int) - twin.frames[0].grey(160)).mean() < 6


@pytest.mark.parametrize("transfer", [ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67], ids=["PQ", "HLG"])
def test_light_brighter_than_white_is_compressed_and_keeps_its_order(transfer: int) -> None:
    encode = {ColorTrc.SMPTE2084: pq, ColorTrc.ARIB_STD_B67: hlg}[ColorTrc(transfer)]
    ramp = np.repeat(np.geomspace(50, 900, 160)[None, :, None], 120, axis=0).repeat(3, axis=2)
    data = film(encode(ramp), transfer=transfer, primaries=ColorPrimaries.BT2020, matrix=BT2020, bits=10)
    levels = read_clip(data, crop="none").frames[0].mean(axis=(0, 2))
    assert (np.diff(levels) > -0.6).all()
    assert levels[-1] > 250
    assert levels[0] == pytest.approx(255 * (50 / 203) ** (1 / 2.4), abs=4)


@pytest.mark.parametrize("codec", ["libx264", "ffv1"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT709, BT601], ids=["BT.709", "BT.601"])
def test_the_declared_matrix_and_range_are_used(matrix: int, full: bool, bits: int, codec: str) -> None:
    picture = scene()
    picture[:60, :80] = (0.8, 0.2, 0.2)
    clip = read_clip(film(picture, matrix=matrix, full=full, bits=bits, codec=codec), crop="none")
    expected = 255 * picture[4:56, 4:76].mean(axis=(0, 1))
    np.testing.assert_allclose(clip.frames[:, 4:52, 4:52].mean(axis=(0, 1, 2)), expected, atol=3)
    cropped = read_clip(film(picture, matrix=matrix, full=full, bits=bits, codec=codec))
    np.testing.assert_allclose(cropped.frames[0, 5:50, 5:50].mean(axis=(0, 1)), expected, atol=3)


@pytest.mark.parametrize("number", range(24))
def test_no_declaration_of_colours_makes_a_clip_unreadable(number: int) -> None:
    stored = av.VideoFrame(64, 48, "yuv420p")
    for plane in stored.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    stored.colorspace = stored.color_primaries = number
    for transfer in (number, ColorTrc.SMPTE2084):
        stored.color_trc = transfer
        frame = Frame.of(stored)
        assert frame.resized(None).shape == (112, 112, 3)
        assert frame.resized(crop_square(FaceBox(0, 0, 1, 1), 64, 48)).shape == (112, 112, 3)
        assert frame.grey(32).shape == (24, 32)


def test_hdr_of_an_odd_size_is_converted_alike() -> None:
    transfer, primaries, matrix = HDR[0]
    declared: dict[str, Any] = {"transfer": transfer, "primaries": primaries, "matrix": matrix, "bits": 10}
    whole = read_clip(film(graded(scene(), transfer, primaries), **declared))
    decoded, _ = decode_window(film(graded(scene(), transfer, primaries), **declared))
    odd = replace(decoded.frames[0], stored=decoded.frames[0].stored.reformat(width=159, height=119))
    assert (
        np.abs(
            odd.resized(crop_square(FaceBox(0, 0, 1, 1), odd.width, odd.height)).astype(int) - whole.frames[0]
        ).mean()
        < 1
    )


def test_hdr_beyond_1080p_is_reduced_and_converted_alike() -> None:
    picture = scene(2048, 1152)
    assert picture[..., 0].size > KEPT_PIXELS
    transfer, primaries, matrix = HDR[0]
    data = film(graded(picture, transfer, primaries), transfer=transfer, primaries=primaries, matrix=matrix, bits=10)
    [window] = read_timeline(data).windows
    assert np.abs(window.frames.astype(int) - read_clip(data).frames).mean() < 1
