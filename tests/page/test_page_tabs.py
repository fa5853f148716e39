"""The page in several tabs of one browser, of which one is looked at."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.pages import Opened
from tests.support.processes import Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late

TABS = 8
"""More than the six connections that a browser has to one host."""


def turn(page: Page, state: str) -> None:
    """What a browser with a window does to a tab; the one of the tests takes all of them for visible."""
    page.evaluate(
        """state => {
          Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
          document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        state,
    )


def test_many_tabs_are_open_and_the_one_that_is_shown_is_live(visit: Opened, upstream: Web) -> None:
    """A tab that is hidden lets its connection go, so that the eighth opens as the first did. One that is shown again tells how
    things stand now, and none of them ever said that there was no connection."""
    pages = [visit("/accounts")]
    for _ in range(TABS - 1):
        expect(pages[-1].get_by_text("Live", exact=True)).to_be_visible()
        pages[-1].evaluate("""() => {
          window.lost = false;
          const look = () => { window.lost ||= Boolean(document.querySelector(".link.lost, .banner.bad")) };
          new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
        }""")
        turn(pages[-1], "hidden")
        pages.append(pages[0].context.new_page())
        pages[-1].goto("/admin#/accounts")
    expect(pages[-1].get_by_text("Live", exact=True)).to_be_visible()
    turn(pages[-1], "hidden")

    upstream.call("POST", "/accounts/account-2/cookies")
    headers = {"x-gempool-page": "1"}
    probed = pages[0].request.post("/admin/api/accounts/account-2/probe", headers=headers)
    assert probed.ok, probed.text()
    turn(pages[0], "visible")
    expect(pages[0].get_by_role("row", name="account-2")).to_contain_text("out")
    expect(pages[0].get_by_text("Live", exact=True)).to_be_visible()
    assert [page.evaluate("window.lost") for page in pages[:-1]] == [False] * (TABS - 1)
