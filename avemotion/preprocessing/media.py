"""Demuxing, from a file's bytes to the packets of a video and an audio track.

Browser recordings carry no duration, no cues and no frame count. The span of each track is therefore computed from the
timestamps of its packets. Demuxing takes about a millisecond and shows which packets the window needs, before any of
them is decoded and without seeking.

What players hide does not belong to the span: packets outside an edit list, which clips have that were cut without
re-encoding, and the samples with which audio encoders begin and end.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from avemotion.preprocessing.errors import DamagedMediaError, EmptyMediaError, NoTracksError, UnsupportedMediaError
from avemotion.preprocessing.limits import MediaLimits

DEMUXERS: Final = ("mov", "matroska", "avi", "wav", "flac")
"""The allowlist of FFmpeg demuxers; all others, such as those of playlists, are rejected."""

FORMATS: Final = "mp4, mov, webm, matroska, avi, wav or flac"
"""The formats of `DEMUXERS`, for messages."""

_OPTIONS: Final = {"format_whitelist": ",".join(DEMUXERS)}

_TRIAL_PACKETS: Final = 4
"""Packets that are decoded to find out whether a track can be decoded, if a file has several of a kind."""


@dataclass(frozen=True)
class Track:
    """One track of a clip, demuxed and not yet decoded.

    Attributes:
        stream: PyAV's video or audio stream, whose codec context decodes the packets.
        packets: All its packets, in decoding order. Those with `is_discard` are hidden: they are only decoded because
            others refer to them, and the codec context returns no frames of them.
        start: Presentation time at which the first packet that is not hidden begins, in seconds.
        end: Presentation time at which the last packet that is not hidden ends, in seconds.
    """

    stream: Any
    packets: list[Packet[Any]]
    start: float
    end: float

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, e.g. `h264`, `vp8`, `opus`."""
        return str(self.stream.codec_context.name)

    @property
    def frame_rate(self) -> float | None:
        """Packets per second that are not hidden, by timestamps, as headers of recordings are often wrong."""
        length = self.end - self.start
        return sum(not packet.is_discard for packet in self.packets) / length if length > 0 else None


@dataclass(frozen=True)
class Media:
    """The tracks of a file.

    Attributes:
        container: FFmpeg's name of the container, e.g. `matroska,webm`.
        video: The video track, if there is one that can be decoded.
        audio: The audio track, if there is one that can be decoded.
        missing: For each of `video` and `audio` that is None, the reason, as a sentence.
    """

    container: str
    video: Track | None
    audio: Track | None
    missing: dict[str, str]

    @property
    def tracks(self) -> list[Track]:
        """The tracks that can be decoded, at least one."""
        return [track for track in (self.video, self.audio) if track is not None]

    @property
    def start(self) -> float:
        """First presentation time, in seconds."""
        return min(track.start for track in self.tracks)

    @property
    def end(self) -> float:
        """Last presentation time, in seconds."""
        return max(track.end for track in self.tracks)

    @property
    def shared_start(self) -> float:
        """Presentation time at which all tracks have begun, in seconds."""
        return max(track.start for track in self.tracks)


def packet_time(packet: Packet[Any]) -> float:
    """Presentation time in seconds; decoding time for containers that have no other, such as AVI."""
    return _seconds(packet_ticks(packet), packet.time_base)


def packet_ticks(packet: Packet[Any]) -> int:
    """Presentation time, or decoding time without one, in units of the packet's time base."""
    return (packet.dts if packet.pts is None else packet.pts) or 0


def packet_duration(packet: Packet[Any]) -> float:
    """Duration in seconds; 0 if the container does not state it."""
    return _seconds(packet.duration, packet.time_base)


def _seconds(ticks: int | None, time_base: Fraction) -> float:
    """Ticks of a clock in seconds. `float(ticks * time_base)` is the same and takes three times as long."""
    return (ticks or 0) * time_base.numerator / time_base.denominator


@contextmanager
def open_media(source: bytes | Path, limits: MediaLimits) -> Iterator[Media]:
    """Demux a clip; its tracks can be decoded while the context is open.

    The format is recognised by content alone: FFmpeg gets no file name and cannot open other files.

    Args:
        source: The file's bytes or its path.
        limits: Limits of its tracks and its duration.

    Yields:
        The tracks that can be decoded, at least one.

    Raises:
        EmptyMediaError: The file is empty.
        UnsupportedMediaError: The format is not one of `FORMATS`.
        DamagedMediaError: The file starts like one of `FORMATS` but cannot be opened.
        NoTracksError: The file has no track that can be decoded.
        TooManyTracksError: The file has more tracks than the limit.
        ClipTooLongError: The clip is longer than the limit.
    """
    data = source.read_bytes() if isinstance(source, Path) else source
    if not data:
        raise EmptyMediaError(f"The file is empty (0 bytes); expected {FORMATS}.")
    try:
        container = av.open(io.BytesIO(data), options=_OPTIONS)
    except (FFmpegError, ValueError) as error:
        if _looks_supported(data):
            raise DamagedMediaError(
                f"The file starts like {FORMATS}, but is damaged or cut off: its index or headers cannot be read."
            ) from error
        raise UnsupportedMediaError(f"The file is not a media file of a known format; expected {FORMATS}.") from error
    with container:
        limits.check_tracks(len(container.streams))
        media = _demux(container, data, limits)
        limits.check_duration(media.end - media.start)
        yield media


