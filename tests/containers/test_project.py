"""`docker compose up`, for real: a recording is predicted by way of nginx, and a service that dies comes back."""

from __future__ import annotations

import threading
from collections import Counter

import httpx
import pytest

from avemotion.preprocessing.contract import LABELS
from tests.containers.engine import Engine
from tests.containers.project import SERVICES, Project, recording, running_project

each_service = pytest.mark.parametrize("service", SERVICES)
RECOVERING_SECONDS = 90.0


def test_a_recording_is_predicted_by_way_of_nginx(project: Project) -> None:
    response = project.predict(recording())
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["labels"] == list(LABELS)
    assert sum(answer["probs"]) == pytest.approx(100, abs=0.5)
    assert answer["model"] == "emotion_int8"


def test_the_page_and_its_scripts_are_served(project: Project) -> None:
    assert "<title>" in httpx.get(f"{project.page}/").text
    assert httpx.get(f"{project.page}/assets/page.js").status_code == 200


def test_metrics_stay_inside(project: Project) -> None:
    assert httpx.get(f"{project.page}/api/metrics").status_code == 404
    assert "emotion_requests_total" in httpx.get(f"{project.gateway}/metrics").text


@each_service
def test_a_service_runs_without_root_and_cannot_write_its_image(project: Project, service: str) -> None:
    assert project.compose("exec", service, "id", "-u").strip() not in {"", "0"}
    assert "ead-only file system" in project.compose("exec", service, "touch", "/opt/new", check=False)
    known = project.inspect(service)
    assert known["HostConfig"]["ReadonlyRootfs"]
    assert known["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in known["HostConfig"]["SecurityOpt"]


def test_only_the_gateway_and_nginx_listen_on_this_machine_and_on_loopback_only(project: Project) -> None:
    published = {
        service: [each for each in project.inspect(service)["NetworkSettings"]["Ports"].values() if each]
        for service in SERVICES
    }
    assert published["triton"] == []
    for service in ("gateway", "recorder"):
        assert [each["HostIp"] for each in published[service][0]] == ["127.0.0.1"]


@each_service
def test_a_service_that_dies_comes_back_and_predictions_with_it(project: Project, service: str) -> None:
    clip, statuses, stop = recording(), Counter[int | str](), threading.Event()
    started = project.inspect(service)["State"]["StartedAt"]

    def go_on_predicting() -> None:
        while not stop.is_set():
            try:
                statuses[project.predict(clip).status_code] += 1
            except httpx.TransportError:
                statuses["nobody listens"] += 1
                stop.wait(0.1)

    caller = threading.Thread(target=go_on_predicting)
    caller.start()
    try:
        project.wait_until(lambda: statuses[200] > 0, "a prediction before anything happens")
        project.crash(service)
        project.wait_until(lambda: project.inspect(service)["State"]["StartedAt"] != started, f"{service} starts again")
        before = statuses[200]
        project.wait_until(lambda: statuses[200] > before + 2, "predictions again", RECOVERING_SECONDS)
    finally:
        stop.set()
        caller.join()
    # What nginx says without a gateway, and the gateway without Triton; never a wrong answer.
    assert set(statuses) <= {200, 502, 503, 504, "nobody listens"}
    project.wait_until(
        lambda: all(project.inspect(each)["State"]["Health"]["Status"] == "healthy" for each in SERVICES), "all healthy"
    )


@pytest.mark.usefixtures("images")
def test_made_up_numbers_need_no_triton_and_a_stop_ends_everything_by_itself(engine: Engine) -> None:
    with running_project(engine, "emotion-mock", "gateway", "recorder", EMO_MOCK="1") as project:
        answer = project.predict(recording())
        assert (answer.status_code, answer.json()["model"]) == (200, "mock")
        project.compose("stop", "--timeout", "20")
        # 137 would be a container that had to be killed.
        assert {service: project.inspect(service)["State"]["ExitCode"] for service in ("gateway", "recorder")} == {
            "gateway": 0,
            "recorder": 0,
        }
