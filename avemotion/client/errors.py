"""Errors of the clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from avemotion.preprocessing.errors import EmotionError


class ClientError(EmotionError):
    """There is no answer. Its subclasses say why."""

    code = "client_error"


class UnreachableError(ClientError):
    """No connection, or no answer in time."""

    code = "unreachable"


class UnexpectedAnswerError(ClientError):
    """The server answered, but not as the API describes."""

    code = "unexpected_answer"


class MissingExtraError(ClientError):
    """A call needs packages that are not installed."""

    code = "missing_extra"


class RefusedError(ClientError):
    """The server answered with an error.

    Attributes:
        code: The server's own code, e.g. `unsupported_media`.
        request_id: ID of the request in the server's log; None if the server sent none.
        status: HTTP status; None if the server speaks gRPC.
        retry_after: Seconds after which the server suggests to try again; None if it suggests nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        request_id: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # a constant of every other class, the server's word here
        self.request_id = request_id
        self.status = status
        self.retry_after = retry_after


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Name the extra to install if an import inside the context fails.

    Args:
        extra: Name of the extra in the distribution's metadata.

    Raises:
        MissingExtraError: A package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'avemotion[{extra}]'") from error
