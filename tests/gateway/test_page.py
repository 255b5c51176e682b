"""The upload page in a real Chromium: a clip goes in, bars come out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from preprocessing.contract import LABELS
from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import draw
from tests.support.data import data_path

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(upload_limit=2_000_000)) as client:
        yield client


@pytest.fixture
def page(browser: Browser, gateway: httpx.Client) -> Iterator[Page]:
    """The page, freshly opened; any complaint of the browser fails the test, except failed requests."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page = browser.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(str(gateway.base_url))
    yield page
    page.close()
    assert not complaints


def send(page: Page, path: Path) -> None:
    page.get_by_label("A clip").set_input_files(path)
    page.get_by_role("button", name="Estimate").click()


def test_recording_gets_eight_bars_and_a_top_emotion(page: Page) -> None:
    send(page, data_path("clips/chrome_a01_disgust_vp8.webm"))
    expect(page.get_by_role("progressbar")).to_have_count(len(LABELS))
    expect(page.locator("#top")).to_have_text(
        re.compile(rf"^({'|'.join(label.capitalize() for label in LABELS)}) – \d+\.\d %$")
    )
    expect(page.locator("#top")).to_be_focused()
    numbers = [float(text.removesuffix(" %")) for text in page.locator("#bars .number").all_inner_texts()]
    assert sum(numbers) == pytest.approx(100, abs=0.5)
    expect(page.locator("#notes")).to_contain_text("made up")


def test_clip_without_sound_says_so(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "silent.mkv"
    path.write_bytes(draw(audio_codec=None))
    send(page, path)
    expect(page.locator("#notes")).to_contain_text("no audio track")
    expect(page.locator("#notes")).to_contain_text("No face was found")


def test_message_of_the_server_is_shown_and_the_next_clip_is_answered(page: Page, tmp_path: Path) -> None:
    text, clip = tmp_path / "notes.mp4", tmp_path / "clip.mkv"
    text.write_text("no video at all")
    clip.write_bytes(draw())
    send(page, text)
    expect(page.get_by_role("status")).to_contain_text("not a media file of a known format")
    expect(page.locator("#result")).to_be_hidden()
    send(page, clip)
    expect(page.get_by_role("progressbar")).to_have_count(len(LABELS))
    expect(page.get_by_role("status")).to_be_empty()


def test_clip_over_the_limit_is_explained(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(6_000_000))
    send(page, path)
    expect(page.get_by_role("status")).to_contain_text("the limit for a clip is 2000000 bytes")


def test_page_says_what_it_is_not(page: Page) -> None:
    expect(page.locator("#about")).to_contain_text("does not read what a person feels")
    expect(page.locator("#about")).to_contain_text("Nothing of the clip is stored")


def test_server_that_is_gone_is_explained(browser: Browser, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(draw())
    page = browser.new_page()
    with running_gateway(settings_for_tests()) as client:
        page.goto(str(client.base_url))
    send(page, clip)
    expect(page.get_by_role("status")).to_contain_text("cannot be reached")
    page.close()


def test_page_and_result_fit_a_phone(page: Page, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(draw())
    page.set_viewport_size({"width": 320, "height": 640})
    send(page, clip)
    expect(page.get_by_role("progressbar")).to_have_count(len(LABELS))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
