"""One run of the program `tritonserver`: its command line, its log, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

from triton_server.installation import TritonInstallation
from triton_server.options import LauncherOptions
from triton_server.triton_log import TritonLog
from triton_server.workspace import Workspace

_KILL_WAIT_SECONDS = 5.0
_CONNECTION_GRACE_SECONDS = 15
"""Time that calls get to finish on a connection that is too old; longer than the gateway's deadline."""


class TritonProcess:
    """A running `tritonserver`, in a session of its own so that its stubs end with it."""

    def __init__(self, installation: TritonInstallation, workspace: Workspace, options: LauncherOptions) -> None:
        """Start it.

        Args:
            installation: The Triton to run.
            workspace: Its folders.
            options: What to serve, where.
        """
        self._exit_timeout = options.exit_timeout_seconds
        self._log = TritonLog({str(workspace.models): str(options.model_repository)})
        self._process = subprocess.Popen(
            [installation.server, *_flags(workspace, options)],
            env=installation.variables(),
            # The stub imports from its working folder before anything else.
            cwd=workspace.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of `tritonserver`."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def end(self) -> str:
        """How it ended, without a full stop."""
        code = self._process.poll()
        return f"it ended by signal {-code}" if code and code < 0 else f"it ended with exit code {code}"

    def dead_stubs(self) -> set[int]:
        """Process ids of stubs that have ended and that Triton has not taken note of.

        A stub that Triton unloads is among them for a moment only, one that was killed stays. Test inferences
        alone would not find it where a second instance of the model answers them.
        """
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # proc_pid_stat(5): the name, in parentheses, may hold anything; state and parent follow it.
                state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(parent) == self.pid:
                    found.add(int(process.name))
        return found

    def reason(self) -> str:
        """Why it could not start, in Triton's own words where it said anything, without a full stop."""
        self._reader.join(timeout=1)
        return self._log.reason() or self.end

    def terminate(self) -> None:
        """Ask it to finish what it was asked and end; kill it when it takes longer than the exit timeout."""
        if self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._exit_timeout + 1)
        self.kill()

    def kill(self) -> None:
        """End it and its stubs at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(_KILL_WAIT_SECONDS)
        # It reads until the last stub is gone.
        self._reader.join(_KILL_WAIT_SECONDS)

    def _read_log(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (for the type checker; it was asked for above)
        with self._process.stdout as lines:
            self._log.forward(lines)


def _flags(workspace: Workspace, options: LauncherOptions) -> list[str]:
    """Arguments of `tritonserver`; triton_server/README.md says what each is for."""
    # Closed to everybody: nobody is told the key, and the launcher itself has no use for it.
    secret = os.urandom(16).hex()
    closed = f"model-repository,shared-memory,trace,logging:launcher-key={secret}"
    polling = [f"--repository-poll-secs={options.poll_interval_seconds}"]
    ageing = [
        f"--grpc-max-connection-age={1000 * options.connection_age_seconds}",
        f"--grpc-max-connection-age-grace={1000 * _CONNECTION_GRACE_SECONDS}",
    ]
    return [
        f"--model-repository={workspace.models}",
        f"--backend-directory={workspace.backends}",
        f"--backend-config=python,shm-region-prefix-name={workspace.shared_memory_prefix}",
        f"--model-control-mode={options.model_control_mode}",
        *(polling if options.model_control_mode == "poll" else []),
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={options.exit_timeout_seconds}",
        f"--grpc-address={options.host}",
        f"--grpc-port={options.grpc_port}",
        *(ageing if options.connection_age_seconds else []),
        f"--http-address={options.host}",
        f"--http-port={options.http_port}",
        f"--metrics-address={options.host}",
        f"--metrics-port={options.metrics_port}",
        "--allow-gpu-metrics=false",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        f"--http-restricted-api={closed}",
        f"--grpc-restricted-protocol={closed}",
        "--pinned-memory-pool-byte-size=0",
        "--log-info=false",
        "--log-warning=false",
    ]
