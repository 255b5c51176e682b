"""A server that stopped answering answers again, soon, and never wrongly; one that is busy is left alone."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from avemotion.preprocessing import contract
from tests.support.standin_model import standin_config
from tests.support.triton import STANDIN, serving
from tests.triton_server.client import OUTPUTS, ask_onnxruntime, ask_triton, random_inputs
from tests.triton_server.processes import SERVER, STUB, descendants, is_running, wait_for
from tests.triton_server.stream import Answers, stream
from triton_server.launcher import State, TritonServer


def kill_stub(server: TritonServer) -> None:
    assert server.pid is not None
    (stub,) = descendants(server.pid, STUB)
    stub.kill()


def kill_server(server: TritonServer) -> None:
    assert server.pid is not None
    process = psutil.Process(server.pid)
    assert process.name().startswith(SERVER)
    process.kill()


@pytest.fixture
def repository(standin_repository: Path, tmp_path: Path) -> Path:
    """A copy of the stand-in's repository that a test may change."""
    return Path(shutil.copytree(standin_repository, tmp_path / "models"))


def test_predictions_work_again_after_every_kill_and_none_is_wrong(repository: Path) -> None:
    inputs = random_inputs(2, seed=1)
    expected = ask_onnxruntime(repository / STANDIN / "1" / "model.onnx", inputs)[contract.LOGITS.name]
    with serving(repository) as server, stream(server, inputs) as answers:
        wait_for(lambda: answers.right, "requests are answered")
        for kill in (kill_stub, kill_server):
            _kill_and_wait(kill, server, answers)
    assert answers.all_equal(expected)


def _kill_and_wait(kill: Callable[[TritonServer], None], server: TritonServer, answers: Answers) -> None:
    failed, restarts, killed = answers.failed, server.restarts, time.monotonic()
    kill(server)
    wait_for(lambda: answers.failed > failed, "the kill is felt")
    before = answers.right
    wait_for(lambda: answers.right > before, "requests are answered again")
    # Two to six seconds on an idle machine; how long it takes under load decides nothing.
    print(f"answered again {time.monotonic() - killed:.1f} s after the kill")
    wait_for(lambda: server.state == "ready", "the launcher says so too")
    assert server.restarts > restarts


def test_one_dead_stub_of_two_is_noticed_while_the_other_answers(repository: Path) -> None:
    config = repository / STANDIN / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 2"))
    with serving(repository) as server, stream(server, random_inputs(1, seed=4)) as answers:
        wait_for(lambda: answers.right, "requests are answered")
        assert server.pid is not None
        first, _ = descendants(server.pid, STUB)
        first.kill()
        wait_for(lambda: server.restarts, "the dead stub is noticed")
        before = answers.right
        wait_for(lambda: answers.right > before, "requests are answered again")


def test_a_hung_stub_is_replaced(repository: Path) -> None:
    options = {"probe_interval_seconds": 0.2, "probe_timeout_seconds": 1.0, "hang_timeout_seconds": 2.0}
    with serving(repository, **options) as server:
        assert server.pid is not None
        (stub,) = descendants(server.pid, STUB)
        stub.suspend()
        wait_for(lambda: server.restarts, "the hang is noticed")
        wait_for(lambda: server.state == "ready", "the server answers again")
        assert not is_running(stub)


def test_a_server_that_cannot_come_back_is_tried_until_it_can(repository: Path) -> None:
    model = repository / STANDIN / "1" / "model.onnx"
    states: list[State] = []
    with serving(repository) as server:
        server._on_state = states.append
        model.rename(repository / "hidden.onnx")
        kill_stub(server)
        wait_for(lambda: server.restarts >= 2, "a second start was needed")
        (repository / "hidden.onnx").rename(model)
        wait_for(lambda: server.state == "ready", "the server answers again")
        assert len(states) >= 3
        assert states[:-1] == ["starting"] * (len(states) - 1)
    assert states[-1] == "stopped"


def test_a_server_with_a_full_queue_is_not_restarted(repository: Path) -> None:
    config = repository / STANDIN / "config.pbtxt"
    queue = "dynamic_batching { default_queue_policy { max_queue_size: 1 } max_queue_delay_microseconds: 200000 }"
    config.write_text(
        "\n".join(queue if line.startswith("dynamic_batching") else line for line in config.read_text().splitlines())
    )
    rejected = 0
    options = {"probe_interval_seconds": 0.05, "hang_timeout_seconds": 1.5}
    with serving(repository, **options) as server, grpc.InferenceServerClient(server.grpc_address) as client:
        end = time.monotonic() + 2 * options["hang_timeout_seconds"]

        def flood(seed: int) -> int:
            refused = 0
            while time.monotonic() < end:
                try:
                    ask_triton(client, STANDIN, random_inputs(1, seed))
                except InferenceServerException as error:
                    refused += "maximum queue size" in str(error)
            return refused

        with ThreadPoolExecutor(8) as pool:
            rejected = sum(pool.map(flood, range(8)))
        assert rejected
        assert server.restarts == 0
        assert server.state == "ready"


def test_old_connections_are_closed_without_failing_a_call(repository: Path) -> None:
    """So that clients look the server's name up again, behind which there may be others by now."""
    inputs = random_inputs(1, seed=5)
    with serving(repository, connection_age_seconds=1) as server, stream(server, inputs) as answers:
        wait_for(lambda: answers.right, "requests are answered")
        ports = client_ports(server)
        wait_for(lambda: len(ports | client_ports(server)) > len(ports), "a new connection is made")
        before = answers.right
        wait_for(lambda: answers.right > before + 10, "requests are answered over it")
    assert not answers.failed, answers.messages


def client_ports(server: TritonServer) -> set[int]:
    """Ports of this process that are connected to Triton's gRPC interface."""
    connections = psutil.Process().net_connections("tcp")
    return {one.laddr.port for one in connections if one.raddr and one.raddr.port == server.options.grpc_port}


def test_requests_under_way_are_answered_before_a_stop(repository: Path) -> None:
    config = repository / STANDIN / "config.pbtxt"
    delayed = standin_config(STANDIN).replace(
        "max_queue_delay_microseconds: 20000", "max_queue_delay_microseconds: 2000000"
    )
    config.write_text(delayed)
    with (
        # A probe waits in that queue, too.
        serving(repository, probe_timeout_seconds=20.0) as server,
        grpc.InferenceServerClient(server.grpc_address) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(ask_triton, client, STANDIN, random_inputs(1, seed=3))
        wait_for(lambda: _pending(server), "the request waits in the queue")
        server.stop()
        assert set(answer.result()) == set(OUTPUTS)


def _pending(server: TritonServer) -> int:
    address = f"http://127.0.0.1:{server.options.metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=10) as response:
        lines = response.read().decode().splitlines()
    (line,) = [line for line in lines if line.startswith("nv_inference_pending_request_count{")]
    return int(line.split()[-1])
