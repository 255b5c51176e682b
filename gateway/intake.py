"""What every prediction goes through before its work begins: may it, for which model, and its upload."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Depends, Query, Request

from gateway.authentication import BearerToken, KeyHeader, bearer_token, identify, key_header
from gateway.deadline import Deadline
from gateway.disconnect import run_while_connected
from gateway.logs import request_id_of_task
from gateway.predictors import ModelChoice, ModelDescription
from gateway.request_deadline import DeadlineSeconds, RequestDeadline
from gateway.services import Services, services_of
from gateway.settings import Settings

Upload = TypeVar("Upload")
Result = TypeVar("Result")

_MODEL_NAME: Final = r"^[A-Za-z0-9_.-]{1,100}$"
_VERSION: Final = r"^[1-9][0-9]{0,17}$"


@dataclass(frozen=True)
class Intake(Generic[Upload]):
    """A request that may be worked on.

    Attributes:
        upload: What was uploaded.
        model: The model that is asked for.
        is_default: Whether it is the one that everybody gets who asks for none.
        deadline: When the answer is of no more use.
        request_id: Id of the request.
        upload_seconds: How long the upload took, in seconds.
    """

    upload: Upload
    model: ModelDescription
    is_default: bool
    deadline: Deadline
    request_id: str
    upload_seconds: float


@dataclass(frozen=True)
class Admission:
    """A request by somebody who may ask, whose body has not been read.

    Attributes:
        request: The request.
        services: The running gateway.
        choice: The model that is asked for.
        deadline: How long the request may take.
    """

    request: Request
    services: Services
    choice: ModelChoice
    deadline: RequestDeadline

    async def take_in(
        self, read: Callable[[Request, Settings, Deadline], Awaitable[Upload]], longest: float | None = None
    ) -> Intake[Upload]:
        """Refuse what cannot be answered, before anything of its body is read; then read the body.

        Args:
            read: Reads the body.
            longest: Seconds from the end of the upload to the answer, where it is not the setting for all.

        Raises:
            NotReadyError: The gateway is stopping.
            OverloadedError: As many clips are waiting as may.
            ModelNotFoundError: There is no such model.
            ModelUnavailableError: The model does not answer.
            EmotionError: Another subclass says what is wrong with the upload.
        """
        begin = time.perf_counter()
        services, choice = self.services, self.choice
        services.readiness.refuse_while_draining()
        services.pool.check_capacity()
        model = await services.predictor.describe(choice, Deadline.after(services.settings.inference_timeout))
        upload = await read(self.request, services.settings, self.deadline.for_upload())
        return Intake(
            upload=upload,
            model=model,
            is_default=choice.name in {None, services.predictor.default_model} and choice.version is None,
            deadline=self.deadline.for_answer(longest),
            request_id=request_id_of_task.get() or "",
            upload_seconds=time.perf_counter() - begin,
        )

    async def run(self, work: Awaitable[Result]) -> Result:
        """Do the work of a request whose body has been read, as long as its client is there.

        Args:
            work: What to do.

        Raises:
            ClientDisconnect: The client went first.
        """
        return await run_while_connected(self.request, work)


async def _admission(
    request: Request,
    key: KeyHeader,
    bearer: BearerToken,
    *,
    seconds: DeadlineSeconds = None,
    model: Annotated[
        str | None,
        Query(
            pattern=_MODEL_NAME,
            description="Name of the model, of those that `/models` lists; without it, the server's default.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        Query(
            pattern=_VERSION,
            description="Version of the model, of those that `/models` lists; without it, the newest.",
        ),
    ] = None,
) -> Admission:
    services = services_of(request)
    deadline = RequestDeadline.from_now(services.settings, seconds)
    await identify(request, key, bearer)
    return Admission(request, services, ModelChoice(model, version), deadline)


async def admit(request: Request) -> Admission:
    """Admit a request with the defaults of all that a caller may ask for.

    Args:
        request: A request whose body has not been read.

    Raises:
        UnauthorizedError: The caller's key is missing or wrong.
        RateLimitedError: The caller asks too often.
    """
    return await _admission(request, await key_header(request), await bearer_token(request))


AdmissionDependency = Annotated[Admission, Depends(_admission)]

Explain = Annotated[
    bool,
    Query(
        description="Ask the companion language model, where there is one, to put the probabilities into words. Its "
        "failure or slowness costs no prediction: `explanation` is null then."
    ),
]
