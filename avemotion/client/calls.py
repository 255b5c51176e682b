"""Every call of the REST API, stated once: the request, and what becomes of the response.

The synchronous and the asynchronous client differ only in how they send a call. httpx is imported by the first client
that is made, because it accounts for half the time of importing the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from avemotion.api.base import ErrorDetail, ErrorResponse
from avemotion.api.predictions import BatchResponse, BatchResult, PredictResponse
from avemotion.api.service import ContractResponse, HealthResponse, ModelEntry, ModelsResponse, ReadyResponse
from avemotion.api.timeline import EndLine, ErrorLine, RowLine, StartLine, TimelineLine, TimelineResponse
from avemotion.client.errors import RefusedError, UnexpectedAnswerError, UnreachableError

if TYPE_CHECKING:
    import httpx

    from avemotion.client.sampling import SampledClip

T = TypeVar("T")
ClipSource = bytes | str | PathLike[str]
"""A clip's bytes, or the path of its file."""

ADDRESS: Final = "http://127.0.0.1:8000"
"""Default address of the gateway."""

TIMEOUT: Final = 60.0
"""Default longest silence of the gateway, in seconds."""

NDJSON: Final = "application/x-ndjson"

_BUSY: Final = {429, 503}
_LINE: Final[TypeAdapter[TimelineLine]] = TypeAdapter(TimelineLine, config=ConfigDict(defer_build=True))
_Part = tuple[str, tuple[str, bytes, str]]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its response is read.

    Attributes:
        method: HTTP method.
        path: Path below the gateway's address.
        read: Makes the result of the response's body.
        params: Query parameters; those that are None are left out.
        headers: Headers of this call.
        files: Parts of the multipart form: field, then name, bytes and type.
        data: Fields of the form that are not files.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
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
        """Read a response.

        Raises:
            RefusedError: It is an error.
            UnexpectedAnswerError: It is not what the API describes.
        """
        if not response.is_success:
            raise refusal(response)
        try:
            return self.read(response.content)
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"{response.request.url} did not answer as the gateway does: {_first_problem(error)}"
            ) from error


@dataclass(frozen=True)
class Choice:
    """The model to use, and how long the answer is of use.

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


class RetryBudget:
    """The time that one call may wait for a busy gateway."""

    def __init__(self, seconds: float) -> None:
        """Start a call.

        Args:
            seconds: Time that the call may wait in total.
        """
        self._left = seconds

    def pause_after(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the call is sent again; None to take this response.

        A busy gateway has not begun to work on what it refused, so that sending again repeats nothing.
        """
        asked = _retry_after(response)
        if response.status_code not in _BUSY or asked is None or asked > self._left:
            return None
        self._left -= max(asked, 0.1)
        return asked


def predict(clip: ClipSource, choice: Choice, *, explain: bool = False) -> Call[PredictResponse]:
    """`POST /predict`."""
    return Call(
        "POST",
        "/predict",
        PredictResponse.model_validate_json,
        params={**choice.params, "explain": "true" if explain else None},
        headers=choice.headers,
        files=[_clip_part("file", clip)],
    )


def predict_batch(clips: Sequence[ClipSource], choice: Choice) -> Call[list[BatchResult]]:
    """`POST /predict/batch`."""
    return Call(
        "POST",
        "/predict/batch",
        lambda body: BatchResponse.model_validate_json(body).results,
        params=choice.params,
        headers=choice.headers,
        files=[_clip_part("files", clip) for clip in clips],
    )


def predict_sampled(sampled: SampledClip, choice: Choice) -> Call[PredictResponse]:
    """`POST /predict/sampled`."""
    files: list[_Part] = [("frames", (f"{i}.jpg", jpeg, "image/jpeg")) for i, jpeg in enumerate(sampled.frames)]
    if sampled.audio is not None:
        files.append(("audio", ("audio.wav", sampled.audio, "audio/wav")))
    return Call(
        "POST",
        "/predict/sampled",
        PredictResponse.model_validate_json,
        params=choice.params,
        headers=choice.headers,
        files=files,
        data={"times": json.dumps(sampled.times)} if sampled.frames else {},
    )


def timeline(clip: ClipSource, choice: Choice, *, step: float | None = None) -> Call[TimelineResponse]:
    """`POST /predict/timeline`, answered whole."""
    return Call(
        "POST",
        "/predict/timeline",
        TimelineResponse.model_validate_json,
        params={**choice.params, "step": step},
        headers=choice.headers,
        files=[_clip_part("file", clip)],
    )


def stream_timeline(clip: ClipSource, choice: Choice, *, step: float | None = None) -> Call[bytes]:
    """`POST /predict/timeline`, answered row by row; `timeline_line` reads each line."""
    return Call(
        "POST",
        "/predict/timeline",
        bytes,
        params={**choice.params, "step": step},
        headers={**choice.headers, "Accept": NDJSON},
        files=[_clip_part("file", clip)],
    )


def timeline_line(line: str) -> StartLine | RowLine | None:
    """Read one line of a streamed timeline; None at its end.

    Raises:
        RefusedError: The gateway gave up on the remaining rows.
        UnexpectedAnswerError: The line is not what the API describes.
    """
    try:
        found = _LINE.validate_json(line)
    except ValidationError as error:
        raise UnexpectedAnswerError(
            f"A line of the timeline cannot be read: {_first_problem(error)}: {line[:80]!r}."
        ) from error
    match found:
        case EndLine():
            return None
        case ErrorLine():
            raise _refused(found.error)
        case _:
            return found


def models() -> Call[list[ModelEntry]]:
    """`GET /models`."""
    return Call("GET", "/models", lambda body: ModelsResponse.model_validate_json(body).models)


def contract() -> Call[ContractResponse]:
    """`GET /contract`."""
    return Call("GET", "/contract", ContractResponse.model_validate_json)


def health() -> Call[HealthResponse]:
    """`GET /health`."""
    return Call("GET", "/health", HealthResponse.model_validate_json)


def ready() -> Call[ReadyResponse]:
    """`GET /health/ready`."""
    return Call("GET", "/health/ready", ReadyResponse.model_validate_json)


def key_header(api_key: str | None) -> dict[str, str]:
    """The header that carries an API key."""
    return {} if api_key is None else {"X-API-Key": api_key}


def refusal(response: httpx.Response) -> RefusedError | UnexpectedAnswerError:
    """The exception for a response that is an error; its body must have been read."""
    try:
        error = ErrorResponse.model_validate_json(response.content).error
    except ValidationError:
        return UnexpectedAnswerError(
            f"{response.request.url} answered {response.status_code} without an error of the API: "
            f"{response.text[:80]!r}."
        )
    return _refused(error, status=response.status_code, retry_after=_retry_after(response))


@contextmanager
def unreachable_if_broken(request: httpx.Request) -> Iterator[None]:
    """Turn errors of the transport inside the context into `UnreachableError`."""
    import httpx  # noqa: PLC0415 (see the module's docstring)

    try:
        yield
    except httpx.TransportError as error:
        what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        raise UnreachableError(f"{request.url} {what} ({error or type(error).__name__}).") from error


def _refused(error: ErrorDetail, *, status: int | None = None, retry_after: float | None = None) -> RefusedError:
    return RefusedError(
        error.message, code=error.code, request_id=error.request_id, status=status, retry_after=retry_after
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of the header `Retry-After`; the gateway never sends a date."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a response, and where."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _clip_part(name: str, clip: ClipSource) -> _Part:
    """A file part; the file's name is private and stays here."""
    data = clip if isinstance(clip, bytes) else Path(clip).read_bytes()
    return name, ("clip", data, "application/octet-stream")
