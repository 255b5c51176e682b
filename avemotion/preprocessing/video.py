"""Decoding of the frames on display at given times.

Frames are chosen by presentation time, not by index: browser recordings have a variable frame rate, with gaps of up to
400 ms. Decoding starts at the last key frame before the window and stops after the last frame needed. Hidden packets
are decoded as far as others refer to them, and never shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final, TypeVar

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from avemotion.preprocessing.contract import FRAME_COUNT
from avemotion.preprocessing.execution import parallelism, usable_cores
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.limits import DecodeBudget
from avemotion.preprocessing.media import Track, packet_ticks, packet_time

Result = TypeVar("Result")

_FRAMES_PER_CORE: Final = 2
"""Frames decoded at once per core: some are skipped, and others wait for the frames that they refer to."""


_LARGEST_PIXEL_RATIO: Final = 8.0
"""Pixels that are further from square are a fault of the file, and count as square."""


class DamagedInParallelError(Exception):
    """A packet is damaged. If several are decoded at once, that is noticed too late to save the frames beside it."""


def retry_on_one_core(read: Callable[[], Result]) -> Result:
    """Call a reader, and call it again on one core if a video packet proves to be damaged.

    Args:
        read: Reads a clip from its beginning.

    Returns:
        The reader's result.
    """
    try:
        return read()
    except DamagedInParallelError:
        with parallelism(1):
            return read()


def sample_times(start: float, length: float) -> list[float]:
    """Midpoints of the equal parts of a window, one per frame.

    Args:
        start: Start of the window, in seconds.
        length: Length of the window, in seconds.
    """
    return [start + (part + 0.5) * length / FRAME_COUNT for part in range(FRAME_COUNT)]


def read_frames(track: Track, times: Sequence[float], budget: DecodeBudget) -> Iterator[Frame]:
    """Decode the frames on display at given times: for each, the last frame presented at or before it.

    A time before the first frame gives the first frame; a time after the last frame gives the last one.

    Args:
        track: The video track.
        times: Presentation times in seconds, ascending.
        budget: Counts what is decoded.

    Yields:
        One frame per time, each as soon as it is known; none if nothing could be decoded.

    Raises:
        TooManyPixelsError: A frame is larger than the limit.
        TooManyFramesError: More frames have to be decoded than the limit.
        DamagedInParallelError: A packet is damaged, and several cores are used; see `retry_on_one_core`.
    """
    yielded = 0
    shown: tuple[VideoFrame, float] | None = None
    for frame, pixel_ratio in _decode(track, times):
        budget.add_frame(frame.width, frame.height)
        while shown is not None and times[yielded] < frame.time:
            yield Frame.of(*shown)
            yielded += 1
            if yielded == len(times):
                return
        shown = frame, pixel_ratio
    if shown is not None:
        for _ in times[yielded:]:
            yield Frame.of(*shown)


def _decode(track: Track, times: Sequence[float]) -> Iterator[tuple[VideoFrame, float]]:
    """Decoded frames and the aspect ratios of their pixels, in order of presentation.

    They start at the key frame before the first time. Frames that are on display at none of the times are skipped if no
    other frame refers to them.
    """
    context = track.stream.codec_context
    alone = usable_cores() == 1
    # PyAV's log must stay off (the default): a decoder thread that logs and Python would wait for each other.
    context.thread_count = 1 if alone else _FRAMES_PER_CORE * usable_cores()
    context.thread_type = "FRAME"
    packets = _from_key_frame(track.packets, times[0])
    time_base = packets[0].time_base
    wanted = _on_display(packets, times)
    pixels = _PixelRatios(track, packets)
    for index, packet in enumerate((*packets, None)):
        needed = packet is None or wanted is None or index in wanted
        context.skip_frame = "DEFAULT" if needed else "NONREF"
        try:
            frames = context.decode(packet)
        except FFmpegError as error:
            if alone:
                continue  # A damaged packet loses its own frames, not the clip.
            raise DamagedInParallelError from error
        for frame, ticks in _with_time(frames, time_base):
            if frame.is_corrupt and not alone:
                raise DamagedInParallelError
            yield frame, pixels.at(ticks)


class _PixelRatios:
    """Width of a pixel relative to its height, from the container and from the codec.

    The container's ratio counts until the codec's own changes, as in players: many files state it in the container
    only. PyAV's frames do not carry the codec's ratio. The codec context has it, but at the first frame that leaves the
    decoder after the change, which may be one from before the change.
    """

    def __init__(self, track: Track, packets: Sequence[Packet[Any]]) -> None:
        self._context = track.stream.codec_context
        self._ratio = track.stream.sample_aspect_ratio
        self._stated = self._next = self._context.sample_aspect_ratio
        self._changes_at: int | None = None
        self._keys = [packet_ticks(packet) for packet in packets if packet.is_keyframe]

    def at(self, ticks: int) -> float:
        """The ratio of the frame that has just been decoded, presented at `ticks`; frames come in that order."""
        stated = self._context.sample_aspect_ratio
        if stated != self._stated and stated is not None:
            self._stated = self._next = stated
            self._changes_at = min((key for key in self._keys if key >= ticks), default=ticks)
        if self._changes_at is not None and ticks >= self._changes_at:
            self._ratio, self._changes_at = self._next, None
        ratio = float(self._ratio or 1)
        return ratio if 1 / _LARGEST_PIXEL_RATIO <= ratio <= _LARGEST_PIXEL_RATIO else 1.0


def _on_display(packets: Sequence[Packet[Any]], times: Sequence[float]) -> set[int] | None:
    """Indexes of the packets on display at given times; None if packets have no presentation times."""
    if any(packet.pts is None for packet in packets):
        return None
    presented = sorted((packet_time(packet), index) for index, packet in enumerate(packets) if not packet.is_discard)
    if not presented:
        return None
    moments = [moment for moment, _ in presented]
    return {presented[max(0, bisect_right(moments, time) - 1)][1] for time in times}


def _from_key_frame(packets: Sequence[Packet[Any]], first_time: float) -> Sequence[Packet[Any]]:
    """The packets from the last key frame on that does not follow the frame on display, in either order.

    Times alone do not suffice: if an edit list shows several parts of a clip, a hidden packet of one part can have the
    time of a packet of the part before.
    """
    times = [packet_time(packet) for packet in packets]
    shown = [(time, index) for index, time in enumerate(times) if not packets[index].is_discard]
    before = [item for item in shown if item[0] <= first_time]
    time, displayed = max(before) if before else min(shown)
    for index in range(displayed, -1, -1):
        if packets[index].is_keyframe and times[index] <= time:
            return packets[index:]
    return packets


def _with_time(frames: Sequence[VideoFrame], time_base: Fraction) -> Iterator[tuple[VideoFrame, int]]:
    """Frames that have a time, and that time; those of the flushed decoder lack a time base, which is added."""
    for frame in frames:
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is not None:
            frame.time_base = time_base
            yield frame, frame.pts
