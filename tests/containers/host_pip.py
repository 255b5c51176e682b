"""This machine's pip settings, made to work inside of a build: a build has its network, but not its files.

Indexes and wheels that lie in folders of this machine are served on loopback while images are built.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian keeps the certificates of authorities; a copy of this machine's file lies there in the base images."""

_TAKEN_OVER = ("index-url", "extra-index-url", "trusted-host", "find-links", "timeout")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in the base class)
        """Requests are not logged."""


@contextlib.contextmanager
def settings_for_builds(folder: Path) -> Iterator[str]:
    """The text of a `pip.conf` that works while the context lasts.

    Args:
        folder: Empty; links to what is served go there.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        lines = [
            f"{name} = {' '.join(_reachable(place, folder, root) for place in settings[name].split())}"
            for name in _TAKEN_OVER
            if name in settings
        ]
        yield "\n".join(["[global]", f"cert = {CERTIFICATES}", *lines, ""])
        server.shutdown()


def _reachable(place: str, folder: Path, root: str) -> str:
    """An address for a place; one of a folder where it is a folder's."""
    path = Path(place.removeprefix("file://"))
    if not path.is_absolute() or not path.is_dir():
        return place
    # Pages of an index point to files beside its folder, so the folder above is served.
    link = folder / str(len(list(folder.iterdir())))
    link.symlink_to(path.parent)
    return f"{root}/{link.name}/{path.name}/"
