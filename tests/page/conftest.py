"""A browser before the operator's page of real gateways."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.debian import debian
from tests.support.pages import ARGS, KEY, PATIENCE, Opened, Watch
from tests.support.processes import Gateway, Gateways


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a file, not for the session: playwright's loop would run on under the tests of others."""
    program = debian("chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def gateway(gateways: Gateways) -> Gateway:
    """With the admin key `KEY`."""
    return gateways.start(ADMIN_KEY=KEY).ready()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Opened]:
    """Opens the page of a gateway at a hash, in a browser of its own: `opened(gateway.url, "/accounts", **options)`. At the end
    nothing may have gone wrong in any of them."""
    watch = Watch()
    contexts = []

    def open_(url: str, hash_: str = "/", *, key: str = "", **options: Any) -> Page:
        context = chromium.new_context(base_url=url, **{"locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if key:
            answer = context.request.post(
                "/admin/api/session", data={"key": key}, headers={"x-gempool-page": "1"}
            )
            assert answer.ok, answer.text()
        page = context.new_page()
        watch.over(page)
        page.goto(f"/admin#{hash_}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert watch.faults == []


@pytest.fixture
def visit(gateway: Gateway, opened: Opened) -> Opened:
    """The page of `gateway`, already signed in; the options are those of a browser's context."""
    return lambda hash_="/", **options: opened(gateway.url, hash_, key=KEY, **options)
