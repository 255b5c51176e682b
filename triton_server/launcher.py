"""Runs the Triton server and keeps it answering, because Triton does not notice that it stopped.

A killed stub is never restarted by Triton, and its ready endpoints stay at 200. The launcher therefore asks for
real inferences, at start and from then on, and restarts the server when they stop working.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from avemotion.preprocessing.errors import EmotionError
from triton_server.errors import ProbeError, TritonStartError
from triton_server.installation import TritonInstallation, find_installation
from triton_server.options import LauncherOptions
from triton_server.ports import check_ports
from triton_server.probe import ModelProbe, ModelWatch
from triton_server.process import TritonProcess
from triton_server.workspace import Workspace, find_models

log = logging.getLogger("triton_server")

State = Literal["starting", "ready", "failed", "stopped"]
"""`starting` also while a broken server is replaced; `failed` only where it never got ready."""

_START_POLL_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30
_STABLE_SECONDS = 30.0
"""A server that lived for this long is restarted at once, one that keeps failing after growing pauses."""


class TritonServer:
    """A Triton server that is watched and restarted by a thread of its own.

    Use it as a context manager: entering returns when every model has answered an inference, leaving stops the
    server and removes everything that it left on the machine.
    """

    def __init__(self, options: LauncherOptions, *, on_state: Callable[[State], None] | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            options: What to serve, where.
            on_state: Called after every change of `state`, in the thread that made it: keep it short, and do not
                stop the server in it.
        """
        self.options = options
        self.restarts = 0
        self._on_state = on_state
        self._state: State = "stopped"
        self._changed = threading.Condition()
        self._error: EmotionError | None = None
        self._stopping = threading.Event()
        self._process: TritonProcess | None = None
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> State:
        """What the server is doing."""
        return self._state

    @property
    def pid(self) -> int | None:
        """Process id of the current `tritonserver`, if there is one."""
        process = self._process
        return process.pid if process else None

    @property
    def grpc_address(self) -> str:
        """Host and port of Triton's gRPC interface."""
        return f"{self.options.host}:{self.options.grpc_port}"

    def start(self) -> None:
        """Check that Triton can run here and start it in the background.

        Raises:
            TritonUnavailableError: It cannot run on this machine.
            PortInUseError: One of its ports is taken.
            ModelRepositoryError: The repository or a model is not there.
        """
        installation = find_installation(self.options.environment)
        models = find_models(self.options.model_repository, self.options.models)
        check_ports(self.options)
        workspace = Workspace(installation, models)
        self._stopping.clear()
        self._error = None
        self._set_state("starting")
        self._thread = threading.Thread(
            target=self._supervise,
            args=(installation, workspace, [model.name for model in models]),
            name="triton-supervisor",
            daemon=True,
        )
        atexit.register(self.stop)
        self._thread.start()

    def wait_until_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until every model has answered an inference.

        Args:
            timeout_seconds: Time to wait at most; by default as long as a start may take.

        Raises:
            TritonStartError: Triton ended, was stopped, or is not ready in time.
        """
        timeout = self.options.start_timeout_seconds + 1 if timeout_seconds is None else timeout_seconds
        with self._changed:
            self._changed.wait_for(lambda: self._state != "starting", timeout)
            if self._state == "ready":
                return
            if self._error is not None:
                raise self._error
            raise TritonStartError(f"Triton is not ready after {timeout:g} s; its state is '{self._state}'.")

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until the server has failed or was stopped, at most for this time; say whether it has.

        Raises:
            TritonStartError: It failed.
        """
        if self._thread is not None:
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                return False
        if self._error is not None:
            raise self._error
        return True

    def stop(self) -> None:
        """Let Triton finish what it was asked, end it, and remove what it left. Harmless when repeated."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _set_state(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()
        if self._on_state is not None:
            self._on_state(state)

    def _supervise(self, installation: TritonInstallation, workspace: Workspace, models: list[str]) -> None:
        final: State = "stopped"
        try:
            self._keep_serving(installation, workspace, models)
        except EmotionError as error:
            self._error, final = error, "failed"
        except Exception as error:
            log.exception("The launcher itself failed.")
            self._error, final = TritonStartError(f"The launcher itself failed: {error}."), "failed"
        finally:
            workspace.close()
            log.info("Triton is stopped.")
            self._set_state(final)

    def _keep_serving(self, installation: TritonInstallation, workspace: Workspace, models: list[str]) -> None:
        was_ready = False
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            process = self._process = TritonProcess(installation, workspace, self.options)
            try:
                self._await_ready(process, models)
                was_ready = True
                problem = f"Triton stopped serving: {self._watch(process, models).rstrip('.')}."
            except TritonStartError as error:
                if not was_ready:
                    raise
                problem = error.message
            finally:
                self._end(process, workspace)
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - started > _STABLE_SECONDS else failures + 1
            pause = min(2 ** (failures - 1) - 1, _LONGEST_PAUSE_SECONDS)
            log.error("%s Starting it again%s.", problem, f" in {pause} s" if pause else "")
            self.restarts += 1
            self._set_state("starting")
            self._stopping.wait(pause)

    def _await_ready(self, process: TritonProcess, models: list[str]) -> None:
        """Wait until every model has answered one inference of this process."""
        started = time.monotonic()
        waiting = [self._probe(model) for model in models]
        last = "no inference was tried"
        while waiting and not self._stopping.is_set():
            if not process.is_alive:
                raise TritonStartError(f"Triton did not start: {process.reason()}.")
            if time.monotonic() - started > self.options.start_timeout_seconds:
                raise TritonStartError(f"Triton was not ready within {self.options.start_timeout_seconds:g} s: {last}.")
            try:
                waiting[0].infer()
                waiting.pop(0)
            except ProbeError as error:
                last = error.message
                self._stopping.wait(_START_POLL_SECONDS)
        if not waiting:
            log.info(
                "Triton serves %s on %s (gRPC), ready after %.1f s.",
                ", ".join(models),
                self.grpc_address,
                time.monotonic() - started,
            )
            self._set_state("ready")

    def _watch(self, process: TritonProcess, models: list[str]) -> str:
        """Watch a ready process until it is to stop or no longer serves; say why."""
        watched = [ModelWatch(self._probe(model)) for model in models]
        dead: set[int] = set()
        while not self._stopping.wait(self.options.probe_interval_seconds):
            if not process.is_alive:
                return process.end
            dead_before, dead = dead, process.dead_stubs()
            if dead & dead_before:
                return "a stub process has ended"
            for model in watched:
                failure = model.check(self.options.hang_timeout_seconds)
                if failure and not self._stopping.is_set():
                    return failure if process.is_alive else process.end
        return "it was told to"

    def _probe(self, model: str) -> ModelProbe:
        host = "127.0.0.1" if self.options.host == "0.0.0.0" else self.options.host  # noqa: S104 (compared only)
        return ModelProbe(
            model,
            host=host,
            port=self.options.http_port,
            timeout_seconds=self.options.probe_timeout_seconds,
        )

    def _end(self, process: TritonProcess, workspace: Workspace) -> None:
        # A server that stopped serving would only spend the exit timeout on requests that nobody answers.
        if self._stopping.is_set():
            process.terminate()
        else:
            process.kill()
        self._process = None
        workspace.remove_shared_memory()
