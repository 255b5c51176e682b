"""What can go wrong between a caller and an answer, as exceptions that carry the answer's own words."""

from __future__ import annotations

from avemotion.preprocessing.errors import EmotionError


class ClientError(EmotionError):
    """There is no answer. Its subclasses say whether somebody refused or nobody was there."""

    code = "client_error"


class UnreachableError(ClientError):
    """Nobody answered: no connection, or not in time."""

    code = "unreachable"


class UnexpectedAnswerError(ClientError):
    """Somebody answered, but not as the gateway does."""

    code = "unexpected_answer"


class RefusedError(ClientError):
    """The server answered with an error.

    Attributes:
        code: The server's own code, e.g. `unsupported_media`.
        request_id: Id of the request in the server's log; None where the server gave none.
        status: HTTP status, or None where the server speaks gRPC.
        retry_after: Seconds after which the server suggests to try again; None where it does not.
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
        self.code = code  # type: ignore[misc]  # a class's own constant everywhere else, the server's word here
        self.request_id = request_id
        self.status = status
        self.retry_after = retry_after
