"""What hostile media does to a worker costs its own request; the next one is answered."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.gateway import faults
from tests.gateway.running import gateway_process, running_gateway, settings_for_tests, wait_until
from tests.support.clips import synthetic_clip

MEBIBYTE = 2**20

PATIENT = {"decode_timeout": 60.0, "request_deadline": 60.0}
"""Limits that no clip here reaches, however busy the machine is."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    settings = settings_for_tests(decode_memory=256 * MEBIBYTE, **PATIENT)
    with running_gateway(settings, faults.misbehave) as client:
        yield client


def send(gateway: httpx.Client, data: bytes) -> httpx.Response:
    return gateway.post("/predict", files={"file": ("clip", data)})


def workers() -> list[psutil.Process]:
    """The decode workers: children of the server process that forks them."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.ppid() != os.getpid() and any("forkserver" in word for word in process.cmdline()):
                found.append(process)
    return found


@pytest.mark.parametrize(
    ("fault", "answer", "word"),
    [
        (faults.HOARD, "422 decode_out_of_memory", "256 MiB"),
        (faults.RAISE, "422 decode_failed", "ZeroDivisionError"),
        (faults.CRASH, "503 decode_worker_lost", "SIGSEGV"),
        (faults.KILLED, "503 decode_worker_lost", "SIGKILL"),
        (faults.OPEN_FILES, "422 decode_failed", "OSError"),
    ],
    ids=["takes memory", "raises", "crashes", "is killed", "opens files"],
)
def test_worker_that(gateway: httpx.Client, clip: bytes, fault: bytes, answer: str, word: str) -> None:
    response = send(gateway, fault)
    error = response.json()["error"]
    assert f"{response.status_code} {error['code']}" == answer
    assert word in error["message"]
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    assert send(gateway, clip).status_code == 200


def test_worker_that_hangs_in_c(clip: bytes) -> None:
    settings = settings_for_tests(decode_timeout=2.0)
    with running_gateway(settings, faults.misbehave) as gateway:
        response = send(gateway, faults.HANG)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "decode_timeout")
        assert "2 s" in response.json()["error"]["message"]
        wait_until(lambda: send(gateway, clip).status_code == 200, "the next clip is answered")


def test_worker_that_takes_cpu_time(clip: bytes) -> None:
    settings = settings_for_tests(decode_cpu_seconds=1, **PATIENT)
    with running_gateway(settings, faults.misbehave) as gateway:
        response = send(gateway, faults.SPIN)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "decode_timeout")
        assert "1 s of CPU" in response.json()["error"]["message"]
        assert send(gateway, clip).status_code == 200


def test_worker_cannot_write_a_file(gateway: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    assert send(gateway, faults.WRITE + str(path).encode()).json()["error"]["code"] == "decode_failed"
    assert not path.exists() or path.stat().st_size == 0


def test_workers_killed_while_idle_are_replaced(gateway: httpx.Client, clip: bytes) -> None:
    assert send(gateway, clip).status_code == 200
    for worker in workers():
        worker.kill()
    response = send(gateway, clip)
    assert response.status_code == 200, response.text


def test_workers_killed_again_and_again_cost_nothing_but_their_own_clips(clip: bytes) -> None:
    responses: list[httpx.Response] = []
    ended = threading.Event()

    def answered() -> int:
        return sum(response.status_code == 200 for response in responses)

    with running_gateway(settings_for_tests(decode_workers=2, **PATIENT)) as gateway, ThreadPoolExecutor(4) as threads:

        def keep_sending() -> None:
            while not ended.is_set():
                responses.append(send(gateway, clip))

        sending = [threads.submit(keep_sending) for _ in range(4)]
        try:
            for _ in range(6):
                before = answered()
                wait_until(lambda before=before: answered() > before, "a clip is answered")  # type: ignore[misc]
                for worker in workers():
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
        finally:
            ended.set()
        for each in sending:
            each.result()
        assert send(gateway, clip).status_code == 200
    codes = {response.json()["error"]["code"] for response in responses if response.status_code != 200}
    assert codes <= {"decode_worker_lost"}


def test_request_beside_a_crash_is_answered(clip: bytes) -> None:
    with (
        running_gateway(settings_for_tests(decode_workers=2, **PATIENT), faults.misbehave) as gateway,
        ThreadPoolExecutor(8) as threads,
    ):
        sent = [clip, faults.CRASH, clip, faults.KILLED, clip, clip, faults.CRASH, clip] * 3
        statuses = [response.status_code for response in threads.map(lambda data: send(gateway, data), sent)]
    assert statuses == [200 if data == clip else 503 for data in sent]


def test_worker_is_replaced_after_its_number_of_clips(clip: bytes) -> None:
    with running_gateway(settings_for_tests(decode_recycle_after=2)) as gateway:
        seen = set()
        for _ in range(6):
            seen |= {worker.pid for worker in workers()}
            assert send(gateway, clip).status_code == 200
        wait_until(lambda: bool({worker.pid for worker in workers()} - seen), "a fresh worker")


def test_clips_beyond_the_queue_are_refused_with_retry_after(clip: bytes) -> None:
    settings = settings_for_tests(decode_queue=1, decode_timeout=5.0, request_deadline=60.0)
    with running_gateway(settings, faults.misbehave) as gateway, ThreadPoolExecutor(3) as threads:
        responses = list(threads.map(lambda data: send(gateway, data), [faults.HANG] * 3))
        assert sorted(response.status_code for response in responses) == [422, 422, 429]
        [refused] = [response for response in responses if response.status_code == 429]
        assert refused.json()["error"]["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) >= 1
        wait_until(lambda: send(gateway, clip).status_code == 200, "the next clip is answered")


def test_clip_that_waits_beyond_the_deadline_is_given_up(clip: bytes) -> None:
    settings = settings_for_tests(request_deadline=5.0, decode_timeout=60.0)
    with running_gateway(settings, faults.misbehave) as gateway, ThreadPoolExecutor(2) as threads:
        responses = list(threads.map(lambda data: send(gateway, data), [faults.HANG, faults.HANG]))
        assert {response.json()["error"]["code"] for response in responses} == {"deadline_exceeded"}
        wait_until(lambda: send(gateway, clip).status_code == 200, "the next clip is answered")


@pytest.fixture
def unlimited_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may finish an abandoned task, however slow the machine is."""
    monkeypatch.setattr("gateway.decode.pool._GRACE", 60.0)


