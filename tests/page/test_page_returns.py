"""What a person wrote into the page, and what it says, when something ends or breaks under it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.pages import KEY, Opened
from tests.support.processes import Gateways, Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late


def sign_in(page: Page) -> None:
    page.get_by_label("Admin key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()


def test_what_was_written_is_there_after_a_session_has_ended_and_not_after_a_sign_out(
    visit: Opened, upstream: Web
) -> None:
    """The conversation, the draft and the order of a batch are where they were once one signs in again. Signing out clears
    them."""
    page = visit("/play")
    message = page.get_by_role("textbox", name="Message")
    message.fill("Hello there")
    message.press("Enter")
    answer = page.locator("article.theirs")
    expect(answer).to_contain_text("You said: Hello there")
    message.fill("A draft")
    page.evaluate("location.hash = '/batches'")
    page.get_by_role("button", name="New batch").click()
    prompts = page.get_by_label("Prompts, one a line")
    prompts.fill("a red kite\na fox")
    page.context.clear_cookies()
    page.evaluate("location.hash = '/accounts/account-1'")
    expect(page.get_by_text("Your session has ended.")).to_be_visible()

    sign_in(page)
    expect(page.get_by_role("heading", name="account-1")).to_be_visible()
    page.evaluate("location.hash = '/batches'")
    expect(prompts).to_have_value("a red kite\na fox")
    page.keyboard.press("Escape")
    page.evaluate("location.hash = '/play'")
    expect(answer).to_contain_text("You said: Hello there")
    expect(message).to_have_value("A draft")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    sign_in(page)
    expect(message).to_have_value("")
    expect(page.locator("article")).to_have_count(0)
    page.evaluate("location.hash = '/batches'")
    page.get_by_role("button", name="New batch").click()
    expect(prompts).to_have_value("")


def test_a_question_that_failed_is_not_asked_again_with_the_next_one(visit: Opened, upstream: Web) -> None:
    """It stays to be read and tried again, and the model is not told of it."""
    page = visit("/play")
    for account in upstream.accounts:
        upstream.fault(account["id"], "http_500")
    message = page.get_by_role("textbox", name="Message")
    message.fill("A question that nobody answers")
    message.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("none answered")
    for account in upstream.accounts:
        upstream.call("DELETE", f"/accounts/{account['id']}/fault")
    message.fill("Another one")
    message.press("Enter")
    answer = page.locator("article.theirs").last
    expect(answer).to_contain_text("You said: Another one")
    expect(answer).not_to_contain_text("nobody answers")
    expect(page.get_by_text("A question that nobody answers")).to_be_visible()


def test_the_overview_says_what_is_broken_and_counts_what_was_just_asked(
    upstream: Web, gateways: Gateways, opened: Opened
) -> None:
    """Requests of the last seconds are in its number a minute, no first content is later than the whole answer, and an accounts
    file that cannot be read is what it says first."""
    accounts = gateways.accounts_file(3)
    gateway = gateways.start(accounts, ADMIN_KEY=KEY).ready()
    page = opened(gateway.url, key=KEY)
    stands = page.get_by_role("status", name="How it stands")
    expect(stands).to_contain_text("All is well")
    headers = {"x-gempool-page": "1"}
    for stream in (True, False, False):
        body = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        assert page.request.post("/v1/chat/completions", data=body, headers=headers).ok
    figures = page.locator(".figure")
    expect(figures.filter(has_text="Requests a minute")).to_contain_text(
        re.compile(r"3\s*3 in the last hour")
    )

    def late(what: str) -> float:
        told = figures.filter(has_text=what).inner_text()
        [(number, unit)] = re.findall(r"95 % within ([\d.]+) (ms|s)\b", told.replace("\xa0", " "))
        return float(number) / (1000 if unit == "ms" else 1)

    assert late("First content") <= late("Whole answer")

    accounts.write_text("accounts: [", encoding="utf-8")
    expect(stands).to_contain_text("cannot be read")
    expect(stands).to_contain_text("3 accounts serve on.")
    expect(stands).not_to_contain_text("All is well")
