"""Limits of decoding, so that a small file cannot cause a large amount of work.

Limits apply to what is demuxed or decoded, not to what headers claim. Each has an error of its own, which names the
limit and the value.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from avemotion.preprocessing.errors import (
    ClipTooLongError,
    TooManyFramesError,
    TooManyPixelsError,
    TooManySamplesError,
    TooManyTracksError,
)


@dataclass(frozen=True)
class MediaLimits:
    """Limits of one clip. The defaults leave ample room for recordings of cameras and browsers.

    Attributes:
        duration: From the first to the last presentation time, in seconds.
        pixels: Width times height of one frame; the default is 4K.
        frames: Video frames decoded for one answer, including those that other frames refer to.
        audio_samples: Audio samples decoded for one answer, over all channels.
        tracks: Tracks of any kind.
        expires: Deadline on the clock of `time.monotonic`, after which decoding stops; None for no deadline.
    """

    duration: float = 600.0
    pixels: int = 4096 * 2304
    frames: int = 6_000
    audio_samples: int = 40_000_000
    tracks: int = 16
    expires: float | None = None

    def check_duration(self, seconds: float) -> None:
        """Check the length of a clip.

        Raises:
            ClipTooLongError: The clip is longer than the limit.
        """
        if seconds > self.duration:
            raise ClipTooLongError(f"The clip is {seconds:.2f} s long; the limit is {self.duration:g} s.")

    def check_size(self, width: int, height: int) -> None:
        """Check the size of a frame.

        Raises:
            TooManyPixelsError: The frame has more pixels than the limit.
        """
        if width * height > self.pixels:
            raise TooManyPixelsError(
                f"A frame has {width} × {height} = {width * height:,} pixels; the limit is {self.pixels:,}."
            )

    def check_time(self) -> None:
        """Check the deadline.

        Raises:
            TimeoutError: The deadline has passed.
        """
        if self.expires is not None and time.monotonic() > self.expires:
            raise TimeoutError

    def check_tracks(self, tracks: int) -> None:
        """Check the number of tracks.

        Raises:
            TooManyTracksError: The file has more tracks than the limit.
        """
        if tracks > self.tracks:
            raise TooManyTracksError(f"The file has {tracks:,} tracks; the limit is {self.tracks:,}.")


@dataclass
class DecodeBudget:
    """Counts what has been decoded of one clip; thread-safe.

    Attributes:
        limits: The limits.
        frames: Video frames so far.
        audio_samples: Audio samples so far, over all channels.
    """

    limits: MediaLimits = field(default_factory=MediaLimits)
    frames: int = 0
    audio_samples: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def add_frame(self, width: int, height: int) -> None:
        """Count one decoded video frame.

        Raises:
            TooManyPixelsError: The frame is larger than the limit.
            TooManyFramesError: The limit of frames is exceeded.
            TimeoutError: The deadline has passed.
        """
        self.limits.check_time()
        self.limits.check_size(width, height)
        with self._lock:
            self.frames += 1
        if self.frames > self.limits.frames:
            raise TooManyFramesError(
                f"Decoding has reached {self.frames:,} video frames; the limit is {self.limits.frames:,}."
            )

    def add_samples(self, samples: int) -> None:
        """Count decoded audio samples, over all channels.

        Raises:
            TooManySamplesError: The limit of samples is exceeded.
            TimeoutError: The deadline has passed.
        """
        self.limits.check_time()
        with self._lock:
            self.audio_samples += samples
        if self.audio_samples > self.limits.audio_samples:
            raise TooManySamplesError(
                f"Decoding has reached {self.audio_samples:,} audio samples, over all channels; the limit is "
                f"{self.limits.audio_samples:,}."
            )
