"""Every error that the product raises on purpose, in one hierarchy.

Each class carries a `code` that machines can rely on; each message is one sentence for people that names
what was wrong and the limit or format expected. The gateway maps codes to HTTP statuses in one handler.
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
    """A model was made for other tensors than this code computes."""

    code = "contract_mismatch"


class ModelFileError(EmotionError):
    """A checkpoint or an ONNX file is missing, damaged or not ours."""

    code = "bad_model_file"


class MediaError(EmotionError):
    """A clip cannot be read. Its subclasses say why."""

    code = "bad_media"


class EmptyMediaError(MediaError):
    """There are no bytes."""

    code = "empty_media"


class UnsupportedMediaError(MediaError):
    """The container is not one that is read, or its content is not media at all."""

    code = "unsupported_media"


class NoTracksError(MediaError):
    """The container opened, but holds neither video nor audio that can be decoded."""

    code = "no_tracks"


class DamagedMediaError(MediaError):
    """The container opened, but nothing in it could be decoded."""

    code = "damaged_media"


class SampledFramesError(MediaError):
    """The frames that were sampled by a client are not those that are expected."""

    code = "bad_sampled_frames"


class SampledAudioError(MediaError):
    """The sound that was sampled by a client is not what is expected."""

    code = "bad_sampled_audio"


class ClipTooLongError(MediaError):
    """The clip lasts longer than the limit."""

    code = "clip_too_long"


class TooManyPixelsError(MediaError):
    """A frame has more pixels than the limit."""

    code = "too_many_pixels"


class TooManyFramesError(MediaError):
    """More video frames would have to be decoded than the limit."""

    code = "too_many_frames"


class TooManySamplesError(MediaError):
    """More audio samples would have to be decoded than the limit."""

    code = "too_many_audio_samples"


class TooManyTracksError(MediaError):
    """The file has more tracks than the limit."""

    code = "too_many_tracks"
