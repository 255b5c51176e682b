"""The gateway's errors, and the HTTP status of every error of the product.

The classes extend the hierarchy of `avemotion.preprocessing.errors`; the table below is the only place that knows
about HTTP, and `docs/API.md` lists it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from avemotion.preprocessing.errors import EmotionError


class InsecureSettingsError(EmotionError):
    """The settings would let anyone in."""

    code = "insecure_settings"


class UnauthorizedError(EmotionError):
    """The caller has no valid API key."""

    code = "unauthorized"


class RateLimitedError(EmotionError):
    """The caller asks too often.

    Attributes:
        retry_after: Seconds after which the next request is answered.
    """

    code = "rate_limited"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnsupportedContentTypeError(EmotionError):
    """The body is not a form."""

    code = "unsupported_content_type"


class UnsupportedContentEncodingError(EmotionError):
    """The body is compressed."""

    code = "unsupported_content_encoding"


class BadFormError(EmotionError):
    """The form cannot be parsed."""

    code = "bad_form"


class InvalidRequestError(EmotionError):
    """A parameter is unknown or given twice."""

    code = "invalid_request"


class MissingFileError(EmotionError):
    """The form has no file in the expected field."""

    code = "missing_file"


class UploadTooLargeError(EmotionError):
    """The upload is larger than the limit."""

    code = "upload_too_large"


class TooManyFilesError(EmotionError):
    """The upload has more files than the limit."""

    code = "too_many_files"


class SampledTimesError(EmotionError):
    """The frames were not sampled at the times of the contract."""

    code = "bad_sampled_times"


class UploadTimeoutError(EmotionError):
    """The upload did not arrive in time."""

    code = "upload_timeout"


class UploadsFullError(EmotionError):
    """All uploads together take as much memory as they may."""

    code = "uploads_full"


class DecodeTimeoutError(EmotionError):
    """A clip took more time to decode than is allowed."""

    code = "decode_timeout"


class DecodeMemoryError(EmotionError):
    """A clip took more memory to decode than is allowed."""

    code = "decode_out_of_memory"


class DecodeFailedError(EmotionError):
    """Decoding a clip ended in an unforeseen error."""

    code = "decode_failed"


class DecodeWorkerLostError(EmotionError):
    """The process that decoded a clip ended."""

    code = "decode_worker_lost"


class OverloadedError(EmotionError):
    """Too many clips are waiting."""

    code = "overloaded"


class DeadlineExceededError(EmotionError):
    """The answer would have come too late."""

    code = "deadline_exceeded"


class ModelNotFoundError(EmotionError):
    """There is no such model or version."""

    code = "model_not_found"


class ModelUnavailableError(EmotionError):
    """No model answers."""

    code = "model_unavailable"


class NotReadyError(EmotionError):
    """The gateway should get no traffic now."""

    code = "not_ready"


@dataclass(frozen=True)
class ErrorPolicy:
    """How an error is answered.

    Attributes:
        status: HTTP status.
        meaning: What it means, in one line of documentation.
        retry_after: Seconds for the `Retry-After` header, where trying again makes sense.
        closes: Whether the connection is closed afterwards, because the rest of the body is not awaited.
    """

    status: int
    meaning: str
    retry_after: int | None = None
    closes: bool = False


POLICIES: Final[dict[str, ErrorPolicy]] = {
    "bad_form": ErrorPolicy(400, "The multipart form is broken or cut off."),
    "bad_http": ErrorPolicy(400, "Malformed HTTP request.", closes=True),
    "unauthorized": ErrorPolicy(401, "The API key is missing or not valid."),
    "not_found": ErrorPolicy(404, "Not found."),
    "model_not_found": ErrorPolicy(404, "No model has this name and version; the message lists the available ones."),
    "method_not_allowed": ErrorPolicy(405, "The path does not answer this method."),
    "upload_timeout": ErrorPolicy(408, "The upload did not arrive in time.", closes=True),
    "upload_too_large": ErrorPolicy(413, "A file, or all of them together, is larger than the limit."),
    "too_many_files": ErrorPolicy(413, "The form has more files than the limit."),
    "unsupported_content_type": ErrorPolicy(415, "The body is not `multipart/form-data`."),
    "unsupported_content_encoding": ErrorPolicy(415, "The body is compressed, as `Content-Encoding` says."),
    "invalid_request": ErrorPolicy(422, "A parameter is unknown, missing, repeated, or has a wrong value."),
    "missing_file": ErrorPolicy(422, "The form has no file in the expected field."),
    "nobody_found": ErrorPolicy(422, "The clip shows no face and holds no voice."),
    "empty_media": ErrorPolicy(422, "The file has no bytes."),
    "unsupported_media": ErrorPolicy(422, "The content is not a media file of a known format."),
    "no_tracks": ErrorPolicy(422, "The file holds neither video nor audio that can be decoded."),
    "damaged_media": ErrorPolicy(422, "The file is damaged or cut off."),
    "clip_too_long": ErrorPolicy(422, "The clip lasts longer than the limit."),
    "too_many_pixels": ErrorPolicy(422, "A frame has more pixels than the limit."),
    "too_many_frames": ErrorPolicy(422, "Decoding has reached more video frames than the limit."),
    "too_many_audio_samples": ErrorPolicy(422, "Decoding has reached more audio samples than the limit."),
    "too_many_tracks": ErrorPolicy(422, "The file has more tracks than the limit."),
    "bad_sampled_frames": ErrorPolicy(422, "The sampled frames are not eight JPEG files of one size."),
    "bad_sampled_audio": ErrorPolicy(422, "The sampled audio is not a WAV file of 16 kHz, mono, 16 bits, at most 3 s."),
    "bad_sampled_times": ErrorPolicy(422, "The times of the sampled frames are not those of the contract."),
    "bad_media": ErrorPolicy(422, "The clip cannot be read."),
    "decode_timeout": ErrorPolicy(422, "Decoding took longer than the limit."),
    "decode_out_of_memory": ErrorPolicy(422, "Decoding took more memory than the limit."),
    "decode_failed": ErrorPolicy(422, "Decoding failed in an unforeseen way."),
    "rate_limited": ErrorPolicy(429, "The caller asks more often than the limit allows.", retry_after=1),
    "overloaded": ErrorPolicy(429, "Too many clips are waiting.", retry_after=1),
    "uploads_full": ErrorPolicy(429, "All uploads together take as much memory as they may.", retry_after=1),
    "head_too_large": ErrorPolicy(431, "The headers of the request are too large.", closes=True),
    "internal_error": ErrorPolicy(500, "A fault of the gateway; the log has the request id."),
    "decode_worker_lost": ErrorPolicy(503, "The process that decoded the clip ended.", retry_after=1),
    "deadline_exceeded": ErrorPolicy(503, "The answer would have come too late.", retry_after=1),
    "model_unavailable": ErrorPolicy(503, "No model answers at the moment.", retry_after=2),
    "contract_mismatch": ErrorPolicy(503, "The model was made for another tensor contract.", retry_after=30),
    "bad_model_file": ErrorPolicy(503, "The model file is missing or damaged.", retry_after=30),
    "not_ready": ErrorPolicy(503, "The gateway is not ready.", retry_after=2),
}
"""Error code → answer, in order of status."""


def policy_of(error: EmotionError) -> ErrorPolicy:
    """How an error is answered: by its own code, else by that of its nearest base class."""
    for base in type(error).__mro__:
        policy = POLICIES.get(getattr(base, "code", ""))
        if policy is not None:
            return replace(policy, retry_after=error.retry_after) if isinstance(error, RateLimitedError) else policy
    return POLICIES["internal_error"]
