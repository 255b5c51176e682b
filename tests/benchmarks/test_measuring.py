"""CPU time of process trees, suspending them, and timing by turns."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.measuring import cpu_seconds, interleaved, percentile, resumed, suspended
from loadtest.servers import wait_until

_BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
_FAMILY = f"""
import subprocess, sys
running = subprocess.Popen([sys.executable, '-c', {_BURN!r} + "print('done', flush=True)\\ninput()"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
subprocess.run([sys.executable, '-c', {_BURN!r}])
running.stdout.readline()
print('done', flush=True)
input()
running.communicate(b'x')
"""


def test_cpu_time_of_living_and_of_ended_children_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = cpu_seconds(process.pid)
        process.communicate(b"x")
    assert found >= 0.95


def test_tasks_take_turns_and_waiting_is_no_cpu_time() -> None:
    order: list[str] = []

    def sleep() -> None:
        order.append("sleep")
        time.sleep(0.05)

    def burn() -> None:
        order.append("burn")
        begin = time.process_time()
        while time.process_time() - begin < 0.05:
            pass

    costs = interleaved({"sleep": sleep, "burn": burn}, 3)
    assert order == ["sleep", "burn"] * 4
    assert costs["sleep"]["wall"] >= 50
    assert costs["sleep"]["cpu"] < costs["burn"]["cpu"]
    assert costs["burn"]["cpu"] >= 50


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 0.99) == 7.0


def test_suspended_processes_use_no_cpu_and_continue_afterwards() -> None:
    burn = [sys.executable, "-c", "print('begun', flush=True)\nwhile True: pass"]
    with subprocess.Popen(burn, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with suspended(process.pid):
                before = cpu_seconds(process.pid)
                time.sleep(0.2)
                assert cpu_seconds(process.pid) == before
                with resumed(process.pid):
                    wait_until(lambda: cpu_seconds(process.pid) > before, "it runs", 30.0)
                before = cpu_seconds(process.pid)
                time.sleep(0.2)
                assert cpu_seconds(process.pid) == before
            wait_until(lambda: cpu_seconds(process.pid) > before, "it continues", 30.0)
        finally:
            process.kill()
