"""Frames and sound that a client has sampled itself become the same tensors as a whole clip.

A browser can draw eight frames and record three seconds of sound without a codec, in a tenth of the bytes of a
recording. Only the decoding differs from `read_clip`: frames are JPEG files, sound is a WAV file.
"""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from av.codec import CodecContext
from av.error import FFmpegError
from av.packet import Packet

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.clip import Clip, DecodedWindow, make_clip
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS, CropMode
from avemotion.preprocessing.errors import SampledAudioError, SampledFramesError
from avemotion.preprocessing.execution import for_each
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.report import AudioTrack, ClipReport, VideoTrack

FRAME_BYTES: Final = 2 * 2**20
"""Size limit of a JPEG file, in bytes."""

_LATE_SAMPLES: Final = SAMPLE_RATE // 10
"""Sound may exceed the window by a tenth of a second, which is cut off: recorders stop late."""

_LARGEST_WAV: Final = 2 * (WINDOW_SAMPLES + _LATE_SAMPLES) + 64 * 1024
"""Size limit of a WAV file, in bytes: the samples and 64 KiB for other chunks."""

_NO_SOUND: Final = "No sound was sent."
_NO_FRAMES: Final = "No frames were sent."

_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that start a frame header (ITU-T T.81, table B.1)."""
_SCAN: Final = 0xDA
"""Marker that starts the compressed data."""

_EXIF_MARKER: Final = 0xE1
_EXIF_START: Final = b"Exif\0\0"
_ORIENTATION_TAG: Final = 0x0112
_ORIENTATIONS: Final = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}
"""Counter-clockwise quarter turns, and whether to mirror left to right before, by EXIF's orientation (CIPA DC-008)."""

_WITHOUT_LENGTH: Final = frozenset(range(0xD0, 0xD9)) | {0x01, 0xFF}


def read_sampled(
    frames: Sequence[bytes], audio: bytes | None, *, crop: CropMode = "face", limits: MediaLimits | None = None
) -> Clip:
    """Turn sampled frames and sound into the tensors of the contract.

    Args:
        frames: Eight JPEG files of one size, in order, from the midpoints of the window's eight equal parts; or none.
        audio: A WAV file, 16 kHz mono PCM of 16 bits, of at most three seconds, from the window's start on; shorter
            sound is padded with silence at its end. None without sound.
        crop: `face` crops a square around the face; `none` squeezes the whole frame.
        limits: Limits of a frame's size; the defaults of `MediaLimits` if None.

    Returns:
        The tensors and the report. The tensor of a missing modality is zeros, and `missing` gives the reason.

    Raises:
        SampledFramesError: There are neither frames nor sound, or not eight frames, or a file is not a valid JPEG file,
            is too large or damaged, or its frame differs in size from the first one.
        SampledAudioError: The sound is not such a WAV file.
        TooManyPixelsError: A frame has more pixels than the limit.
    """
    if not frames and audio is None:
        raise SampledFramesError(f"There are neither frames nor audio; send {FRAME_COUNT} JPEG frames, audio, or both.")
    if frames and len(frames) != FRAME_COUNT:
        raise SampledFramesError(f"There are {len(frames)} frames; expected {FRAME_COUNT}, or none.")
    decoded = _decode_frames(frames, DecodeBudget(limits or MediaLimits()))
    sound = None if audio is None else _decode_wav(audio)
    missing = {} if frames else {"video": _NO_FRAMES}
    if sound is None:
        missing["audio"] = _NO_SOUND
    length = WINDOW_SECONDS if sound is None or frames else sound.covered
    report = ClipReport(
        container="sampled",
        duration=length,
        video=VideoTrack("mjpeg", decoded[0].width, decoded[0].height, None, 90 * decoded[0].quarter_turns)
        if decoded
        else None,
        audio=None if sound is None else AudioTrack("pcm_s16le", SAMPLE_RATE, 1),
    )
    return make_clip(DecodedWindow(decoded, sound, 0.0, length, missing), report, crop)


