"""The hierarchy of all errors that the product raises on purpose.

Each class has a stable `code` for programs. Each message is one sentence for people: what is wrong, the value, and the
limit or the expected format. The gateway maps codes to HTTP statuses in one handler.
"""

from __future__ import annotations

from typing import ClassVar


class EmotionError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        code: Stable identifier in snake case.
    """

    code: ClassVar[str] = "internal_error"

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class ContractMismatchError(EmotionError):
    """A model was made for other tensors than those that this code computes."""

    code = "contract_mismatch"


class ModelFileError(EmotionError):
    """A checkpoint or an ONNX file is missing, damaged or not from this project."""

    code = "bad_model_file"


class NobodyFoundError(EmotionError):
    """A clip shows no face and holds no voice, so that there is nothing to judge."""

    code = "nobody_found"


class MediaError(EmotionError):
    """A clip cannot be read; subclasses give the reason."""

    code = "bad_media"


class EmptyMediaError(MediaError):
    """The file is empty."""

    code = "empty_media"


class UnsupportedMediaError(MediaError):
    """The file is not a media file, or its container format is not supported."""

    code = "unsupported_media"


class NoTracksError(MediaError):
    """The file has neither a video nor an audio track that can be decoded."""

    code = "no_tracks"


class DamagedMediaError(MediaError):
    """The file has tracks, but nothing in them could be decoded."""

    code = "damaged_media"


class SampledFramesError(MediaError):
    """The frames that a client has sampled are not as expected."""

    code = "bad_sampled_frames"


class SampledAudioError(MediaError):
    """The sound that a client has sampled is not as expected."""

    code = "bad_sampled_audio"


class ClipTooLongError(MediaError):
    """The clip is longer than the limit."""

    code = "clip_too_long"


class TooManyPixelsError(MediaError):
    """A frame has more pixels than the limit."""

    code = "too_many_pixels"


class TooManyFramesError(MediaError):
    """The window needs more video frames decoded than the limit."""

    code = "too_many_frames"


class TooManySamplesError(MediaError):
    """The window needs more audio samples decoded than the limit."""

    code = "too_many_audio_samples"


class TooManyTracksError(MediaError):
    """The file has more tracks than the limit."""

    code = "too_many_tracks"
