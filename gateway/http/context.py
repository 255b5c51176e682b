"""The context of a prediction request: caller, model, deadline, and the upload once it is read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeVar

from fastapi import Depends, Header, Query, Request
from starlette.requests import ClientDisconnect

from gateway.auth.authentication import Caller
from gateway.deadlines import Deadline
from gateway.errors import InvalidRequestError
from gateway.predict.predictor import ModelChoice, ModelDescription
from gateway.telemetry import request_id_of_task

if TYPE_CHECKING:
    from gateway.services import Services

Upload = TypeVar("Upload")
Result = TypeVar("Result")

DEADLINE_HEADER: Final = "X-Deadline-Seconds"

_MODEL_NAME: Final = r"^[A-Za-z0-9_.-]{1,100}$"
_VERSION: Final = r"^[1-9][0-9]{0,17}$"


@dataclass(frozen=True)
class Accepted(Generic[Upload]):
    """A request whose upload has been read.

    Attributes:
        services: The running gateway.
        upload: What was uploaded.
        model: The model that was asked for.
        is_default: Whether that is the model of callers who ask for none.
        deadline: When the answer is no longer of use.
        request_id: Id of the request.
        upload_seconds: How long the upload took, in seconds.
    """

    services: Services
    upload: Upload
    model: ModelDescription
    is_default: bool
    deadline: Deadline
    request_id: str
    upload_seconds: float


@dataclass(frozen=True)
class RequestContext:
    """An authorised request whose body has not been read.

    Attributes:
        request: The request.
        services: The running gateway.
        choice: The model that is asked for.
        deadline: When the client stops waiting; None if it did not say.
    """

    request: Request
    services: Services
    choice: ModelChoice
    deadline: Deadline | None

    async def accept(
        self, read: Callable[[RequestContext, Deadline], Awaitable[Upload]], longest: float | None = None
    ) -> Accepted[Upload]:
        """Reject what cannot be answered before any of the body is read; then read the body.

        Args:
            read: Reads the upload until a deadline.
            longest: Longest time from the end of the upload to the answer, in seconds; the setting's if None.

        Raises:
            NotReadyError: The gateway is stopping.
            OverloadedError: As many clips are waiting as may.
            ModelNotFoundError: There is no such model.
            ModelUnavailableError: The model does not answer.
            EmotionError: Another subclass says what is wrong with the upload.
        """
        begin = time.perf_counter()
        services, choice, settings = self.services, self.choice, self.services.settings
        services.readiness.reject_while_draining()
        services.pool.check_capacity()
        model = await services.predictor.describe(choice, Deadline.after(settings.inference_timeout))
        upload = await read(self, self._deadline_within(settings.upload_timeout))
        return Accepted(
            services=services,
            upload=upload,
            model=model,
            is_default=choice.name in {None, services.predictor.default_model} and choice.version is None,
            deadline=self._deadline_within(longest or settings.request_deadline),
            request_id=request_id_of_task.get() or "",
            upload_seconds=time.perf_counter() - begin,
        )

    async def run(self, work: Awaitable[Result]) -> Result:
        """Await work for a client whose upload has been read; cancel it when the client disconnects.

        Raises:
            ClientDisconnect: The client disconnected first.
        """
        working = asyncio.current_task()
        assert working is not None  # noqa: S101 (for the type checker)
        watching = asyncio.create_task(_cancel_on_disconnect(self.request, working))
        try:
            return await work
        except asyncio.CancelledError:
            if not watching.done():
                raise
            working.uncancel()
            raise ClientDisconnect from None
        finally:
            watching.cancel()

    def _deadline_within(self, seconds: float) -> Deadline:
        """The client's deadline or one so many seconds from now, whichever comes first."""
        own = Deadline.after(seconds, ends_request=True)
        return own if self.deadline is None else own.earlier(self.deadline)


async def _cancel_on_disconnect(request: Request, working: asyncio.Task[object]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    working.cancel()


async def check_query(request: Request) -> None:
    """Reject unknown query parameters, whose defaults would otherwise apply silently, and repeated ones.

    Raises:
        InvalidRequestError: OpenAPI describes no such parameter for the path, or it is given twice.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    if not given:
        return
    path = request.scope["route"].path
    operations = request.app.openapi()["paths"].get(path, {}).values()
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", [])]
    known = sorted(parameter["name"] for parameter in parameters if parameter["in"] == "query")
    for name, count in given.items():
        if name not in known:
            nearest = get_close_matches(name[:40].lower(), known, n=1)
            advice = f" (did you mean '{nearest[0]}'?)" if nearest else ""
            raise InvalidRequestError(
                f"There is no query parameter '{name[:40]}'{advice}; {path} accepts {', '.join(known) or 'none'}."
            )
        if count > 1:
            raise InvalidRequestError(f"The query parameter '{name}' is given {count} times; it takes one value.")


async def _request_context(
    request: Request,
    _: Caller,
    *,
    seconds: Annotated[
        float | None,
        Header(
            alias=DEADLINE_HEADER,
            ge=0.001,
            le=86_400,
            description=(
                "Seconds after which the answer is no longer of use to the client, upload included; the server then "
                "gives up all work for it. The server's own limits hold, too."
            ),
        ),
    ] = None,
    model: Annotated[
        str | None,
        Query(
            pattern=_MODEL_NAME,
            description="Name of one of the models that `/models` lists; the server's default if left out.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        Query(
            pattern=_VERSION,
            description="Version of the model, one of those that `/models` lists; the newest if left out.",
        ),
    ] = None,
) -> RequestContext:
    deadline = None if seconds is None else Deadline.after(seconds, ends_request=True)
    return RequestContext(request, request.app.state.services, ModelChoice(model, version), deadline)


ContextDependency = Annotated[RequestContext, Depends(_request_context)]

Explain = Annotated[
    bool,
    Query(
        description="Ask the companion language model, if the server has one, to put the probabilities into words. If "
        "it fails or is late, the prediction is answered all the same, and `explanation` is null."
    ),
]
