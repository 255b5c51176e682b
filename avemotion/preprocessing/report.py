"""What was found in a clip, beside its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from avemotion.preprocessing.face import FaceBox
from avemotion.preprocessing.media import Track
from avemotion.preprocessing.picture import Picture
from avemotion.preprocessing.quality import Quality
from avemotion.preprocessing.video import frame_rate


@dataclass(frozen=True)
class VideoTrack:
    """What is known of a video track.

    Attributes:
        codec: FFmpeg's name of the codec.
        width: Width of the upright frame, in pixels.
        height: Height of the upright frame, in pixels.
        frame_rate: Mean frames per second by timestamps; None where there is one frame only, or none is known.
        rotation: Degrees by which frames are turned counter-clockwise to be upright: 0, 90, 180 or 270.
    """

    codec: str
    width: int
    height: int
    frame_rate: float | None
    rotation: int


@dataclass(frozen=True)
class AudioTrack:
    """What is known of an audio track.

    Attributes:
        codec: FFmpeg's name of the codec.
        sample_rate: Samples per second as stored, in Hz.
        channels: Number of channels as stored.
    """

    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class ClipReport:
    """What was found in a clip.

    Attributes:
        container: FFmpeg's name of the container.
        duration: From the first to the last presentation time, in seconds.
        window_start: Start of the window in presentation time, in seconds.
        window_length: Length of the window, in seconds, at most the contract's.
        video: The video track that was used, if any.
        audio: The audio track that was used, if any.
        face: Where the face is; None where none was found or looked for.
        quality: How well the window could be seen and heard.
        missing: For each modality that is not in the tensors, why, as a sentence.
    """

    container: str
    duration: float
    window_start: float
    window_length: float
    video: VideoTrack | None
    audio: AudioTrack | None
    face: FaceBox | None
    quality: Quality
    missing: dict[str, str]


def describe_video(track: Track, picture: Picture) -> VideoTrack:
    """What is known of a video track of which a frame was decoded."""
    return VideoTrack(track.codec, picture.width, picture.height, frame_rate(track), 90 * picture.quarter_turns)


def describe_audio(track: Track) -> AudioTrack:
    """What is known of an audio track of which something was decoded."""
    context = track.stream.codec_context
    return AudioTrack(track.codec, context.sample_rate, len(context.layout.channels))
