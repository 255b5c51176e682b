"""What goes wrong is explained, and what helps is one key press away."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.auth.keys import hash_key
from tests.frontend.conftest import opened
from tests.frontend.steps import (
    OPEN,
    PREDICT,
    answer_again,
    answer_with,
    choose,
    expect_result,
    expect_state,
    move_clock,
    press,
    send,
    turn_camera_on,
)
from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import synthetic_clip, without_face

KEY = "a key of this test"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    path.write_bytes(synthetic_clip())
    return path


def expect_error(page: Page, title: str) -> None:
    expect_state(page, "error")
    expect(page.locator("#error-title")).to_have_text(title)
    expect(page.locator("#error-title")).to_be_focused()


def test_denied_permission_is_explained_and_a_file_can_still_be_sent(
    browser: Browser, gateway: httpx.Client, clip: Path
) -> None:
    with opened(browser, str(gateway.base_url), allowed=False) as page:
        press(page, OPEN)
        expect_error(page, "Camera and microphone are not allowed")
        send(page, clip)
        expect_result(page)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NotFoundError", "No camera or microphone was found"),
        ("NotReadableError", "The camera or microphone is in use"),
    ],
)
def test_camera_that_cannot_be_opened_is_explained_and_tried_again(page: Page, name: str, title: str) -> None:
    page.evaluate(
        """name => {
          const media = navigator.mediaDevices;
          const open = media.getUserMedia.bind(media);
          media.getUserMedia = async () => {
            media.getUserMedia = open;
            throw new DOMException("", name);
          };
        }""",
        name,
    )
    press(page, OPEN)
    expect_error(page, title)
    press(page, "Try again")
    expect_state(page, "ready")


def test_a_clip_without_anybody_is_explained(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "wall.mkv"
    path.write_bytes(synthetic_clip(picture=without_face, audio_codec=None))
    send(page, path)
    expect_error(page, "Nobody was seen or heard")
    expect(page.locator("#error-advice")).to_contain_text("Face the camera in good light")


def test_camera_that_goes_away_is_explained(page: Page) -> None:
    turn_camera_on(page)
    page.evaluate("document.getElementById('preview').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect_error(page, "The camera or microphone went away")


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ("Object.defineProperty(window, 'isSecureContext', {value: false})", "Recording needs a secure connection"),
        ("window.MediaRecorder = undefined", "This browser cannot record"),
        ("MediaRecorder.isTypeSupported = () => false", "This browser cannot record"),
    ],
)
def test_browser_that_cannot_record_is_told_what_can_be_done(page: Page, fault: str, title: str) -> None:
    page.evaluate(fault)
    press(page, OPEN)
    if "isTypeSupported" in fault:
        press(page, "Record")
        expect_state(page, "countdown")
        move_clock(page, 3)
    expect_error(page, title)
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_hidden()


def test_server_that_is_gone_and_a_lost_network_are_explained(browser: Browser, clip: Path) -> None:
    with running_gateway(settings_for_tests()) as client, opened(browser, str(client.base_url)) as page:
        page.context.set_offline(True)
        send(page, clip)
        expect_error(page, "You are offline")
        page.context.set_offline(False)
        page.route(PREDICT, lambda route: route.abort("connectionrefused"))
        press(page, "Send again")
        expect_error(page, "The server cannot be reached")
        page.unroute(PREDICT)
        press(page, "Send again")
        expect_result(page)


def test_server_that_is_away_is_noticed_before_anything_is_recorded(page: Page) -> None:
    page.route("**/api/contract", lambda route: route.abort("connectionrefused"))
    page.reload()
    press(page, OPEN)
    expect_error(page, "The server cannot be reached")
    expect(page.get_by_role("button", name="Send again")).to_be_hidden()
    page.unroute("**/api/contract")
    press(page, "Try again")
    expect_state(page, "ready")


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [(404, "model_not_found", "The chosen model is gone"), (500, "internal_error", "The server could not answer")],
)
def test_other_refusals_lead_back_to_the_clip(page: Page, clip: Path, status: int, code: str, title: str) -> None:
    answer_with(page, status, code, "Words of the server.")
    send(page, clip)
    expect_error(page, title)
    answer_again(page)
    press(page, "Back to the clip")
    expect(page.locator("#clip-name")).to_contain_text("clip.mkv")
    press(page, "Estimate")
    expect_result(page)


def test_clip_over_the_limit_is_explained_in_the_servers_words(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(6_000_000))
    send(page, path)
    expect_error(page, "The clip is too large")
    expect(page.locator("#error-message")).to_contain_text("the limit is 2000000 bytes")
    expect(page.get_by_role("button", name="Send again")).to_be_hidden()


def test_file_that_is_no_clip_is_explained_and_the_next_is_answered(page: Page, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    choose(page, text)
    expect(page.locator("#unplayable")).to_be_visible()
    press(page, "Estimate")
    expect_error(page, "The clip cannot be read")
    expect(page.locator("#error-message")).to_contain_text("not a media file of a known format")
    send(page, clip)
    expect_result(page)


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [(429, "overloaded", "Too many requests at the moment"), (503, "model_unavailable", "The server is not ready")],
)
def test_pause_that_the_server_asks_for_is_counted_down(
    page: Page, clip: Path, status: int, code: str, title: str
) -> None:
    answer_with(page, status, code, "Words of the server.", **{"Retry-After": "30"})
    send(page, clip)
    expect_error(page, title)
    expect(page.locator("#error-message")).to_have_text("Words of the server.")
    again = page.locator("#send-again")
    expect(again).to_be_disabled()
    expect(again).to_contain_text("Send again in ")
    move_clock(page, 30)
    expect(again).to_be_enabled()
    expect(again).to_have_text("Send again")
    answer_again(page)
    again.click()
    expect_result(page)


def test_key_is_asked_for_where_the_server_wants_one(browser: Browser, clip: Path) -> None:
    settings = settings_for_tests(api_keys=[f"test:{hash_key(KEY)}"])
    with running_gateway(settings) as client, opened(browser, str(client.base_url)) as page:
        send(page, clip)
        expect_error(page, "An API key is needed")
        for key in ("a wrong key", KEY):
            page.get_by_label("API key", exact=True).fill(key)
            page.get_by_label("API key", exact=True).press("Enter")
            if key != KEY:
                expect(page.locator("#error-message")).to_have_text("The API key of the request is not valid.")
        expect_result(page)
        send(page, clip)
        expect_result(page)


def test_key_can_be_given_before_it_is_asked_for(browser: Browser, clip: Path) -> None:
    settings = settings_for_tests(api_keys=[f"test:{hash_key(KEY)}"])
    with running_gateway(settings) as client, opened(browser, str(client.base_url)) as page:
        choose(page, clip)
        field = page.get_by_label("API key, which this server asks for")
        field.fill(KEY)
        field.press("Tab")
        press(page, "Estimate")
        expect_result(page)
        choose(page, clip)
        expect(page.get_by_role("button", name="Estimate", exact=True)).to_be_focused()
        expect(field).to_be_hidden()
