"""`python -m loadtest`: run Locust against a stack of its own or a given one, and let the objectives decide.

Ends with 0 where all objectives were reached, with 1 where one was not, with 2 where the test could not run.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtest.clips import load_clips
from loadtest.drawing import draw
from loadtest.payloads import multipart
from loadtest.servers import ROOT, ours, running
from loadtest.shapes import SHAPES
from loadtest.slo import SloFileError, read_objectives, violations

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
NOT_RUN = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a load test; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        objectives = read_objectives(options.slo)
        with ExitStack() as stack:
            if options.host is None:
                _start_own(options, stack)
            elif not options.allow_remote:
                _refuse_remote(options.host)
            options.output.mkdir(parents=True, exist_ok=True)
            summary = _run_locust(options)
    except (SloFileError, RemoteHostError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return NOT_RUN
    draw(summary, options.output / "latency.png")
    print(_table(summary))
    found = violations(objectives, summary["endpoints"])
    for problem in [*summary["failures"], *found]:
        print(f"✗ {problem}")
    print(f"{'objectives missed' if found else 'all objectives reached'}; {options.output} holds CSV, HTML, JSON, PNG")
    return 1 if found else 0


class RemoteHostError(ValueError):
    """The host is not this machine, and nobody said that it may be another."""


def _refuse_remote(host: str) -> None:
    """Load tests hit this machine only, unless somebody says otherwise.

    Raises:
        RemoteHostError: The host is another machine.
    """
    name = urlsplit(host).hostname or ""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(name, None)}
    except OSError as error:
        raise RemoteHostError(f"{host} is unknown: {error.strerror}.") from error
    if not all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in addresses):
        raise RemoteHostError(f"{host} is another machine; say --allow-remote if it is yours to put under load.")


def _start_own(options: argparse.Namespace, stack: ExitStack) -> None:
    """Start Triton and the gateway on free ports, and point the test at them."""
    probe = multipart("/predict", [("file", "video/webm", load_clips()[0].data)])
    contender = ours("stack", predictor=options.predictor)
    server = stack.enter_context(running(contender, probe, log=options.output / "stack.log"))
    options.host = server.address
    options.triton = f"127.0.0.1:{server.ports['grpc']}"
    options.triton_metrics = f"http://127.0.0.1:{server.ports['metrics']}/metrics"


def _run_locust(options: argparse.Namespace) -> dict[str, Any]:
    """Run Locust in a process of its own, as it replaces parts of the standard library.

    Raises:
        RuntimeError: It did not run to its end.
    """
    summary = options.output / "summary.json"
    summary.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
        *(
            "--host",
            options.host,
            "--csv",
            str(options.output / "locust"),
            "--html",
            str(options.output / "report.html"),
        ),
        *("--emo-shape", options.shape, "--emo-users", str(options.users), "--emo-seconds", str(options.seconds)),
        *("--emo-endpoints", options.endpoints, "--emo-rate", str(options.rate), "--emo-summary", str(summary)),
        *("--emo-triton", options.triton, "--emo-triton-metrics", options.triton_metrics, "--loglevel", "WARNING"),
    ]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    log = options.output / "locust.log"
    with log.open("w") as output:
        code = subprocess.call(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, stdout=output, stderr=subprocess.STDOUT
        )
    if not summary.is_file():
        raise RuntimeError(f"Locust ended with {code}; {log} says why.")
    found: dict[str, Any] = json.loads(summary.read_text())
    return found


def _table(summary: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{'endpoint':18}{'requests':>9}{'429':>6}{'failed':>8}{'per s':>8}{'p50':>8}{'p95':>8}{'p99':>8}"]
    for name, row in summary["endpoints"].items():
        times = "".join(f"{'–' if row[key] is None else round(row[key]):>8}" for key in ("p50", "p95", "p99"))
        lines.append(
            f"{name:18}{row['requests']:>9}{row['refused']:>6}{row['failed']:>8}{row['throughput']:>8.2f}{times}"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--host", help="URL of a gateway; left out, a stack is started for the test")
    add("--allow-remote", action="store_true", help="the host may be another machine, which is mine to put under load")
    add("--triton", default="127.0.0.1:8001", help="host and port of Triton's gRPC service, for the endpoint `triton`")
    add("--triton-metrics", default="", help="URL of Triton's metrics")
    add("--predictor", default="triton", choices=("triton", "onnxruntime", "mock"), help="of the stack that is started")
    add("--shape", default="smoke", choices=[*SHAPES], help="how the number of users changes")
    add(
        "--endpoints",
        default="predict,sampled",
        help="between commas, of predict, batch, timeline, sampled, triton, open",
    )
    add("--users", type=int, default=4, help="most users at once")
    add("--seconds", type=float, default=60.0, help="length of the run")
    add("--rate", type=float, default=5.0, help="requests a second of the endpoint `open`")
    add("--slo", type=Path, default=Path(__file__).with_name("slo.yaml"), help="file of objectives")
    add("--output", type=Path, default=ROOT / "runs" / "loadtest", help="folder for the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
