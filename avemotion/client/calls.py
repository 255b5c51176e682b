"""Every call of the REST API, once: what is sent, and what the answer becomes.

The synchronous and the asynchronous client differ in how they send a call, and in nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
from pydantic import ValidationError

from avemotion.client.answers import BatchItem, ModelEntry, Prediction, Timeline, TimelineRow, TimelineStart
from avemotion.client.errors import RefusedError, UnexpectedAnswerError
from avemotion.client.sampling import SampledClip

T = TypeVar("T")
ClipSource = bytes | str | PathLike[str]
"""A clip's bytes, or the path of its file."""

NDJSON = "application/x-ndjson"
_Part = tuple[str, tuple[str, bytes, str]]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and what its answer becomes.

    Attributes:
        method: HTTP method.
        path: Path below the gateway's address.
        parse: Makes the result of the answer's JSON.
        params: Query parameters; those that are None are left out.
        headers: Headers of this call.
        files: Parts of the multipart form: field, then name, bytes and type.
        data: Fields of the form that are no files.
    """

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[_Part] = ()
    data: Mapping[str, str] = field(default_factory=dict)

    def request(self, client: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The call as a request of an HTTP client."""
        params = {name: value for name, value in self.params.items() if value is not None}
        return client.build_request(
            self.method,
            self.path,
            params=params,
            headers=self.headers,
            files=list(self.files) or None,
            data=self.data or None,
        )

    def result(self, response: httpx.Response) -> T:
        """What an answer says.

        Raises:
            RefusedError: It is an error.
            UnexpectedAnswerError: It is not the gateway's.
        """
        if not response.is_success:
            raise refusal(response)
        try:
            return self.parse(response.json())
        except (ValueError, ValidationError, KeyError, TypeError) as error:
            raise UnexpectedAnswerError(
                f"{response.request.url} did not answer as the gateway does: {str(error).splitlines()[0]}"
            ) from error


@dataclass(frozen=True)
class Choice:
    """Which model answers, and until when an answer is wanted.

    Attributes:
        model: Name of the model; None for the gateway's default.
        version: Its version; None for the newest.
        deadline: Seconds after which the answer is of no more use; None for the gateway's limit.
    """

    model: str | None = None
    version: str | None = None
    deadline: float | None = None

    @property
    def params(self) -> dict[str, str | None]:
        """Query parameters."""
        return {"model": self.model, "version": self.version}

    @property
    def headers(self) -> dict[str, str]:
        """Request headers."""
        return {} if self.deadline is None else {"X-Deadline-Seconds": f"{self.deadline:g}"}


def predict(clip: ClipSource, choice: Choice, *, explain: bool = False) -> Call[Prediction]:
    """`POST /predict`."""
    return Call(
        "POST",
        "/predict",
        Prediction.model_validate,
        params={**choice.params, "explain": "true" if explain else None},
        headers=choice.headers,
        files=[_clip_part("file", clip)],
    )


def predict_batch(clips: Sequence[ClipSource], choice: Choice) -> Call[list[BatchItem]]:
    """`POST /predict/batch`."""
    return Call(
        "POST",
        "/predict/batch",
        lambda body: [BatchItem.model_validate(item) for item in body["results"]],
        params=choice.params,
        headers=choice.headers,
        files=[_clip_part("files", clip) for clip in clips],
    )


def predict_sampled(sampled: SampledClip, choice: Choice) -> Call[Prediction]:
    """`POST /predict/sampled`."""
    files: list[_Part] = [("frames", (f"{i}.jpg", jpeg, "image/jpeg")) for i, jpeg in enumerate(sampled.frames)]
    if sampled.audio is not None:
        files.append(("audio", ("audio.wav", sampled.audio, "audio/wav")))
    return Call(
        "POST",
        "/predict/sampled",
        Prediction.model_validate,
        params=choice.params,
        headers=choice.headers,
        files=files,
        data={"times": json.dumps(sampled.times)} if sampled.frames else {},
    )


def timeline(clip: ClipSource, choice: Choice, *, step: float | None = None) -> Call[Timeline]:
    """`POST /predict/timeline`, answered whole."""
    return Call(
        "POST",
        "/predict/timeline",
        Timeline.model_validate,
        params={**choice.params, "step": step},
        headers=choice.headers,
        files=[_clip_part("file", clip)],
    )


def stream_timeline(clip: ClipSource, choice: Choice, *, step: float | None = None) -> Call[Any]:
    """`POST /predict/timeline`, answered row by row; `timeline_event` reads each line."""
    return Call(
        "POST",
        "/predict/timeline",
        lambda body: body,
        params={**choice.params, "step": step},
        headers={**choice.headers, "Accept": NDJSON},
        files=[_clip_part("file", clip)],
    )


def timeline_event(line: str) -> TimelineStart | TimelineRow | None:
    """One line of a streamed timeline; None at its end.

    Raises:
        RefusedError: The gateway gave up on the rest.
        UnexpectedAnswerError: The line is none of the gateway's.
    """
    try:
        body = json.loads(line)
        match body["type"]:
            case "start":
                return TimelineStart.model_validate(body)
            case "row":
                return TimelineRow.model_validate(body)
            case "end":
                return None
            case "error":
                error = body["error"]
                raise RefusedError(error["message"], code=error["code"], request_id=error.get("request_id"))
    except (ValueError, ValidationError, KeyError, TypeError) as error:
        raise UnexpectedAnswerError(f"A line of the timeline cannot be read: {line[:80]!r}.") from error
    raise UnexpectedAnswerError(f"A line of the timeline is of an unknown type: {line[:80]!r}.")


def models() -> Call[list[ModelEntry]]:
    """`GET /models`."""
    return Call("GET", "/models", lambda body: [ModelEntry.model_validate(item) for item in body["models"]])


def contract() -> Call[dict[str, Any]]:
    """`GET /contract`."""
    return Call("GET", "/contract", dict)


def health() -> Call[dict[str, Any]]:
    """`GET /health`."""
    return Call("GET", "/health", dict)


def ready() -> Call[dict[str, Any]]:
    """`GET /health/ready`."""
    return Call("GET", "/health/ready", dict)


def refusal(response: httpx.Response) -> RefusedError | UnexpectedAnswerError:
    """The exception for an answer that is an error; its body must have been read."""
    try:
        error = response.json()["error"]
        message, code, request_id = error["message"], error["code"], error.get("request_id")
    except (ValueError, KeyError, TypeError):
        return UnexpectedAnswerError(
            f"{response.request.url} answered {response.status_code} without the gateway's words: "
            f"{response.text[:80]!r}."
        )
    return RefusedError(
        message,
        code=code,
        request_id=request_id,
        status=response.status_code,
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def _seconds(value: str | None) -> float | None:
    """Retry-After in seconds; the gateway never sends a date."""
    return float(value) if value is not None and value.isdecimal() else None


def _clip_part(name: str, clip: ClipSource) -> _Part:
    """A file part; the file's name stays here, as it is nobody's business."""
    data = clip if isinstance(clip, bytes) else Path(clip).read_bytes()
    return name, ("clip", data, "application/octet-stream")
