"""Clients by the hundred, good and bad, and what a gateway process holds before, between and after them."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway import raw
from tests.gateway.running import wait_until

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """One request and how it must be answered.

    Attributes:
        name: What it is.
        request: Its bytes.
        statuses: Statuses that are right.
    """

    name: str
    request: bytes
    statuses: frozenset[int]


@dataclass
class Tally:
    """What came back.

    Attributes:
        right: How often each kind of request was answered as it must be.
        wrong: Everything else.
        answers: Distinct probabilities of good requests.
    """

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    answers: set[tuple[float, ...]] = field(default_factory=set)

    def add(self, case: Case, status: int, body: dict[str, Any]) -> None:
        """Take note of one answer."""
        if status not in case.statuses:
            self.wrong[f"{case.name}: {status} {body.get('error', {}).get('code')}"] += 1
            return
        self.right[case.name] += 1
        if status == 200:
            self.answers.add(tuple(body["probs"]))


class Watched:
    """A gateway process, from outside."""

    def __init__(self, pid: int, client: httpx.Client) -> None:
        self._process = psutil.Process(pid)
        self.client = client
        self.address = (client.base_url.host, client.base_url.port or 80)
        self.baseline = self.holding()

    def holding(self) -> dict[str, float]:
        """What it holds now: memory in MiB, descriptors, processes, and its own counts."""
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(self.client.get("/metrics").text)
            for sample in family.samples
            if sample.name in {"emotion_decode_clips", "emotion_upload_bytes"}
        }
        children = self._process.children(recursive=True)
        return found | {
            "mebibytes": self.mebibytes(),
            "descriptors": self._process.num_fds(),
            "processes": len(children),
        }

    def mebibytes(self) -> float:
        """Resident memory of the gateway's own process, in MiB."""
        return round(float(self._process.memory_info().rss) / MEBIBYTE, 1)

    def wait_until_nothing_is_left(self) -> None:
        """Wait until it holds no more than at the beginning; memory aside."""

        def settled() -> bool:
            now = self.holding()
            return (
                now["emotion_decode_clips"] == now["emotion_upload_bytes"] == 0
                and now["descriptors"] <= self.baseline["descriptors"] + 2
                and now["processes"] <= self.baseline["processes"]
            )

        wait_until(settled, f"{self.baseline} again")


def form(data: bytes, *, field_name: str = "file", path: str = "/predict", extra: str = "") -> bytes:
    """A whole request that uploads these bytes."""
    head = f'--x\r\nContent-Disposition: form-data; name="{field_name}"; filename="clip"\r\n\r\n'.encode()
    body = head + data + b"\r\n--x--\r\n"
    return raw.head(len(body), path, "Connection: close", *([extra] if extra else [])) + body


def good_case(clip: bytes) -> Case:
    """A request that must be answered."""
    return Case("good", form(clip), frozenset({200}))


def bad_cases(clip: bytes) -> list[Case]:
    """Requests that must be refused with a 4xx, one of each kind."""
    close = "Connection: close\r\n"
    refused = {
        "an empty file": form(b""),
        "a text": form(b"Dear diary, today I had no video.\n" * 50),
        "a picture": form(b"\x89PNG\r\n\x1a\n" + bytes(500)),
        "a playlist": form(b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n"),
        "the first bytes of a clip": form(clip[:60]),
        "another field": form(clip, field_name="video"),
        "another content type": form(clip).replace(b"multipart/form-data", b"video/webm"),
        "a form without its end": form(clip).replace(b"\r\n--x--\r\n", b"\r\n--y--\r\n"),
        "no form": raw.head(2, "/predict", "Connection: close") + b"{}",
        "a bad deadline": form(clip, extra="X-Deadline-Seconds: soon"),
        "a model that is not there": form(clip, path="/predict?model=nobody"),
        "a version that is none": form(clip, path="/predict?version=latest"),
        "another path": form(clip, path="/predictions"),
        "another method": f"GET /predict HTTP/1.1\r\nHost: x\r\n{close}\r\n".encode(),
        "a body that is announced too large": raw.head(10**10, "/predict", "Connection: close") + bytes(100),
        "no HTTP": b"Good morning, gateway.\r\n\r\n",
        "a large head": f"GET /health HTTP/1.1\r\nX-Long: {'a' * 70_000}\r\n{close}\r\n".encode(),
    }
    return [Case(name, request, frozenset(range(400, 500)) - {429}) for name, request in refused.items()]


async def ask(address: tuple[str, int], case: Case, tally: Tally) -> None:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(case.request)
        answer = await reader.read()
        tally.add(case, *raw.parsed(answer))
    except (OSError, ValueError, IndexError) as error:
        tally.wrong[f"{case.name}: {type(error).__name__}"] += 1
    finally:
        writer.close()


async def ask_all(address: tuple[str, int], cases: Sequence[Case], at_once: int) -> Tally:
    """Many requests in a random order, so many at a time."""
    tally = Tally()
    waiting = random.Random(0).sample(cases, len(cases))

    async def work() -> None:
        while waiting:
            await ask(address, waiting.pop(), tally)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return tally


async def ask_until(address: tuple[str, int], case: Case, ended: asyncio.Event) -> Tally:
    """The same request again and again, until told."""
    tally = Tally()
    while not ended.is_set():
        await ask(address, case, tally)
    return tally


async def go_half_way(address: tuple[str, int], request: bytes, *, polite: bool) -> None:
    """Send half of an upload and go, with a farewell or without."""
    _, writer = await asyncio.open_connection(*address)
    writer.write(request[: len(request) // 2])
    await writer.drain()
    await asyncio.sleep(0.05)
    if not polite:
        # A reset instead of a farewell, socket(7).
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    writer.close()


async def dawdle(address: tuple[str, int], quick: bytes, slow: bytes, pause: float) -> int:
    """Send a part at once and the rest byte by byte; returns the status that it earns, 0 for none."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(quick)

    async def trickle() -> None:
        for byte in slow:
            await asyncio.sleep(pause)
            writer.write(bytes([byte]))

    trickling = asyncio.create_task(trickle())
    try:
        answer = await reader.read()
        return raw.parsed(answer)[0] if answer else 0
    except (OSError, json.JSONDecodeError):
        return 0
    finally:
        trickling.cancel()
        writer.close()


async def hold_upload(address: tuple[str, int], size: int, ended: asyncio.Event) -> int:
    """Send all but the end of an upload and stay; returns the status of a refusal, 0 where it was taken in."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(raw.head(size + 1000) + raw.PART_HEAD)
    chunk = bytes(MEBIBYTE)
    answering = asyncio.create_task(reader.read(65_536))
    try:
        for _ in range(size // len(chunk)):
            writer.write(chunk)
            await writer.drain()
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return int(answering.result().split()[1]) if answering.done() else 0
    except OSError:
        return 429 if answering.done() and b" 429 " in answering.result() else 0
    finally:
        answering.cancel()
        writer.transport.abort()