@pytest.mark.usefixtures("unlimited_grace")
@pytest.mark.parametrize("path", ["/predict", "/predict/timeline"])
def test_deadline_that_passes_while_a_clip_is_decoded_costs_no_worker(path: str) -> None:
    long = synthetic_clip(frame_times=range(0, 20_000, 40), audio_seconds=20.0)
    before = set(workers())
    with running_gateway(settings_for_tests(**PATIENT)) as gateway:
        assert gateway.post(path, files={"file": long}).status_code == 200
        decoding = set(workers()) - before
        codes: Counter[int | str] = Counter()
        for milliseconds in (1, 5, 10, 20, 30, 50) * 2:
            deadline = {"X-Deadline-Seconds": str(milliseconds / 1000)}
            response = gateway.post(path, files={"file": long}, headers=deadline)
            codes[response.status_code if response.is_success else response.json()["error"]["code"]] += 1
        assert codes["deadline_exceeded"] > 0
        assert set(codes) <= {200, "deadline_exceeded", "upload_timeout"}
        assert gateway.post(path, files={"file": long}).status_code == 200
        assert set(workers()) - before == decoding


@pytest.mark.usefixtures("unlimited_grace")
def test_client_that_goes_early_costs_no_worker(clip: bytes) -> None:
    before = set(workers())
    with running_gateway(settings_for_tests(**PATIENT)) as gateway:
        assert send(gateway, clip).status_code == 200
        decoding = set(workers()) - before
        for _ in range(5):
            with suppress(httpx.ReadTimeout):
                gateway.post("/predict", files={"file": ("clip", clip)}, timeout=0.02)
        assert send(gateway, clip).status_code == 200
        assert set(workers()) - before == decoding


def test_client_that_goes_ends_the_work_of_the_worker(clip: bytes) -> None:
    with running_gateway(settings_for_tests(**PATIENT), faults.misbehave) as gateway:
        with pytest.raises(httpx.ReadTimeout):
            gateway.post("/predict", files={"file": ("clip", faults.HANG)}, timeout=0.5)
        assert send(gateway, clip).status_code == 200


def test_no_worker_is_left_when_the_gateway_stops(clip: bytes) -> None:
    before = set(workers())
    with running_gateway(settings_for_tests(decode_workers=2)) as gateway:
        assert send(gateway, clip).status_code == 200
        assert len(set(workers()) - before) == 2
    wait_until(lambda: not set(workers()) - before, "no worker is left")


def test_workers_limits_are_set(clip: bytes) -> None:
    before = set(workers())
    with running_gateway(settings_for_tests(decode_open_files=48)) as gateway:
        assert send(gateway, clip).status_code == 200
        [worker] = set(workers()) - before
        assert worker.rlimit(psutil.RLIMIT_NOFILE) == (48, 48)
        assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert worker.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert worker.rlimit(psutil.RLIMIT_AS)[0] < 4 * 2**30


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process writes")
def test_nothing_of_an_upload_is_written_to_a_disk_and_nothing_remains(clip: bytes, tmp_path: Path) -> None:
    large = clip + bytes(20 * MEBIBYTE)
    cut_off = large[: len(clip) // 2]
    with gateway_process("--mock", "--decode-workers", "1", TMPDIR=str(tmp_path)) as running:
        gateway, server = running.client, psutil.Process(running.process.pid)
        assert send(gateway, clip).status_code == 200
        family = [server, *server.children(recursive=True)]
        before = {each.pid: each.io_counters().write_bytes for each in family}
        for data in (large, cut_off, b"a letter" * MEBIBYTE):
            assert send(gateway, data).status_code in {200, 422}
        written = sum(each.io_counters().write_bytes - before[each.pid] for each in family)
        assert written < MEBIBYTE
        for each in family:
            opened = [Path(file.path) for file in each.open_files()]
            assert [path for path in opened if path.is_relative_to(tmp_path) or "shm" in path.parts] == []
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
