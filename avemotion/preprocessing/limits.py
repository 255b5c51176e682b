"""How much of a clip is decoded at most, so that a small file cannot cost a large amount of work.

Each limit counts what is demuxed or decoded, never what a header claims, and each has an error of its own that names
the limit and what was measured.
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
    """Limits of one clip. The defaults are generous to what cameras and browsers record.

    Attributes:
        duration: From the first to the last presentation time, in seconds.
        pixels: Width times height of one frame; the default is 4K.
        frames: Video frames decoded for one answer, also those that are decoded only because others need them.
        audio_samples: Audio samples decoded for one answer, over all channels.
        tracks: Tracks of any kind.
        expires: When the result is of no more use, on the clock of `time.monotonic`; None for never.
    """

    duration: float = 600.0
    pixels: int = 4096 * 2304
    frames: int = 6_000
    audio_samples: int = 40_000_000
    tracks: int = 16
    expires: float | None = None

    def check_duration(self, seconds: float) -> None:
        """Refuse a clip that is longer than the limit.

        Raises:
            ClipTooLongError: It is.
        """
        if seconds > self.duration:
            raise ClipTooLongError(f"The clip is {seconds:.2f} s long; the limit is {self.duration:g} s.")

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame that has more pixels than the limit.

        Raises:
            TooManyPixelsError: It has.
        """
        if width * height > self.pixels:
            raise TooManyPixelsError(
                f"A frame has {width} × {height} = {width * height:,} pixels; the limit is {self.pixels:,}."
            )

    def check_time(self) -> None:
        """Give up once the result is of no more use.

        Raises:
            TimeoutError: It is not.
        """
        if self.expires is not None and time.monotonic() > self.expires:
            raise TimeoutError

    def check_tracks(self, tracks: int) -> None:
        """Refuse a file that has more tracks than the limit.

        Raises:
            TooManyTracksError: It has.
        """
        if tracks > self.tracks:
            raise TooManyTracksError(f"The file has {tracks:,} tracks; the limit is {self.tracks:,}.")


@dataclass
class DecodeBudget:
    """What has been decoded of one clip so far; several threads may add to it.

    Attributes:
        limits: What may be decoded.
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
            TooManyPixelsError: It is larger than the limit.
            TooManyFramesError: It is one more than the limit.
            TimeoutError: The result is of no more use.
        """
        self.limits.check_time()
        self.limits.check_size(width, height)
        with self._lock:
            self.frames += 1
        if self.frames > self.limits.frames:
            raise TooManyFramesError(
                f"{self.frames:,} video frames had to be decoded, and more are left; the limit is "
                f"{self.limits.frames:,}."
            )

    def add_samples(self, samples: int) -> None:
        """Count decoded audio samples, over all channels.

        Raises:
            TooManySamplesError: There are more than the limit.
            TimeoutError: The result is of no more use.
        """
        self.limits.check_time()
        with self._lock:
            self.audio_samples += samples
        if self.audio_samples > self.limits.audio_samples:
            raise TooManySamplesError(
                f"{self.audio_samples:,} audio samples had to be decoded, over all channels; the limit is "
                f"{self.limits.audio_samples:,}."
            )
