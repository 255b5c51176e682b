"""Servers side by side: latency of one request alone, and throughput when eight clients never stop asking.

All contenders run and take turns, so that a change of the machine meets all of them alike. While one is measured the
others are stopped: some are busy while nobody asks them, which is measured, too, and reported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from benchmarks import workloads
from benchmarks.contenders import PEERS, peer
from benchmarks.floor import Floor
from benchmarks.load import Outcome, drive
from benchmarks.measuring import awake, cpu_seconds, suspended
from benchmarks.models import make_models
from benchmarks.results import FOLDER
from loadtest.payloads import Payload, ask, wait_until
from loadtest.servers import Contender, Running, ours, running

CLIENTS = 8
_RAMP = 1.0
_PATIENCE = 60.0


def measure_variants(rounds: int, seconds: float, requests: int) -> dict[str, Any]:
    """This project's server in its variants: INT8 and FP32, in Triton and in the gateway's own process."""
    variants = [
        ours(f"{model.removeprefix('emotion_').upper()}, {predictor}", repository, model=model, predictor=predictor)
        for model, repository in make_models(FOLDER / "models").repositories.items()
        for predictor in ("triton", "onnxruntime")
    ]
    return compare(variants, [workloads.RECORDING, workloads.SAMPLED], rounds, seconds, requests)


def measure_peers(rounds: int, seconds: float, requests: int) -> dict[str, Any]:
    """This project's server against the plain design, the serving peers and the floor, with the same clips."""
    models = make_models(FOLDER / "models")
    contenders = [ours("this project", models.repositories["emotion_int8"]), *(peer(name, models) for name in PEERS)]
    whole = [workloads.RECORDING, workloads.ORIGINAL]
    with Floor(models.int8, {name: workloads.clip(name) for name in whole}) as floor:
        return compare(contenders, [*whole, workloads.SAMPLED], rounds, seconds, requests, floors={"floor": floor})


def compare(
    contenders: Sequence[Contender],
    names: Sequence[str],
    rounds: int,
    seconds: float,
    requests: int,
    *,
    floors: Mapping[str, Floor] | None = None,
) -> dict[str, Any]:
    """Measure contenders by turns.

    Args:
        contenders: Who.
        names: Workloads; one that a contender has no endpoint for is left out.
        rounds: How often each is measured.
        seconds: Length of a saturated measurement.
        requests: Number of requests of a measurement alone.
        floors: What takes turns with them and is no server, by name.

    Returns:
        `figures`, by contender and workload: `alone` and `saturated`, each the medians over the rounds, and `rounds` of
        both; `floors`, by name and workload: the medians, and `rounds` of `saturated`; `answers`, the first answer of
        each contender to each workload; `idle_cpu`, the share of one core that each takes while nobody asks.
    """
    probe = workloads.upload(workloads.clip(workloads.RECORDING))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(one, probe, log=FOLDER / "logs" / f"{_slug(one.name)}.log"))
            for one in contenders
        ]
        payloads = {server.name: workloads.payloads(server.address, names) for server in servers}
        found: dict[str, Any] = {server.name: {} for server in servers}
        answers = {server.name: _warm_up(server, payloads[server.name]) for server in servers}
        idle = _idle_cpu(servers)
        stack.enter_context(suspended([server.pid for server in servers]))
        least: dict[str, Any] = {}
        turns: list[Callable[[], None]] = [
            partial(_take_turn, server, payloads[server.name], found[server.name], seconds, requests)
            for server in servers
        ]
        for name, floor in (floors or {}).items():
            least[name] = {clip: [] for clip in floor.clips}
            turns.insert(0, partial(_take_floors_turn, floor, least[name], seconds))
        for number in range(rounds):
            # Every other round goes backwards, so that nobody always comes after the same one.
            for turn in turns if number % 2 == 0 else turns[::-1]:
                turn()
    figures = {
        server: {
            name: {kind: _medians(rows) for kind, rows in kinds.items()} | {"rounds": kinds}
            for name, kinds in by.items()
        }
        for server, by in found.items()
    }
    bare = {
        name: {clip: _medians(rows) | {"rounds": {"saturated": rows}} for clip, rows in by.items()}
        for name, by in least.items()
    }
    return {"figures": figures, "floors": bare, "answers": answers, "idle_cpu": idle, "clients": CLIENTS}


def _take_turn(
    server: Running, payloads: dict[str, Payload], found: dict[str, Any], seconds: float, requests: int
) -> None:
    with awake(server.pid):
        for name, payload in payloads.items():
            rows = found.setdefault(name, {"alone": [], "saturated": []})
            alone, saturated = _measure(server, payload, seconds, requests)
            rows["alone"].append(alone.summary())
            rows["saturated"].append(saturated.summary())


def _take_floors_turn(floor: Floor, found: dict[str, Any], seconds: float) -> None:
    for name, rows in found.items():
        rows.append(floor.measure(name, seconds))


def _measure(server: Running, payload: Payload, seconds: float, requests: int) -> tuple[Outcome, Outcome]:
    """One request at a time, and as many as the server can answer."""
    address, pid = server.address, server.pid
    # After a rest, caches are cold, and a request that the rest interrupted may fail.
    wait_until(
        lambda: not drive(address, [payload], clients=1, requests=3).refusals, f"{server.name} answers", _PATIENCE
    )
    # A system may have taken away memory of processes that rested: all of them get it back first, not one.
    drive(address, [payload], clients=CLIENTS, requests=2 * CLIENTS)
    alone = drive(address, [payload], clients=1, requests=requests, server_pid=pid)
    return alone, drive(address, [payload], clients=CLIENTS, seconds=seconds, ramp=_RAMP, server_pid=pid)


def _warm_up(server: Running, payloads: dict[str, Payload]) -> dict[str, Any]:
    """Ask for each workload a few times at once, so that every worker has seen one; returns the first answers."""
    answers = {}
    for name, payload in payloads.items():
        status, answer = ask(server.address, payload)
        if status != 200:
            raise RuntimeError(f"{server.name} answers {name} with {status}: {answer}")
        answers[name] = {key: answer[key] for key in ("probs", "top1")}
        drive(server.address, [payload], clients=CLIENTS, requests=2 * CLIENTS)
    return answers


def _idle_cpu(servers: Sequence[Running], seconds: float = 5.0) -> dict[str, float]:
    before = {server.name: cpu_seconds(server.pid) for server in servers}
    time.sleep(seconds)
    return {server.name: (cpu_seconds(server.pid) - before[server.name]) / seconds for server in servers}


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
