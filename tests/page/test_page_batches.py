"""Batches on the page: ordered, watched to their end, cancelled, looked through."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.pages import KEY, Opened
from tests.support.ports import free_ports
from tests.support.processes import Gateway, Gateways, Web, wait_for

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late

WORDS = "The picture of this one cannot be made by me."
"""What the model says instead of a picture."""


def test_a_batch_of_pictures_is_ordered_and_watched_until_it_has_ended(visit: Opened, upstream: Web) -> None:
    """Its prompts are pasted, one a line; results appear as they come, with links to the pictures, and the one that the model
    refuses with the model's own reason and its tries; the list tells how it stands."""
    page = visit("/batches")
    expect(page.get_by_text("No batches yet")).to_be_visible()
    page.get_by_role("button", name="New batch").press("Enter")
    dialog = page.get_by_role("dialog", name="New batch")
    order = dialog.get_by_role("button", name="Order it")
    expect(order).to_have_attribute("aria-disabled", "true")
    upstream.call("POST", "/replies", {"picture_reply": "refusal", "text": WORDS})
    dialog.get_by_label("Prompts, one a line").fill("a red kite\n\n  a fox in the snow \na lighthouse\n")
    expect(dialog).to_contain_text("3 prompts")
    dialog.get_by_label("At once").fill("1")
    order.press("Enter")

    expect(page.get_by_role("heading", name="Pictures · 3 prompts")).to_be_focused()
    shots = page.get_by_role("region", name="Results").get_by_role("listitem")
    expect(shots).to_have_count(2)
    expect(page.get_by_text("completed", exact=True)).to_be_visible()
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("aria-valuetext", "2 of 3 done, 1 failed")
    expect(page.get_by_text(WORDS)).to_be_visible()
    failed = page.get_by_role("listitem").filter(has_text=WORDS)
    expect(failed).to_contain_text(re.compile(r"No\. 1.*a red kite.*content_filter · 1 try", re.DOTALL))
    shot = shots.filter(has_text="a fox in the snow")
    expect(shot).to_contain_text(re.compile("2048 . 2048"))
    expect(shot.get_by_role("img", name="a fox in the snow")).to_have_js_property("naturalWidth", 2048)
    link = shot.get_by_role("link", name="Open picture 2").get_attribute("href")
    assert link is not None
    assert page.request.get(link).headers["content-type"] == "image/png"
    expect(page.get_by_role("button", name="Cancel the batch")).to_have_count(0)

    page.reload()  # the page knows nothing but its address now
    expect(shots).to_have_count(2)
    expect(page.get_by_text(WORDS)).to_be_visible()
    page.get_by_role("link", name="All batches").click()
    expect(page.get_by_role("progressbar", name="Progress")).to_have_attribute(
        "aria-valuetext", "2 of 3 done, 1 failed"
    )


def test_a_batch_says_what_it_waits_for_and_is_cancelled_by_keyboard(visit: Opened, upstream: Web) -> None:
    """While no account can serve, the page tells why it waits; a refused order says at its field what is allowed until it is mended;
    cancelling asks first, and what has not begun never runs."""
    page = visit("/batches")
    for account in upstream.accounts:
        upstream.fault(account["id"], "error_1037", resets_in=3600)
    assert page.request.post("/v1/chat/completions", data={"messages": [{"role": "user", "content": "Hi"}]},
                             headers={"x-gempool-page": "1"}).status == 429  # fmt: skip
    page.get_by_role("button", name="New batch").click()
    dialog = page.get_by_role("dialog", name="New batch")
    dialog.get_by_label("Texts").check()
    prompts = dialog.get_by_label("Prompts, one a line")
    prompts.fill("Say yes\n" * 4)
    dialog.get_by_label("At once").fill("99")
    dialog.get_by_role("button", name="Order it").click()
    at_once = dialog.get_by_label("At once")
    alert = dialog.get_by_role("alert")
    expect(alert).to_have_text("Choose a whole number from 1 to 16.")
    expect(at_once).to_have_attribute("max", "16")
    at_once.fill("9")
    expect(alert).to_have_count(0)
    at_once.fill("0")
    dialog.get_by_role("button", name="Order it").click()
    expect(alert).to_have_text("Choose a whole number from 1 to 16.")
    at_once.fill("2")
    dialog.get_by_role("button", name="Order it").click()
    expect(page.get_by_role("heading", name="Texts · 4 prompts")).to_be_visible()
    expect(page.locator(".why")).to_contain_text("limit")

    cancel = page.get_by_role("button", name="Cancel the batch")
    cancel.press("Enter")
    question = page.get_by_role("dialog", name="Cancel this batch?")
    expect(question).to_contain_text("4 prompts have not ended")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    cancel.press("Enter")
    question.get_by_role("button", name="Cancel the batch").press("Enter")
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("aria-valuetext", "0 of 4 done, 4 cancelled")
    expect(page.get_by_text("It brought no results")).to_be_visible()
    expect(cancel).to_have_count(0)