def _looks_supported(data: bytes) -> bool:
    """Whether the first bytes are the signature of one of `FORMATS`."""
    head = data[:12]
    return (
        head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
        or head.startswith((b"\x1aE\xdf\xa3", b"fLaC"))
        or (head.startswith(b"RIFF") and head[8:12] in {b"AVI ", b"WAVE"})
    )


def _demux(container: InputContainer, data: bytes, limits: MediaLimits) -> Media:
    candidates = {kind: _candidates(container, kind) for kind in ("video", "audio")}
    streams = [stream for group in candidates.values() for stream in group if stream.codec_context is not None]
    packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in streams}
    try:
        for packet in container.demux(streams) if streams else ():
            if packet.size and (packet.pts is not None or packet.dts is not None):
                packets[packet.stream.index].append(packet)
    except FFmpegError:
        pass  # The file is cut off: the packets before the cut are valid.
    missing: dict[str, str] = {}
    tracks: dict[str, Track] = {}
    for kind, group in candidates.items():
        known = [stream for stream in group if stream.index in packets]
        usable = [stream for stream in known if any(not packet.is_discard for packet in packets[stream.index])]
        if usable:
            stream = _first_decodable(usable, packets, data, limits)
            tracks[kind] = _track(stream, packets[stream.index])
        elif known:
            missing[kind] = f"The {kind} track has no data."
        elif group:
            missing[kind] = f"The codec of the {kind} track is unknown."
        else:
            missing[kind] = f"The file has no {kind} track."
    if not tracks:
        raise NoTracksError(f"There is nothing to decode: {' '.join(missing.values())}")
    return Media(container.format.name, tracks.get("video"), tracks.get("audio"), missing)


def _candidates(container: InputContainer, kind: str) -> list[Any]:
    """The streams of a kind that are not cover images, in the order in which players prefer them."""
    streams: list[Any] = [
        stream
        for stream in container.streams
        if stream.type == kind and not stream.disposition & Disposition.attached_pic
    ]
    return sorted(streams, key=lambda stream: not stream.disposition & Disposition.default)


def _first_decodable(
    streams: list[Any], packets: dict[int, list[Packet[Any]]], data: bytes, limits: MediaLimits
) -> VideoStream | AudioStream:
    """The first stream of which something can be decoded; the first one if that is true of none, or if it is alone."""
    first: VideoStream | AudioStream = streams[0]
    if len(streams) == 1:
        return first
    with av.open(io.BytesIO(data), options=_OPTIONS) as trial:
        for stream in streams:
            context: Any = trial.streams[stream.index].codec_context
            # Copies, because a codec context returns no frames of hidden packets.
            copies = (Packet(bytes(packet)) for packet in packets[stream.index][:_TRIAL_PACKETS])
            for packet in (*copies, None):
                limits.check_time()
                try:
                    if context.decode(packet):
                        return cast("VideoStream | AudioStream", stream)
                except FFmpegError:
                    continue
    return first


def _track(stream: VideoStream | AudioStream, packets: list[Packet[Any]]) -> Track:
    shown = [packet for packet in packets if not packet.is_discard]
    starts = [packet_time(packet) for packet in shown]
    last = max(range(len(shown)), key=starts.__getitem__)
    start = min(starts)
    duration = packet_duration(shown[last])
    if duration <= 0 and len(shown) > 1:
        duration = (starts[last] - start) / (len(shown) - 1)
    end = starts[last] + duration
    if isinstance(stream, AudioStream):
        rate = stream.codec_context.sample_rate or 1
        start = max(start, packet_time(packets[0]) + _hidden_samples(packets[0]) / rate)
    if stream.start_time is not None and stream.duration and stream.time_base:
        stated = _seconds(stream.start_time + stream.duration, stream.time_base)
        if starts[last] < stated < end:  # An edit list ends within the last packet.
            end = stated
    return Track(stream, packets, start=min(start, end), end=end)


def _hidden_samples(packet: Packet[Any]) -> int:
    """Samples to hide from the start of a track's first packet on (FFmpeg's `AV_PKT_DATA_SKIP_SAMPLES`)."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int(struct.unpack_from("<I", bytes(packet.get_sidedata("skip_samples")))[0])
