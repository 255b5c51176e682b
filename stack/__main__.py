"""`python -m stack`, behind `make run`: Triton and the gateway, started and stopped together.

Triton is watched by a thread of this process and the gateway runs in its main thread, so that one Ctrl-C drains
the gateway first and ends Triton after it. Where Triton cannot run, the gateway computes in its own process.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack

from pydantic import ValidationError

from avemotion.preprocessing.errors import EmotionError
from gateway.__main__ import describe_faults, listen, run
from gateway.settings import Settings
from gateway.telemetry import configure_logging
from stack.smoke_check import check_first_prediction
from triton_server.errors import PortInUseError, TritonUnavailableError
from triton_server.launcher import TritonServer
from triton_server.options import LauncherOptions


def main() -> int:
    """Serve until a signal ends it; returns the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            settings = Settings()
            configure_logging(settings.log_level)
            listener = stack.enter_context(listen(settings))
            settings = _start_triton(settings, stack)
            threading.Thread(target=check_first_prediction, args=(settings,), daemon=True).start()
            run(settings, listener)
    except KeyboardInterrupt:
        return 0
    except ValidationError as error:
        print(describe_faults(error), file=sys.stderr)
        return 1
    except PortInUseError as error:
        print(
            f"{error.message} Here that is EMO_TRITON_GRPC_PORT, EMO_TRITON_METRICS_PORT or EMO_TRITON_HTTP_PORT.",
            file=sys.stderr,
        )
        return 1
    except EmotionError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _start_triton(settings: Settings, stack: ExitStack) -> Settings:
    """Start Triton where the settings want it; returns settings that work on this machine."""
    if settings.predictor_name != "triton":
        return settings
    options = LauncherOptions(
        model_repository=settings.model_repository,
        environment=settings.triton_environment,
        host=settings.triton_host,
        grpc_port=settings.triton_grpc_port,
        metrics_port=settings.triton_metrics_port,
        http_port=settings.triton_http_port,
        model_control_mode="poll",
    )
    try:
        stack.enter_context(TritonServer(options))
    except TritonUnavailableError as error:
        print(f"{error.message} The gateway computes in its own process instead.", flush=True)
        return settings.model_copy(update={"predictor": "onnxruntime"})
    return settings


if __name__ == "__main__":
    sys.exit(main())
