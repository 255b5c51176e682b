"""What a clip costs in each container: the figures behind requests and limits, and docs/DEPLOYMENT.md's sizes.

Written to `test-artifacts/container-costs.json`. Processor time hardly depends on what else the machine does; it is
measured, and decides nothing here.
"""

from __future__ import annotations

import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.containers.bases import ROOT
from tests.containers.project import SERVICES, Project, recording

CLIPS = 60
CALLERS = 2


def test_costs_of_a_clip_are_written_down(project: Project) -> None:
    clip = recording()
    with ThreadPoolExecutor(CALLERS) as pool:
        # Workers have loaded their libraries, and are as large as they get.
        list(pool.map(lambda _: project.predict(clip), range(4 * CALLERS)))
        before = {service: project.usage(service) for service in SERVICES}
        answers = list(pool.map(lambda _: project.predict(clip), range(CLIPS)))
        after = {service: project.usage(service) for service in SERVICES}
    predicted = sum(answer.status_code == 200 for answer in answers)
    # On a machine that is too busy some are late, and cost as much.
    assert {answer.status_code for answer in answers} <= {200, 429, 503, 504}
    assert predicted > CLIPS / 2
    costs = {
        service: {
            "cpu_seconds_per_clip": (after[service].cpu_seconds - before[service].cpu_seconds) / CLIPS,
            "clips_per_second_and_core": CLIPS / (after[service].cpu_seconds - before[service].cpu_seconds),
            "memory_mebibytes": after[service].memory / 2**20,
        }
        for service in SERVICES
    }
    machine = {"processor": _processor(), "cores": os.cpu_count(), "kernel": platform.release()}
    file = ROOT / "test-artifacts" / "container-costs.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        json.dumps(
            {"machine": machine, "clip_bytes": len(clip), "clips": CLIPS, "predicted": predicted, "costs": costs},
            indent=2,
        )
    )
    print(file.read_text())
    # The gateway decodes, Triton computes: neither can be free.
    assert min(costs[service]["cpu_seconds_per_clip"] for service in ("gateway", "triton")) > 0.001


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
