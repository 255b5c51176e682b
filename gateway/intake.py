"""What every prediction goes through before its work begins: may it, for which model, and its upload."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request

from gateway.deadline import Deadline
from gateway.logs import request_id_of_task
from gateway.predictors import ModelChoice, ModelDescription
from gateway.request_deadline import RequestDeadline
from gateway.services import Services
from gateway.settings import Settings

Upload = TypeVar("Upload")

MODEL_NAME_PATTERN = r"^[A-Za-z0-9_.-]{1,100}$"
VERSION_PATTERN = r"^[1-9][0-9]{0,17}$"


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


def _model_choice(
    model: Annotated[
        str | None,
        Query(
            pattern=MODEL_NAME_PATTERN,
            description="Name of the model, of those that `/models` lists; without it, the server's default.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        Query(
            pattern=VERSION_PATTERN,
            description="Version of the model, of those that `/models` lists; without it, the newest.",
        ),
    ] = None,
) -> ModelChoice:
    return ModelChoice(model, version)


ModelChoiceDependency = Annotated[ModelChoice, Depends(_model_choice)]


async def take_in(
    request: Request,
    services: Services,
    choice: ModelChoice,
    request_deadline: RequestDeadline,
    read: Callable[[Request, Settings, Deadline], Awaitable[Upload]],
) -> Intake[Upload]:
    """Refuse what cannot be answered, before anything of its body is read; then read the body.

    Args:
        request: A request whose body has not been read.
        services: The running gateway.
        choice: The model that is asked for.
        request_deadline: How long the request may take.
        read: Reads the body.

    Raises:
        NotReadyError: The gateway is stopping.
        OverloadedError: As many clips are waiting as may.
        ModelNotFoundError: There is no such model.
        ModelUnavailableError: The model does not answer.
        EmotionError: Another subclass says what is wrong with the upload.
    """
    begin = time.perf_counter()
    settings = services.settings
    services.readiness.refuse_while_draining()
    services.pool.check_capacity()
    model = await services.predictor.describe(choice, Deadline.after(settings.inference_timeout))
    upload = await read(request, settings, request_deadline.for_upload())
    return Intake(
        upload=upload,
        model=model,
        is_default=choice.name in {None, services.predictor.default_model} and choice.version is None,
        deadline=request_deadline.for_answer(),
        request_id=request_id_of_task.get() or "",
        upload_seconds=time.perf_counter() - begin,
    )
