"""Frames and sound that a client has sampled itself become the same tensors as those of a whole clip.

A browser can draw eight frames and record three seconds of sound without a codec: a tenth of the bytes, and nothing
left to demux. What follows, face, crop, resizing and log-mel, is the path of `read_clip`.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import Final

import numpy as np

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.clip import Clip, make_clip
from avemotion.preprocessing.contract import FRAME_COUNT, SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS, CropMode
from avemotion.preprocessing.errors import SampledAudioError, SampledFramesError
from avemotion.preprocessing.jpeg import decode_jpeg
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.parallelism import for_each
from avemotion.preprocessing.picture import Picture
from avemotion.preprocessing.report import AudioTrack, VideoTrack
from avemotion.preprocessing.window import make_window

FRAME_BYTES: Final = 2 * 2**20
"""Largest JPEG file that is read, in bytes."""

_LATE_SAMPLES: Final = SAMPLE_RATE // 10
"""Sound may be longer than the window by a tenth of a second, which is cut off: recorders stop late."""

_LARGEST_WAV: Final = 2 * (WINDOW_SAMPLES + _LATE_SAMPLES) + 64 * 1024
"""Largest WAV file that is read, in bytes: the samples and 64 KiB for whatever stands in the header."""

_NO_SOUND: Final = "No sound was sent."
_NO_FRAMES: Final = "No frames were sent."


def read_sampled(
    frames: Sequence[bytes], audio: bytes | None, *, crop: CropMode = "face", limits: MediaLimits | None = None
) -> Clip:
    """Turn sampled frames and sound into the tensors of the contract.

    Args:
        frames: Eight JPEG files of one size, in order, from the midpoints of the window's eight equal parts; or none.
        audio: A WAV file, 16 kHz mono PCM of 16 bits, of at most three seconds, from the window's start on; shorter
            sound is padded with silence at its end. None where there is no sound.
        crop: `face` cuts a square around the face; `none` squeezes the whole frame.
        limits: How large a frame may be; the defaults of `MediaLimits` where None.

    Returns:
        The tensors and the report. A modality that is missing is zeros, and the report says why.

    Raises:
        SampledFramesError: There are neither frames nor sound, or not eight frames, or one is no JPEG, or too many
            bytes, or damaged, or of another size than the first.
        SampledAudioError: The sound is no such WAV file.
        TooManyPixelsError: A frame has more pixels than the limit.
    """
    if not frames and audio is None:
        raise SampledFramesError(f"There are neither frames nor audio; send {FRAME_COUNT} JPEG frames, audio, or both.")
    if frames and len(frames) != FRAME_COUNT:
        raise SampledFramesError(f"There are {len(frames)} frames; expected {FRAME_COUNT}, or none.")
    budget = DecodeBudget(limits or MediaLimits())
    pictures = _decode_frames(frames, budget)
    sound = None if audio is None else _decode_wav(audio)
    missing = {} if frames else {"video": _NO_FRAMES}
    if sound is None:
        missing["audio"] = _NO_SOUND
    length = WINDOW_SECONDS if sound is None or frames else sound.covered
    window = make_window(pictures, sound, start=0.0, length=length, crop=crop, missing=missing)
    return make_clip(
        window,
        sound,
        container="sampled",
        duration=length,
        video=VideoTrack("mjpeg", pictures[0].width, pictures[0].height, None, 90 * pictures[0].quarter_turns)
        if pictures
        else None,
        audio=None if sound is None else AudioTrack("pcm_s16le", SAMPLE_RATE, 1),
    )


def _decode_frames(frames: Sequence[bytes], budget: DecodeBudget) -> list[Picture]:
    def decode(numbered: tuple[int, bytes]) -> Picture:
        number, data = numbered
        if len(data) > FRAME_BYTES:
            raise SampledFramesError(f"Frame {number} has {len(data):,} bytes; the limit is {FRAME_BYTES:,}.")
        try:
            return decode_jpeg(data, budget)
        except ValueError as error:
            raise SampledFramesError(f"Frame {number} {error}; expected JPEG.") from error

    pictures = for_each(decode, enumerate(frames, 1))
    for number, picture in enumerate(pictures, 1):
        first = pictures[0]
        if (picture.width, picture.height) != (first.width, first.height):
            raise SampledFramesError(
                f"Frame {number} is {picture.width} × {picture.height} pixels and the first one {first.width} × "
                f"{first.height}; expected one size."
            )
    return pictures


def _decode_wav(data: bytes) -> Sound:
    expected = f"expected a WAV file of {SAMPLE_RATE} Hz, mono, 16 bits, PCM, at most {WINDOW_SECONDS:g} s"
    if len(data) > _LARGEST_WAV:
        raise SampledAudioError(f"The audio has {len(data):,} bytes; {expected}, which is {_LARGEST_WAV:,} bytes.")
    try:
        with wave.open(io.BytesIO(data)) as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            stored = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last for chunks that reach beyond the file
        raise SampledAudioError(f"The audio cannot be read; {expected}.") from error
    if found != (SAMPLE_RATE, 1, 16):
        raise SampledAudioError(f"The audio has {found[0]} Hz, {found[1]} channels and {found[2]} bits; {expected}.")
    samples = np.frombuffer(stored[: len(stored) // 2 * 2], "<i2").astype(np.float32) / np.float32(2**15)
    if not WINDOW_SAMPLES + _LATE_SAMPLES >= len(samples) > 0:
        raise SampledAudioError(f"The audio is {len(samples) / SAMPLE_RATE:.2f} s long; {expected}, and not empty.")
    return Sound(samples, ((0.0, len(samples) / SAMPLE_RATE),)).window(0)
