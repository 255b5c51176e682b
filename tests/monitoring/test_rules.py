"""Rules alert when they should, and neither they nor the dashboard ask for a metric that nobody exposes."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.decode.worker import run_task
from gateway.services import make_services
from gateway.settings import Settings
from tests.k8s.rendering import of_kind, rendered
from tests.support.standin_model import write_repository
from tests.support.tools import tool
from tests.support.triton import STANDIN, serving

MONITORING = Path(__file__).parents[2] / "monitoring"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "emotion.json"
OF_PROMETHEUS_ITSELF = {"up"}
# Words of the query language, label names and their values are no metrics.
_NOT_METRICS = re.compile(r'\{[^}]*\}|"[^"]*"|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)')
_WORDS = {"and", "or", "unless"}


def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return groups


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _groups() for rule in group["rules"]]


def _queries() -> dict[str, str]:
    dashboard = json.loads(DASHBOARD.read_text())
    shown = {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    return shown | {f"rule {rule.get('record') or rule['alert']}": rule["expr"] for rule in _rules()}


def metrics_of(query: str) -> set[str]:
    """Names of metrics in a query: every name that is neither called like a function nor a word of the language."""
    names = re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*+(?!\s*\()", _NOT_METRICS.sub(" ", query))
    return {name for name in names if name not in _WORDS}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Samples of a gateway and of a real Triton that have each answered something, and what the rules record."""
    services = make_services(Settings(mock=True), run_task)
    services.metrics.count_request(method="POST", route="/predict", status=503, code="model_unavailable")

    async def observe() -> None:
        services.metrics.observe_stages({"total": 0.2})

    asyncio.run(observe())
    with serving(write_repository(tmp_path_factory.mktemp("models"), STANDIN)) as server:
        address = f"http://127.0.0.1:{server.options.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            triton = answer.read().decode()
    texts = services.metrics.exposition().decode() + triton
    samples = set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", texts, re.MULTILINE))
    return samples | {rule["record"] for rule in _rules() if "record" in rule} | OF_PROMETHEUS_ITSELF


def test_promtool_accepts_configuration_and_rules() -> None:
    for arguments in (["config", "prometheus.yml"], ["rules", "rules.yml"]):
        done = subprocess.run(
            [tool("promtool"), "check", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_stay_silent_when_not() -> None:
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "rules.test.yml"],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    tested = {
        case["alertname"]
        for test in yaml.safe_load((MONITORING / "rules.test.yml").read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert {rule["alert"] for rule in _rules() if "alert" in rule} == tested


def test_queries_name_only_metrics_that_exist(exposed: set[str]) -> None:
    missing = {where: metrics_of(query) - exposed for where, query in _queries().items()}
    assert {where: names for where, names in missing.items() if names} == {}


def test_panels_and_provisioning_use_the_same_source_of_data() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    dashboard = json.loads(DASHBOARD.read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_clusters_get_the_same_rules() -> None:
    (in_cluster,) = of_kind(rendered("gpu"), "PrometheusRule")
    advice = "copy `groups` of monitoring/rules.yml to `spec` of k8s/components/monitoring/prometheus-rules.yaml"
    assert in_cluster["spec"]["groups"] == _groups(), advice
