"""What can go wrong around the Triton server, as part of the product's error hierarchy."""

from __future__ import annotations

from avemotion.preprocessing.errors import EmotionError


class TritonServerError(EmotionError):
    """Base of the errors of this package."""

    code = "triton_server_error"


class TritonUnavailableError(TritonServerError):
    """This machine or this environment cannot run the wheel's Triton. The message says what is missing."""

    code = "triton_unavailable"


class PortInUseError(TritonServerError):
    """Another program listens on a port that Triton needs.

    Attributes:
        option: The option of `python -m triton_server` that chooses the port.
    """

    code = "port_in_use"

    def __init__(self, host: str, port: int, option: str) -> None:
        self._where = f"Port {port} on {host}"
        self.option = option
        super().__init__(self.describe(option))

    def describe(self, option: str) -> str:
        """The sentence for users of a program that names the option otherwise."""
        return f"{self._where} is already in use; choose another one with {option}."


class ModelRepositoryError(TritonServerError):
    """The model repository, or a model asked for, is not there."""

    code = "bad_model_repository"


class TritonStartError(TritonServerError):
    """Triton ended, or answered no inference in time, before it was ready. The message carries its reason."""

    code = "triton_start_failed"


class ProbeError(TritonServerError):
    """A test inference failed."""

    code = "triton_probe_failed"
