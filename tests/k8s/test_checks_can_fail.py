"""Each check of manifests notices what it is there for: one thing broken, one sentence about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.k8s.policy import violations
from tests.k8s.ranges import faults
from tests.k8s.references import dangling
from tests.k8s.rendering import Manifest, named, pod_specs, rendered

Break = Callable[[list[Manifest]], Any]


def _pod(manifests: list[Manifest]) -> dict[str, Any]:
    pod: dict[str, Any] = pod_specs(manifests)["gateway"]
    return pod


def _container(manifests: list[Manifest]) -> dict[str, Any]:
    container: dict[str, Any] = _pod(manifests)["containers"][0]
    return container


def _spec(manifests: list[Manifest], kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = named(manifests, kind, name)["spec"]
    return spec


def _setting(manifests: list[Manifest], name: str, value: str) -> None:
    (config,) = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    config["data"][name] = value


REFERENCES: dict[str, Break] = {
    "Service gateway selects no pod": lambda m: _spec(m, "Service", "gateway").update(selector={"app": "gate"}),
    "does not select its own pods": lambda m: _spec(m, "Deployment", "gateway")["selector"].update(
        matchLabels={"app.kubernetes.io/name": "triton"}
    ),
    "targets no container port": lambda m: _spec(m, "Service", "gateway")["ports"][0].update(targetPort="web"),
    "cannot translate port": lambda m: _spec(m, "Service", "triton")["ports"][0].update(port=9001),
    "leads to no service port": lambda m: _spec(m, "Ingress", "emotion")["rules"][0]["http"]["paths"][0][
        "backend"
    ].update(service={"name": "backend", "port": {"name": "http"}}),
    "reads no container port": lambda m: _spec(m, "PodMonitor", "triton")["podMetricsEndpoints"][0].update(port="prom"),
    "asks a port that the container lacks": lambda m: _container(m)["livenessProbe"]["httpGet"].update(port="web"),
    "configMapRef names": lambda m: _container(m)["envFrom"][0].update(configMapRef={"name": "settings"}),
    "secretKeyRef names": lambda m: _container(m)["env"][0]["valueFrom"]["secretKeyRef"].update(name="keys"),
    "mounts or declares volume": lambda m: _pod(m).update(volumes=[]),
    "claims": lambda m: _pod(m)["volumes"][0].update(persistentVolumeClaim={"claimName": "models"}),
    "scales nothing": lambda m: _spec(m, "HorizontalPodAutoscaler", "gateway")["scaleTargetRef"].update(name="gate"),
    "is outside the namespace": lambda m: named(m, "Service", "gateway")["metadata"].update(namespace="default"),
    "NetworkPolicy triton selects no pod": lambda m: _spec(m, "NetworkPolicy", "triton")["podSelector"].update(
        matchLabels={"app": "triton"}
    ),
    "names pods that are not there": lambda m: _spec(m, "NetworkPolicy", "triton")["ingress"][0]["from"][0].update(
        podSelector={"matchLabels": {"app": "gateway"}}
    ),
    "opens a port that nobody listens on": lambda m: _spec(m, "NetworkPolicy", "gateway")["egress"][0].update(
        ports=[{"port": 9001}]
    ),
}

RANGES: dict[str, Break] = {
    "has the name": lambda m: named(m, "Service", "gateway")["metadata"].update(name="Gateway_1"),
    "label": lambda m: named(m, "Service", "gateway")["metadata"]["labels"].update(version="a b"),
    "ports of gateway are named": lambda m: _container(m)["ports"][0].update(name="http-of-the-gateway"),
    "port out of range": lambda m: _container(m)["ports"][0].update(containerPort=70_000),
    "scales from": lambda m: _spec(m, "HorizontalPodAutoscaler", "gateway").update(minReplicas=30),
    "scales by nothing": lambda m: _spec(m, "HorizontalPodAutoscaler", "gateway").update(metrics=[]),
    "aims at": lambda m: _spec(m, "HorizontalPodAutoscaler", "gateway")["metrics"][0]["resource"]["target"].update(
        averageUtilization=0
    ),
    "which are the autoscaler's": lambda m: _spec(m, "Deployment", "gateway").update(replicas=3),
    "needs one of minAvailable and maxUnavailable": lambda m: _spec(m, "PodDisruptionBudget", "gateway").update(
        minAvailable=1
    ),
    "lets no node be drained": lambda m: _spec(m, "PodDisruptionBudget", "gateway").update(maxUnavailable=0),
    "lacks a request or limit": lambda m: _container(m)["resources"]["limits"].pop("memory"),
    "requests more than its limit": lambda m: _container(m)["resources"]["requests"].update(memory="4Gi"),
    "is killed after": lambda m: _pod(m).update(terminationGracePeriodSeconds=20),
    "ends before its requests' deadline": lambda m: _setting(m, "EMO_TIMELINE_DEADLINE", "70"),
    "leave no decode worker to others": lambda m: _setting(m, "EMO_TIMELINES_AT_ONCE", "2"),
    "decode workers share": lambda m: _setting(m, "EMO_DECODE_WORKERS", "1"),
    "a clip is decoded on": lambda m: _setting(m, "EMO_DECODE_CORES", "4"),
    "may take more than the memory limit": lambda m: _container(m)["resources"]["limits"].update(memory="2Gi"),
    "which is no headless Service": lambda m: _setting(m, "EMO_TRITON_HOST", "gateway"),
    "which the Service lacks": lambda m: _setting(m, "EMO_TRITON_GRPC_PORT", "9001"),
    "which its container does not declare": lambda m: _setting(m, "EMO_PORT", "9000"),
    "either keys or the permission to do without": lambda m: _container(m).pop("env"),
    "Triton is not told to serve": lambda m: _setting(m, "EMO_MODEL", "emotion"),
}

POLICY: dict[str, Break] = {
    "no NetworkPolicy denies everything": lambda m: _spec(m, "NetworkPolicy", "default-deny").update(
        policyTypes=["Ingress"]
    ),
    "does not enforce restricted pods": lambda m: named(m, "Namespace", "emotion")["metadata"]["labels"].clear(),
    "reachable from outside": lambda m: _spec(m, "Service", "gateway").update(type="LoadBalancer"),
    "gets a service-account token": lambda m: _pod(m).pop("automountServiceAccountToken"),
    "gets variables of services": lambda m: _pod(m).pop("enableServiceLinks"),
    "shares a namespace of its node": lambda m: _pod(m).update(hostNetwork=True),
    "has a kind that is not allowed": lambda m: _pod(m)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "runAsNonRoot": lambda m: _pod(m)["securityContext"].pop("runAsNonRoot"),
    "readOnlyRootFilesystem": lambda m: _container(m)["securityContext"].update(readOnlyRootFilesystem=False),
    "capabilities": lambda m: _container(m)["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
    "is privileged": lambda m: _container(m)["securityContext"].update(privileged=True),
    "has no user but root": lambda m: _pod(m)["securityContext"].update(runAsUser=0),
    "has no fixed version": lambda m: _container(m).update(image="registry:5000/gateway"),
}

CASES = [
    pytest.param(check, breaks, sentence, id=sentence.replace(" ", "-"))
    for check, cases in ((dangling, REFERENCES), (faults, RANGES), (violations, POLICY))
    for sentence, breaks in cases.items()
]


@pytest.mark.parametrize(("check", "breaks", "sentence"), CASES)
def test_a_check_names_what_is_broken(
    check: Callable[[list[Manifest]], list[str]], breaks: Break, sentence: str, unbroken: list[Manifest]
) -> None:
    breaks(unbroken)
    assert any(sentence in found for found in check(unbroken))


@pytest.fixture
def unbroken() -> list[Manifest]:
    """The overlay for CPUs with the monitors of the one for GPUs, so that there is one of each kind."""
    return [*rendered("cpu"), *(manifest for manifest in rendered("gpu") if manifest["kind"] == "PodMonitor")]
