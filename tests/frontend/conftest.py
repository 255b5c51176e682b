"""One Chromium with a talking face before its camera, and one gateway that answers made-up numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from loadtest import drawn_face
from tests.frontend.camera import make_fake_camera
from tests.gateway.fake_llm import FakeLlm, fake_llm
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.stack.running import stack
from tests.support.tools import tool
from tests.support.triton import skip_without_triton

CLOCK = Path(__file__).with_name("clock.js")
PATIENCE_MILLISECONDS = 30_000
"""How long the page may take to show what is expected of it: a busy machine takes its time, and nothing is measured."""
UNHURRIED = {"EMO_REQUEST_DEADLINE": "60", "EMO_INFERENCE_TIMEOUT": "30", "EMO_DECODE_TIMEOUT": "30"}
"""Settings of a stack whose deadlines a busy machine keeps, too."""

expect.set_options(timeout=PATIENCE_MILLISECONDS)


# Not for the session: Playwright keeps an event loop in this thread, which the other folders' tests cannot have.
@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = tool("chromium")
    camera = make_fake_camera(tmp_path_factory.mktemp("camera"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--mute-audio", *camera.arguments]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(upload_limit=2_000_000)) as client:
        wait_ready(client)
        yield client


@dataclass(frozen=True)
class RealStack:
    """Gateway and Triton with the committed model, and a companion that puts results into words.

    Attributes:
        address: Where the page is.
        companion: What would be a language model.
    """

    address: str
    companion: FakeLlm


@pytest.fixture(scope="package")
def real() -> Iterator[RealStack]:
    skip_without_triton()
    with fake_llm() as companion, stack(EMO_LLM_URL=companion.url, **UNHURRIED) as running:
        running.wait_for("Ready (emotion_int8)")
        yield RealStack(running.address, companion)


@contextmanager
def opened(browser: Browser, address: str, *, allowed: bool = True, **options: Any) -> Iterator[Page]:
    """The page in a window of its own; any complaint of the browser fails the test, except failed requests.

    Args:
        browser: The browser.
        address: Where the page is.
        allowed: Whether the person allows camera and microphone.
        **options: Of the window, for example `viewport`.
    """
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    if allowed:
        context.grant_permissions(["camera", "microphone"])
    context.add_init_script(path=CLOCK)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """Five seconds that Chromium can play, of a drawn face and voice."""
    path = tmp_path / "long.webm"
    path.write_bytes(drawn_face.clip(5.0))
    return path


@pytest.fixture
def page(browser: Browser, gateway: httpx.Client) -> Iterator[Page]:
    with opened(browser, str(gateway.base_url)) as page:
        yield page
