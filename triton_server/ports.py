"""Checks that ports are free before Triton starts, which reports a conflict late and without the option's name."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from triton_server.errors import PortInUseError, TritonServerError
from triton_server.options import LauncherOptions


def check_ports(options: LauncherOptions) -> None:
    """Check that Triton can listen on its ports.

    Raises:
        PortInUseError: A port is in use; the message names the port and the option that changes it.
        TritonServerError: The address is not this machine's, or the port is reserved.
    """
    ports = {
        "--grpc-port": options.grpc_port,
        "--metrics-port": options.metrics_port,
        "--http-port": options.http_port,
    }
    with ExitStack() as stack:
        for option, port in ports.items():
            listener = stack.enter_context(socket.socket())
            # As Triton does, so that closing connections of an earlier run do not count.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((options.host, port))
                # Stays open until all ports are checked, which finds a port that is given twice.
                listener.listen()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortInUseError(options.host, port, option) from error
                raise TritonServerError(f"Triton cannot listen on {options.host}:{port}: {error.strerror}.") from error