def test_many_batches_are_looked_through_page_by_page(visit: Opened, gateway: Gateway) -> None:
    """Twelve batches of somebody else's are ten on the first page and two on the second, each in its place; a state that none
    has is said to have none, and an id that is unknown is told as such."""
    headers = {"authorization": f"Bearer {KEY}"}
    made = []
    for number in range(12):
        body = {"prompts": [f"Question {number}"]}
        answer = httpx.post(f"{gateway.url}/v1/batch/chat", json=body, headers=headers, timeout=30)
        assert answer.status_code == 202, answer.text
        made.append(answer.json()["batch_id"])

    def all_ended() -> bool:
        listed = httpx.get(f"{gateway.url}/v1/batch?status=completed", headers=headers, timeout=30).json()
        return len(listed["batches"]) == 12

    wait_for(all_ended)
    page = visit("/batches")
    entries = page.get_by_role("main").get_by_role("listitem")
    expect(entries).to_have_count(10)
    expect(entries.first).to_contain_text(made[11])
    page.get_by_role("link", name="Older").click()
    expect(entries).to_have_count(2)
    expect(entries.last).to_contain_text(made[0])
    page.go_back()
    expect(entries).to_have_count(10)
    page.get_by_label("State").select_option(label="failed")
    expect(page.get_by_text("No batches of this kind")).to_be_visible()
    page.get_by_label("State").select_option(label="completed")
    entries.first.get_by_role("link").click()
    expect(page.get_by_role("region", name="Results")).to_contain_text("You said: Question 11")
    page.goto("/admin#/batches/batch_gone")
    expect(page.get_by_role("alert")).to_contain_text("There is no such batch.")


def test_a_watched_batch_goes_on_once_the_gateway_is_back(
    gateways: Gateways, opened: Opened, upstream: Web
) -> None:
    """While the gateway is away the page says so and keeps what it knew; then every result comes once, without a reload."""
    (port,) = free_ports(1)
    gateway = gateways.start(ADMIN_KEY=KEY, PORT=str(port)).ready()
    upstream.defaults(latency={"generate": 0.5})
    page = opened(gateway.url, "/batches", key=KEY)
    page.get_by_role("button", name="New batch").click()
    dialog = page.get_by_role("dialog", name="New batch")
    dialog.get_by_label("Texts").check()
    dialog.get_by_label("Prompts, one a line").fill("\n".join(f"Question {number}" for number in range(12)))
    dialog.get_by_role("button", name="Order it").click()
    results = page.get_by_role("region", name="Results").get_by_role("listitem")
    expect(results.first).to_be_visible()
    gateway.stop()
    expect(page.get_by_text("No connection")).to_be_visible()
    expect(results.first).to_be_visible()
    gateways.start(ADMIN_KEY=KEY, PORT=str(port)).ready()
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("aria-valuetext", "12 of 12 done", timeout=90_000)
    expect(results).to_have_count(12)
    for number in range(12):
        expect(results.filter(has_text=re.compile(rf"You said: Question {number}(?!\d)"))).to_have_count(1)
    expect(page.get_by_text("No connection")).to_have_count(0)
