"""What the page as a whole promises: keys suffice, it is small, it is served under a strict policy."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.frontend.conftest import opened
from tests.frontend.steps import estimate, expect_result, expect_state, move_clock, record, send, turn_camera_on
from tests.support.clips import synthetic_clip
from tests.support.nginx import serving_recorder

FIRST_LOAD_BYTES = 100_000

FOCUSED = "document.activeElement.textContent.trim()"


def tab_to(page: Page, text: str) -> None:
    """Press Tab until a button is reached, as people do."""
    for _ in range(20):
        if page.evaluate(FOCUSED) == text:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {text}")


def test_keyboard_alone_records_and_sends(page: Page) -> None:
    tab_to(page, "Agree and turn on the camera")
    page.keyboard.press("Enter")
    expect_state(page, "ready")
    expect(page.get_by_role("button", name="Record")).to_be_focused()
    page.keyboard.press("Enter")
    expect_state(page, "countdown")
    move_clock(page, 3)
    expect_state(page, "recording")
    expect(page.get_by_role("status")).to_have_text("Recording.")
    expect_state(page, "review")
    expect(page.get_by_role("button", name="Estimate")).to_be_focused()
    page.keyboard.press("Enter")
    expect_result(page)
    expect(page.get_by_role("status")).to_have_text("The estimate is there.")


def test_consent_stands_before_the_camera_is_asked_for(page: Page) -> None:
    consent = page.locator("#consent")
    for text in (
        "eight pictures and the sound",
        "the whole recording",
        "What is stored Nothing",
        "What the result is not Knowledge of what someone feels",
        "at work or in education",
        "Article 5(1)(f)",
    ):
        expect(consent).to_contain_text(text)
    expect(page.get_by_role("button", name="Agree and turn on the camera")).to_have_accessible_description(
        re.compile("What is sent")
    )
    assert page.evaluate("document.getElementById('preview').srcObject") is None


def test_first_load_is_small_and_comes_from_one_place(page: Page, gateway: httpx.Client) -> None:
    files = page.evaluate(
        """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
          .map(({name, transferSize}) => ({name, transferSize}))"""
    )
    assert len(files) > 10
    assert sum(file["transferSize"] for file in files) < FIRST_LOAD_BYTES
    assert {httpx.URL(file["name"]).host for file in files} == {gateway.base_url.host}


def test_files_are_compressed_kept_and_asked_about(gateway: httpx.Client) -> None:
    for path in ("/", "/assets/page.js"):
        response = gateway.get(path)
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Cache-Control"] == "no-cache"
        again = gateway.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.headers["Cache-Control"]) == (304, "no-cache")


def test_gateway_serves_the_page_alone_of_its_folder(gateway: httpx.Client) -> None:
    for path in ("/nginx.conf", "/index.html", "/assets/../nginx.conf", "/assets/%2e%2e/nginx.conf"):
        assert gateway.get(path).status_code == 404


def test_clips_and_samples_get_through_nginx_to_the_gateway(
    browser: Browser, gateway: httpx.Client, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(synthetic_clip())
    assert gateway.base_url.port is not None
    with serving_recorder(gateway.base_url.port) as recorder, opened(browser, str(recorder.base_url)) as page:
        turn_camera_on(page)
        record(page)
        with page.expect_request(re.compile(r"/api/predict/sampled$")):
            answer = estimate(page)
        assert answer["modalities"] == {"video": True, "audio": True}
        send(page, clip)
        expect_result(page)


def test_policy_lets_in_no_inline_code_and_keeps_the_camera_to_the_page(gateway: httpx.Client) -> None:
    response = gateway.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "camera=(self), microphone=(self)" in response.headers["Permissions-Policy"]
    assert re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*src)", response.text) is None


def test_phone_held_upright_gets_a_result_without_scrolling_sideways(
    browser: Browser, gateway: httpx.Client, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(synthetic_clip())
    phone = {"width": 320, "height": 640}
    with opened(browser, str(gateway.base_url), viewport=phone, has_touch=True, is_mobile=True) as page:
        send(page, clip)
        expect_result(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
