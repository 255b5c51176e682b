"""Overlays as `kubectl apply -k` would send them, rendered without a cluster."""

from __future__ import annotations

import copy
import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import tool

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("cpu", "gpu", "local")

Manifest = dict[str, Any]


def render(folder: Path) -> list[Manifest]:
    """The manifests of a folder with a kustomization."""
    done = subprocess.run([tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def rendered(overlay: str) -> list[Manifest]:
    """An overlay's manifests, each time anew so that a test may change them."""
    return copy.deepcopy(_parsed(overlay))


@functools.cache
def _parsed(overlay: str) -> list[Manifest]:
    return render(K8S / "overlays" / overlay)


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """The manifests of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one manifest of this kind and name."""
    (found,) = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def pod_specs(manifests: list[Manifest]) -> dict[str, Any]:
    """Pod specifications by the name of their Deployment."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in of_kind(manifests, "Deployment")
    }


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, those that run first included."""
    return [*pod.get("initContainers", []), *pod["containers"]]
