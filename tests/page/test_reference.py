"""`/docs` in a browser: the reference is drawn from files of the gateway alone, can be used by everybody, and tries routes out."""

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.fakes.edge import Edge, edge

CHAT = "#operations-OpenAI-postV1ChatCompletions"


@pytest.fixture(scope="module")
def keyed() -> Iterator[Edge]:
    """An edge that asks everybody for a key."""
    with edge(api_key="one", admin_key="root") as found:
        yield found


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chromium: Browser, keyed: Edge) -> Iterator[Page]:
    """The reference, drawn; at the end nothing may have been refused, failed, or fetched from elsewhere."""
    context = chromium.new_context(base_url=keyed.url, color_scheme=request.param)
    page = context.new_page()
    faults: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")
    expect(page.locator(CHAT)).to_be_visible()
    yield page
    context.close()
    assert [fault for fault in faults if "401" not in fault] == []
    assert [url for url in asked if not url.startswith((keyed.url, "data:", "blob:"))] == []


def serious(page: Page) -> list[str]:
    """What axe finds to be serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {[node['target'] for node in fault['nodes'][:3]]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def open_chat(page: Page) -> None:
    page.locator(f"{CHAT} button.opblock-summary-control").click()
    expect(page.locator(f"{CHAT} .execute")).to_be_visible()


def test_everybody_can_use_it(page: Page) -> None:
    """In light and dark, the list, an opened route and the form for keys have no serious finding of axe's."""
    assert serious(page) == []
    open_chat(page)
    assert serious(page) == []
    page.locator("button.authorize").first.click()
    expect(page.get_by_role("button", name="Close").first).to_be_visible()
    assert serious(page) == []


def test_it_fits_a_phone(page: Page) -> None:
    """At 360 pixels nothing has to be scrolled sideways, also with a route opened."""
    page.set_viewport_size({"width": 360, "height": 740})
    open_chat(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_route_is_tried_out_with_a_key_that_is_typed_in(page: Page, keyed: Edge) -> None:
    """Without a key the route's own 401 is shown; with one the answer; and the key stays nowhere."""
    open_chat(page)
    answer = page.locator(f"{CHAT} .live-responses-table")
    page.locator(f"{CHAT} .execute").click()
    expect(answer).to_contain_text("An API key is required")
    page.locator("button.authorize").first.click()
    page.get_by_label("auth-bearer-value").fill("one")
    page.get_by_role("button", name="Apply credentials").first.click()
    page.get_by_role("button", name="Close").first.click()
    page.locator(f"{CHAT} .execute").click()
    expect(answer).to_contain_text("You said: Why is the sky blue?")
    assert page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'
    assert json.loads(page.evaluate("JSON.stringify(performance.getEntriesByType('navigation').length)")) == 1


def test_a_description_that_cannot_be_read_is_told(chromium: Browser, keyed: Edge) -> None:
    """In words, with a button to try again, which does."""
    context = chromium.new_context(base_url=keyed.url)
    page = context.new_page()
    page.route("**/openapi.json", lambda route: route.fulfill(status=503, body="{}"))
    page.goto("/docs")
    expect(page.get_by_role("status")).to_contain_text("/openapi.json answered 503")
    page.unroute("**/openapi.json")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(CHAT)).to_be_visible()
    context.close()
