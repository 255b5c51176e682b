"""nginx with the recorder image's own configuration, in front of a gateway or of nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.gateway.running import PATIENCE, wait_until
from tests.support.tools import tool
from tests.support.triton import free_ports

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "frontend" / "nginx.conf"


@contextmanager
def serving_recorder(gateway_port: int) -> Iterator[httpx.Client]:
    """Serve the page, and below `/api/` the gateway.

    Args:
        gateway_port: Where the gateway listens on loopback.

    Yields:
        A client of nginx.
    """
    nginx = tool("nginx")
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "nginx.conf"
        file.write_text(_configuration(folder, port, gateway_port))
        user = " user root;" if os.geteuid() == 0 else ""
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen([nginx, "-c", file, "-g", f"daemon off;{user}"], stderr=errors)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                wait_until(lambda: process.poll() is not None or _alive(client), "nginx listens")
                assert process.poll() is None, (folder / "errors").read_text()
                yield client
        finally:
            process.terminate()
            process.wait(timeout=10)


def _configuration(folder: Path, port: int, gateway_port: int) -> str:
    """The image's configuration for this machine."""
    text = TEMPLATE.read_text()
    for old, new in {
        "${NGINX_LOCAL_RESOLVERS}": "127.0.0.1",
        "${GATEWAY_HOST}": "127.0.0.1",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "$gateway:8000": f"$gateway:{gateway_port}",
        "/tmp/": f"{folder}/",  # noqa: S108 (where the image writes)
        "/dev/stdout": "off",
        "/usr/share/nginx/html": f'"{ROOT / "frontend"}"',  # last: it may itself hold what is replaced above
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


def _alive(client: httpx.Client) -> bool:
    try:
        return client.get("/recorder-health").status_code == 200
    except httpx.TransportError:
        return False
