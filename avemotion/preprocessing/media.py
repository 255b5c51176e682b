"""Demuxing, from a file's bytes to the packets of a video and an audio track.

Browser recordings carry no duration, no cues and no frame count. The span of each track is therefore computed from the
timestamps of its packets. Demuxing takes about a millisecond and shows which packets the window needs, before any of
them is decoded and without seeking.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

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


@dataclass(frozen=True)
class Track:
    """One track of a clip, demuxed and not yet decoded.

    Attributes:
        stream: PyAV's video or audio stream, whose codec context decodes the packets.
        packets: All its packets, in decoding order.
        start: Presentation time of its first packet, in seconds.
        end: Presentation time at which its last packet ends, in seconds.
    """

    stream: Any
    packets: list[Packet[Any]]
    start: float
    end: float

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, e.g. `h264`, `vp8`, `opus`."""
        return str(self.stream.codec_context.name)


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
    return _seconds(packet.dts if packet.pts is None else packet.pts, packet.time_base)


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
        container = av.open(io.BytesIO(data), options={"format_whitelist": ",".join(DEMUXERS)})
    except (FFmpegError, ValueError) as error:
        if _looks_supported(data):
            raise DamagedMediaError(
                f"The file starts like {FORMATS}, but is damaged or cut off: its index or headers cannot be read."
            ) from error
        raise UnsupportedMediaError(f"The file is not a media file of a known format; expected {FORMATS}.") from error
    with container:
        limits.check_tracks(len(container.streams))
        media = _demux(container)
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


def _demux(container: InputContainer) -> Media:
    missing: dict[str, str] = {}
    chosen = {}
    for kind in ("video", "audio"):
        stream, reason = _choose_stream(container, kind)
        if stream is None:
            missing[kind] = reason
        else:
            chosen[kind] = stream
    packets: dict[int, list[Packet[Any]]] = {stream.index: [] for stream in chosen.values()}
    try:
        for packet in container.demux(list(chosen.values())) if chosen else ():
            if packet.size and (packet.pts is not None or packet.dts is not None):
                packets[packet.stream.index].append(packet)
    except FFmpegError:
        pass  # The file is cut off: the packets before the cut are valid.
    tracks: dict[str, Track] = {}
    for kind, stream in chosen.items():
        if packets[stream.index]:
            tracks[kind] = _track(stream, packets[stream.index])
        else:
            missing[kind] = f"The {kind} track has no data."
    if not tracks:
        raise NoTracksError(f"There is nothing to decode: {' '.join(missing.values())}")
    return Media(container.format.name, tracks.get("video"), tracks.get("audio"), missing)


def _choose_stream(container: InputContainer, kind: str) -> tuple[Any, str]:
    """The first stream of a kind that can be decoded and is not a cover image, or the reason why there is none."""
    candidates = [
        stream
        for stream in container.streams
        if stream.type == kind and not stream.disposition & Disposition.attached_pic
    ]
    if not candidates:
        return None, f"The file has no {kind} track."
    for stream in candidates:
        if getattr(stream, "codec_context", None) is not None:
            return stream, ""
    return None, f"The codec of the {kind} track is unknown."


def _track(stream: VideoStream | AudioStream, packets: list[Packet[Any]]) -> Track:
    starts = [packet_time(packet) for packet in packets]
    last = max(range(len(packets)), key=starts.__getitem__)
    duration = packet_duration(packets[last])
    if duration <= 0 and len(packets) > 1:
        duration = (starts[last] - min(starts)) / (len(packets) - 1)
    return Track(stream, packets, start=min(starts), end=starts[last] + duration)
