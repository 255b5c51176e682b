"""Pod Security "restricted" and a little more, without exceptions: there is nothing here that needs one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.k8s.rendering import Manifest, containers, of_kind, pod_specs

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""


def violations(manifests: list[Manifest]) -> list[str]:
    """One sentence for each thing that is more open than need be."""
    found = [fault for name, pod in pod_specs(manifests).items() for fault in _pod(name, pod)]
    denied = [policy["spec"] for policy in of_kind(manifests, "NetworkPolicy") if not policy["spec"]["podSelector"]]
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in denied:
        found.append("no NetworkPolicy denies everything by default")
    found += [
        f"namespace {namespace['metadata']['name']} does not enforce restricted pods"
        for namespace in of_kind(manifests, "Namespace")
        if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted"
    ]
    found += [
        f"Service {service['metadata']['name']} is reachable from outside of the cluster"
        for service in of_kind(manifests, "Service")
        if service["spec"].get("type", "ClusterIP") != "ClusterIP"
    ]
    return found


def _pod(name: str, pod: Manifest) -> Iterator[str]:
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{name} gets a service-account token"
    if pod.get("enableServiceLinks") is not False:
        yield f"{name} gets variables of services"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{name} shares a namespace of its node"
    for volume in pod.get("volumes", []):
        if not _VOLUMES & volume.keys():
            yield f"volume {volume['name']} of {name} has a kind that is not allowed"
    shared = pod.get("securityContext", {})
    for container in containers(pod):
        context = shared | container.get("securityContext", {})
        wanted = {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for key, value in wanted.items():
            if context.get(key) != value:
                yield f"{key} of container {container['name']} is {context.get(key)}"
        if context.get("privileged"):
            yield f"container {container['name']} is privileged"
        if not context.get("runAsUser"):
            yield f"container {container['name']} has no user but root"
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in {"", "latest"}:
            yield f"image {container['image']} has no fixed version"
