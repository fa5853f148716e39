"""The playground: a chat with any model, pictures made and changed, and the requests behind them."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.pages import Opened
from tests.support.processes import Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late

SLOW = {"words": 400, "frames": 200, "frame_delay": 0.1}
"""An answer that nobody waits for: twenty seconds long."""


def png() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 48), (180, 40, 40)).save(data, "PNG")
    return data.getvalue()


def prompts(upstream: Web) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = upstream.call("GET", "/journal")
    return found


def test_a_chat_streams_goes_on_takes_a_picture_along_and_can_be_stopped(
    visit: Opened, upstream: Web
) -> None:
    """The answer is there with its times, its request's id and the account that served it; the next question brings the talk
    so far and the attached picture; an answer that is stopped keeps what came, and the gateway tells that its caller left."""
    page = visit("/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="Playground").click()
    message = page.get_by_role("textbox", name="Message")
    upstream.defaults(thoughts="**Greeting**\nThe person greets me.")
    message.fill("Hello there")
    message.press("Shift+Enter")
    message.type("from `the` page")
    message.press("Enter")
    first = page.locator("article.theirs").first
    expect(first).to_contain_text("You said: Hello there")
    expect(first.locator("code")).to_have_text("the")
    expect(first.locator("footer")).to_contain_text(re.compile(r"first words after .*whole after .*tokens"))
    served = first.locator("footer").get_by_role("link", name=re.compile("account-"))
    expect(served).to_have_text(str(prompts(upstream)[0]["account"]))
    thoughts = first.get_by_text("The person greets me.")
    expect(thoughts).to_be_hidden()
    first.get_by_text("Thoughts").click()
    expect(thoughts).to_be_visible()

    first.get_by_role("button", name="Copy the answer").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("You said: Hello there")

    page.set_input_files("input[type=file]", {"name": "red.png", "mimeType": "image/png", "buffer": png()})
    expect(page.get_by_role("img", name="red.png")).to_be_visible()
    message.fill("What is this?")
    page.get_by_role("button", name="Send").click()
    second = page.locator("article.theirs").nth(1)
    expect(second.locator("footer")).to_contain_text("served by")
    sent = prompts(upstream)[-1]
    assert [one["size"] for one in sent["uploads"]] == [len(png())]
    for text in ("Hello there", "What is this?"):  # the simulator repeats all that it was told
        expect(second.locator(".prose")).to_contain_text(text)

    upstream.defaults(**SLOW)
    message.fill("Tell me a long story")
    message.press("Enter")
    third = page.locator("article.theirs").nth(2)
    expect(third).to_have_attribute("aria-busy", "true")
    expect(third.locator(".prose")).to_contain_text("You said")
    message.press("Escape")
    expect(third.locator("footer")).to_contain_text("stopped")
    assert "That is all there is to say" not in third.inner_text()
    third.get_by_role("link", name="details").click()
    one = page.get_by_role("heading", name="One request").locator("xpath=../..")
    expect(one).to_contain_text("cancelled")
    page.get_by_role("link", name="Playground").click()
    expect(page.locator("article.theirs")).to_have_count(3)
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("article")).to_have_count(0)


def test_an_error_is_told_in_the_gateways_words_and_can_be_tried_again(visit: Opened, upstream: Web) -> None:
    """It says what went wrong, its code and the request's id; its details name every account that failed; once the accounts are
    well the same question is asked again."""
    page = visit("/play")
    for account in upstream.accounts:
        upstream.fault(account["id"], "http_500")
    message = page.get_by_role("textbox", name="Message")
    message.fill("Does anybody hear me?")
    message.press("Enter")
    told = page.get_by_role("alert")
    expect(told).to_contain_text("none answered")
    expect(told).to_contain_text(re.compile(r"upstream_failed · HTTP 503 · page-\w+"))
    for account in upstream.accounts:
        upstream.call("DELETE", f"/accounts/{account['id']}/fault")
    told.get_by_role("button", name="Try again").click()
    expect(page.locator("article.theirs").last).to_contain_text("You said: Does anybody hear me?")
    expect(page.get_by_role("alert")).to_have_count(0)

    page.goto("/admin#/requests")
    failed = page.locator("details").filter(has_text="all tries failed")
    failed.locator("summary").press("Enter")
    tried = failed.get_by_role("listitem")
    expect(tried.first).to_contain_text("failed")
    assert set(tried.get_by_role("link").all_inner_texts()) == {one["id"] for one in upstream.accounts}

    page.get_by_role("combobox", name="Outcome").select_option(label="All that did not go well")
    expect(page.locator("details")).to_have_count(1)
    page.get_by_role("combobox", name="Outcome").select_option(label="well")
    expect(page.locator("details")).to_have_count(1)
    expect(page.locator("details")).not_to_contain_text("failed")
    page.get_by_role("combobox", name="Model").select_option("gemini-3-flash-preview")
    page.get_by_role("combobox", name="Account").select_option(index=1)
    page.get_by_role("combobox", name="Outcome").select_option(label="All outcomes")
    expect(page.locator("details").filter(has_text="all tries failed")).to_have_count(1)


def test_a_picture_is_made_compared_by_keyboard_and_changed(
    visit: Opened, upstream: Web, tmp_path: Path
) -> None:
    """Its measured size, the fate of the logo and its origin are told, as they are in the file; the line between it and the one
    that has its logo still moves by keyboard; the picture changed is that very file, and stands beside what became of it."""
    page = visit("/pictures", accept_downloads=True)
    page.get_by_label("What it shows").fill("a red kite over a harbour")
    page.get_by_label("What it shows").press("Control+Enter")
    result = page.locator("article")
    expect(result).to_contain_text(re.compile("2048 . 2048"))
    expect(result).to_contain_text("logo taken off")
    expect(result).to_contain_text("DigitalSourceType=trainedAlgorithmicMedia")
    expect(result.get_by_role("link", name=re.compile("account-"))).to_be_visible()
    with page.expect_download() as download:
        result.get_by_role("link", name="Download").press("Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    with Image.open(saved) as picture:
        assert picture.size == (2048, 2048)
    assert b"trainedAlgorithmicMedia" in saved.read_bytes()

    result.get_by_role("button", name="Compare with the logo left on").press("Enter")
    line = result.get_by_role("slider")
    expect(line).to_have_value("50")
    line.press("ArrowRight")
    expect(line).to_have_value("51")
    expect(line).to_have_attribute("aria-valuetext", "51 percent logo left on, the rest logo taken off")
    line.press("End")
    expect(line).to_have_value("100")
    shown = "getComputedStyle(document.querySelector('.compare .over')).clipPath"
    assert page.evaluate(shown) in (
        "inset(0px calc(0% + 0px) 0px 0px)",
        "inset(0px 0% 0px 0px)",
        "inset(0px)",
    )
    line.press("Home")
    expect(line).to_have_value("0")

    page.get_by_role("button", name="Change this one").press("Enter")
    expect(page.get_by_label("What is to change")).to_be_focused()
    page.get_by_label("What is to change").fill("make the sky stormy")
    page.get_by_label("Leave it on").check()
    page.get_by_role("button", name="Change the picture").press("Enter")
    changed = page.locator("article").first
    expect(changed.get_by_role("heading")).to_have_text("make the sky stormy")
    expect(changed).to_contain_text("logo left on")
    expect(changed.get_by_role("slider")).to_have_attribute(
        "aria-valuetext", "50 percent Before, the rest After"
    )
    assert [one["size"] for one in prompts(upstream)[-1]["uploads"]] == [saved.stat().st_size]

    upstream.defaults(picture_reply="refusal")
    page.get_by_label("What is to change").fill("something else")
    page.get_by_role("button", name="Change the picture").click()
    expect(page.get_by_role("alert")).to_contain_text("content_filter")
    expect(page.locator("article")).to_have_count(2)
