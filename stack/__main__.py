"""`python -m stack`, behind `make run`: starts Triton and the gateway together and stops both with one Ctrl-C.

A thread of this process watches Triton and the gateway runs in the main thread, so that Ctrl-C drains the gateway
before it stops Triton. If Triton cannot run on this machine, the gateway runs the model in its own process.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from contextlib import ExitStack

from avemotion.preprocessing.errors import EmotionError
from gateway.__main__ import listen, run
from gateway.environment import load_settings
from gateway.telemetry import configure_logging
from stack.settings import StackSettings
from stack.smoke_check import check_first_prediction
from triton_server.errors import PortInUseError, TritonUnavailableError
from triton_server.launcher import TritonServer


def main() -> int:
    """Serve until a signal arrives; returns the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = load_settings(StackSettings)
        configure_logging(settings.log_level)
        with ExitStack() as stack:
            listener = stack.enter_context(listen(settings))
            settings = _start_triton(settings, stack)
            threading.Thread(target=check_first_prediction, args=(_address(listener),), daemon=True).start()
            run(settings, listener)
    except KeyboardInterrupt:
        return 0
    except PortInUseError as error:
        option = f"--triton-{error.option.removeprefix('--')}"
        sys.exit(error.describe(option))
    except EmotionError as error:
        sys.exit(error.message)
    return 0


def _start_triton(settings: StackSettings, stack: ExitStack) -> StackSettings:
    """Start Triton if the settings ask for it; returns settings that work on this machine."""
    if settings.predictor_name != "triton":
        return settings
    try:
        stack.enter_context(TritonServer(settings.launcher_options()))
    except TritonUnavailableError as error:
        print(f"{error.message} The gateway runs the model in its own process instead.", flush=True)
        return settings.model_copy(update={"predictor": "onnxruntime"})
    return settings


def _address(listener: socket.socket) -> str:
    """URL of the gateway for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
