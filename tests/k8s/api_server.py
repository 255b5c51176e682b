"""A Kubernetes API server with an etcd behind it and no nodes, where its programs are on this machine.

They are looked for where `setup-envtest` says that it has put them (the variable KUBEBUILDER_ASSETS) and on the path.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tools import tool
from tests.support.triton import free_ports

_STARTING_SECONDS = 90.0
_TOKEN = "of-this-test"  # noqa: S105 (the server listens on loopback while the test runs)


class ApiServer:
    """A running API server; `kubectl` talks to it."""

    def __init__(self, port: int) -> None:
        self._command = [
            tool("kubectl"),
            f"--server=https://127.0.0.1:{port}",
            "--insecure-skip-tls-verify",
            f"--token={_TOKEN}",
        ]

    def kubectl(self, *arguments: str, manifests: str = "") -> subprocess.CompletedProcess[str]:
        """Run `kubectl`, with manifests as its standard input."""
        return subprocess.run(
            [*self._command, *arguments], input=manifests, capture_output=True, text=True, check=False
        )


def _program(name: str) -> str:
    path = os.pathsep.join([os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(
            f"{name} is not on this machine; `setup-envtest use` brings it, and KUBEBUILDER_ASSETS names where."
        )
    return found


@contextlib.contextmanager
def running_api_server(folder: Path) -> Iterator[ApiServer]:
    """An API server that keeps everything below a folder; a skip where its programs are missing."""
    etcd, server = _program("etcd"), _program("kube-apiserver")
    clients, peers, port = free_ports(3)
    key, tokens = folder / "key.pem", folder / "tokens.csv"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], capture_output=True, check=True)
    tokens.write_text(f"{_TOKEN},tester,1,system:masters\n")
    commands = {
        "etcd": [
            etcd,
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{clients}",
            f"--advertise-client-urls=http://127.0.0.1:{clients}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
        ],
        "kube-apiserver": [
            server,
            f"--etcd-servers=http://127.0.0.1:{clients}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://127.0.0.1",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        ],
    }
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(process.terminate)
        api = ApiServer(port)
        deadline = time.monotonic() + _STARTING_SECONDS
        while api.kubectl("get", "--raw", "/readyz").returncode:
            if time.monotonic() > deadline:
                pytest.fail((folder / "kube-apiserver.log").read_text()[-2000:])
            time.sleep(0.3)
        yield api
