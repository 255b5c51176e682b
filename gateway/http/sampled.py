"""Reading what a client has sampled itself: frames, their times, and sound."""

from __future__ import annotations

import json
from typing import Final

from avemotion.preprocessing.contract import FRAME_COUNT, WINDOW_SECONDS
from avemotion.preprocessing.errors import SampledFramesError
from avemotion.preprocessing.video import sample_times
from gateway.deadlines import Deadline
from gateway.errors import BadFormError, SampledTimesError
from gateway.http.context import RequestContext
from gateway.http.forms import FormLimits, files_in, read_form

FRAMES_FIELD: Final = "frames"
"""Name of the form field that is repeated for each frame."""

TIMES_FIELD: Final = "times"
"""Name of the form field with the frames' times, as JSON."""

AUDIO_FIELD: Final = "audio"
"""Name of the form field with the sound."""

LONGEST_SIDE: Final = 384
"""Longest side that clients should reduce frames to, in pixels: more does not bring answers closer (docs/API.md)."""

JPEG_QUALITY: Final = 0.7
"""Quality that clients should encode frames with, as `canvas.toBlob` takes it."""

_EXPECTED: Final = (
    f"send {FRAME_COUNT} JPEG files in fields '{FRAMES_FIELD}', a WAV file in the field '{AUDIO_FIELD}', or both, in a "
    "multipart/form-data form"
)


async def read_sampled_upload(context: RequestContext, deadline: Deadline) -> tuple[list[bytes], bool]:
    """The frames and the sound of a request.

    Returns:
        The JPEG files in order, then the WAV file if there is one; and whether there is one.

    Raises:
        SampledTimesError: The times are not those of the contract.
        SampledFramesError: There are times but no frames.
        EmotionError: As with `read_clip`.
    """
    limits = FormLimits(_EXPECTED, context.services.settings.sampled_upload_limit, 4 * FRAME_COUNT)
    fields = await read_form(context.request, limits, deadline)
    names = {name for name, _ in fields}
    audio = files_in(fields, AUDIO_FIELD, limits) if AUDIO_FIELD in names else []
    frames = files_in(fields, FRAMES_FIELD, limits) if FRAMES_FIELD in names or not audio else []
    if len(audio) > 1:
        raise BadFormError(f"The form has {len(audio)} fields '{AUDIO_FIELD}'; the limit is 1.")
    times = [content for name, content in fields if name == TIMES_FIELD]
    if times:
        if len(times) > 1:
            raise BadFormError(f"The form has {len(times)} fields '{TIMES_FIELD}'; the limit is 1.")
        if not frames:
            raise SampledFramesError(f"There are times, but no frames; expected {FRAME_COUNT} frames.")
        check_times(times[0])
    return frames + audio, bool(audio)


def check_times(text: bytes | str) -> None:
    """Reject frames that were not taken in the middle of eight equal parts, as the model expects them.

    A clip shorter than the window is divided as a whole; the last time tells how long it is.

    Raises:
        SampledTimesError: The text is not such an array, or a frame was taken outside its own part.
    """
    wanted = sample_times(0.0, WINDOW_SECONDS)
    expected = f"expected a JSON array of {FRAME_COUNT} seconds from the window's start, {wanted}"
    try:
        times = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):  # also if it is not UTF-8
        raise SampledTimesError(f"The times are not valid JSON; {expected}.") from None
    if not isinstance(times, list) or not all(isinstance(time, float) for time in times):
        raise SampledTimesError(f"The times are not an array of numbers; {expected}.")
    if len(times) != FRAME_COUNT:
        raise SampledTimesError(f"There are {len(times)} times; {expected}.")
    length = min(WINDOW_SECONDS, times[-1] / (1 - 0.5 / FRAME_COUNT))
    if not length > 0:  # not `<=`, which NaN would pass
        raise SampledTimesError(f"Time {FRAME_COUNT} is {times[-1]:g} s, which is not after the start; {expected}.")
    tolerance = length / FRAME_COUNT / 2
    for number, (time, right) in enumerate(zip(times, sample_times(0.0, length), strict=True), 1):
        if not abs(time - right) <= tolerance:
            raise SampledTimesError(
                f"Time {number} is {time:g} s, more than {tolerance:.4g} s from {right:.4g} s; {expected}."
            )