def _decode_frames(files: Sequence[bytes], budget: DecodeBudget) -> list[Frame]:
    def decode(numbered: tuple[int, bytes]) -> Frame:
        number, data = numbered
        if len(data) > FRAME_BYTES:
            raise SampledFramesError(f"Frame {number} has {len(data):,} bytes; the limit is {FRAME_BYTES:,}.")
        try:
            return _decode_jpeg(data, budget)
        except ValueError as error:
            raise SampledFramesError(f"Frame {number} {error}; expected JPEG.") from error

    frames = for_each(decode, enumerate(files, 1))
    for number, frame in enumerate(frames, 1):
        first = frames[0]
        if (frame.width, frame.height) != (first.width, first.height):
            raise SampledFramesError(
                f"Frame {number} is {frame.width} × {frame.height} pixels and the first one {first.width} × "
                f"{first.height}; expected one size."
            )
    return frames


def _decode_jpeg(data: bytes, budget: DecodeBudget) -> Frame:
    """Decode one JPEG file, by the library that decodes the frames of a clip.

    The size is read from the frame header and checked before anything is decoded: a few hundred bytes can ask for
    gigabytes.

    Raises:
        ValueError: The file is not a valid JPEG file; the message continues "Frame 1 ".
        TooManyPixelsError: The frame has more pixels than the limit.
    """
    if not data.startswith(_JPEG_START):
        raise ValueError("is not a JPEG file")
    size = _jpeg_size(data)
    if size is None or not data.rstrip(b"\0").endswith(_JPEG_END):
        raise ValueError("is a JPEG file that is damaged or cut off")
    budget.add_frame(*size)
    context = CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    # The decoder would obey a second frame header: it gets the same limit.
    context.options = {"max_pixels": str(budget.limits.pixels), "err_detect": "explode"}
    try:
        frames = [*context.decode(Packet(data)), *context.decode(None)]
    except FFmpegError as error:
        raise ValueError("is a JPEG file that is damaged or cut off") from error
    if len(frames) != 1 or frames[0].is_corrupt:
        raise ValueError("is a JPEG file that is damaged or cut off")
    turns, mirrored = _ORIENTATIONS.get(_jpeg_orientation(data), (0, False))
    return Frame(frames[0], turns, mirrored)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the first frame header; None without one."""
    for marker, position in _segments(data):
        if marker in _FRAME_HEADERS and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return (width, height) if width and height else None
    return None


def _jpeg_orientation(data: bytes) -> int:
    """EXIF's orientation, 1 to 8 if it is valid; 1 without one."""
    for marker, position in _segments(data):
        if marker == _EXIF_MARKER and data[position + 4 : position + 10] == _EXIF_START:
            (size,) = struct.unpack_from(">H", data, position + 2)
            return _tiff_orientation(data[position + 10 : position + 2 + size])
    return 1


def _tiff_orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is not None:
            (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
            (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
            for index in range(entries):
                tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * index)
                if tag == _ORIENTATION_TAG:
                    return int(value)
    except struct.error:
        pass  # EXIF is cut off: it says nothing.
    return 1


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position of each segment before the compressed data (ITU-T T.81, annex B)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        yield marker, position
        if marker == _SCAN:
            return
        position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])


def _decode_wav(data: bytes) -> Sound:
    expected = f"expected a WAV file of {SAMPLE_RATE} Hz, mono, 16 bits, PCM, at most {WINDOW_SECONDS:g} s"
    if len(data) > _LARGEST_WAV:
        raise SampledAudioError(f"The audio has {len(data):,} bytes; {expected}, which is {_LARGEST_WAV:,} bytes.")
    try:
        with wave.open(io.BytesIO(data)) as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            stored = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last one for chunks that extend beyond the file
        raise SampledAudioError(f"The audio cannot be read; {expected}.") from error
    if found != (SAMPLE_RATE, 1, 16):
        raise SampledAudioError(f"The audio has {found[0]} Hz, {found[1]} channels and {found[2]} bits; {expected}.")
    samples = np.frombuffer(stored[: len(stored) // 2 * 2], "<i2").astype(np.float32) / np.float32(2**15)
    if not WINDOW_SAMPLES + _LATE_SAMPLES >= len(samples) > 0:
        raise SampledAudioError(f"The audio is {len(samples) / SAMPLE_RATE:.2f} s long; {expected}, and not empty.")
    return Sound(samples, ((0.0, len(samples) / SAMPLE_RATE),)).window(0)
