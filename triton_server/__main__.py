"""Command line of the launcher: `python -m triton_server --model-repository DIR`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from avemotion.preprocessing.errors import EmotionError
from triton_server.launcher import TritonServer
from triton_server.options import MODEL_CONTROL_MODES, LauncherOptions


def parse_arguments(arguments: list[str] | None = None) -> LauncherOptions:
    """Read the command line.

    Args:
        arguments: The arguments; by default those of this process.
    """
    default = LauncherOptions(model_repository=Path())
    parser = argparse.ArgumentParser(
        prog="python -m triton_server",
        description="Runs the Triton server of the wheel, restarts it when inferences stop working.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--model-repository", type=Path, required=True, help="folder that holds one folder per model")
    add("--model", action="append", default=[], help="name of a model to serve, repeatable; all if left out")
    add("--environment", type=Path, default=default.environment, help="virtual environment of Triton's wheel")
    add("--host", default=default.host, help="address to listen on")
    add("--grpc-port", type=int, default=default.grpc_port, help="port of gRPC")
    add("--metrics-port", type=int, default=default.metrics_port, help="port of the Prometheus metrics")
    add("--http-port", type=int, default=default.http_port, help="port of HTTP")
    add(
        "--model-control-mode",
        choices=MODEL_CONTROL_MODES,
        default=default.model_control_mode,
        help="poll: pick up new versions while serving",
    )
    add("--poll-interval", type=int, default=default.poll_interval_seconds, help="seconds between polls")
    add("--start-timeout", type=float, default=default.start_timeout_seconds, help="seconds to get ready in")
    add("--exit-timeout", type=int, default=default.exit_timeout_seconds, help="seconds to finish requests in")
    add("--probe-interval", type=float, default=default.probe_interval_seconds, help="seconds between checks")
    add("--probe-timeout", type=float, default=default.probe_timeout_seconds, help="seconds of one check")
    add(
        "--hang-timeout",
        type=float,
        default=default.hang_timeout_seconds,
        help="seconds without one successful inference until a restart",
    )
    add(
        "--grpc-max-connection-age",
        type=int,
        default=default.connection_age_seconds,
        help="seconds until a connection is closed, so that clients find other servers of the same name; 0: never",
    )
    given = parser.parse_args(arguments)
    return LauncherOptions(
        model_repository=given.model_repository,
        models=tuple(given.model),
        environment=given.environment,
        host=given.host,
        grpc_port=given.grpc_port,
        metrics_port=given.metrics_port,
        http_port=given.http_port,
        model_control_mode=given.model_control_mode,
        poll_interval_seconds=given.poll_interval,
        start_timeout_seconds=given.start_timeout,
        exit_timeout_seconds=given.exit_timeout,
        probe_interval_seconds=given.probe_interval,
        probe_timeout_seconds=given.probe_timeout,
        hang_timeout_seconds=given.hang_timeout,
        connection_age_seconds=given.grpc_max_connection_age,
    )


def main() -> int:
    """Run until a signal asks to stop; 0 after a stop, 1 when Triton cannot be started."""
    options = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    received: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        # Windows, where the launcher only says that it cannot run, lacks one.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: received.append(number))
    server = TritonServer(options)
    try:
        server.start()
        # A signal handler cannot wake a waiting thread without a lock of its own, so look often.
        while not received and not server.wait(0.2):
            pass
    except EmotionError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
