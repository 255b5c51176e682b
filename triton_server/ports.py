"""Are the ports free? Asked before anything is started, because Triton says it late and without the option's name."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from triton_server.errors import PortInUseError, TritonServerError
from triton_server.options import LauncherOptions


def check_ports(options: LauncherOptions) -> None:
    """Check that nothing listens on the ports, before anything is started.

    Raises:
        PortInUseError: One sentence that names the port and the option that changes it.
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
            # As Triton does, so that connections of an earlier run that are still closing do not count.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((options.host, port))
                # Kept open until all are checked, so that one port given twice is noticed.
                listener.listen()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortInUseError(options.host, port, option) from error
                raise TritonServerError(f"Triton cannot listen on {options.host}:{port}: {error.strerror}.") from error
