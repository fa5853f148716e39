"""What a person does while the gateway is away works by itself once it is back: no view, no word, no list stays broken."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.pages import KEY, Opened
from tests.support.ports import free_ports
from tests.support.processes import Gateways, Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late


def test_views_that_are_first_opened_while_the_gateway_is_away_work_once_it_is_back(
    upstream: Web, gateways: Gateways, opened: Opened, empty_valkey: str
) -> None:
    """Each view opens at once. What it asks the gateway for it asks again when the live stream is back: the account's history, the
    list of batches, the models. So does the other language, which could not be loaded before. Nothing is reloaded or pressed."""
    [port] = free_ports(1)
    common = {
        "ADMIN_KEY": KEY,
        "PORT": str(port),
        "REDIS_URL": empty_valkey,
        "gempool__pool__lease_ttl": "1s",
    }
    accounts = gateways.accounts_file(2)
    first = gateways.start(accounts, **common).ready()
    page = opened(first.url, "/events?show=all", key=KEY)
    live = page.get_by_text("Live", exact=True)
    expect(live).to_be_visible()
    first.kill()
    expect(page.get_by_text("No connection")).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("The gateway does not answer. Try again in a moment.")).to_be_visible()
    for view in ("Pictures", "Batches", "Playground", "Accounts"):
        page.get_by_role("link", name=view, exact=True).first.click()
        expect(page.get_by_role("heading", name=view, exact=True, level=1)).to_be_visible()
    page.get_by_role("link", name="account-1").click()
    expect(page.get_by_role("heading", name="account-1")).to_be_visible()
    failed = page.get_by_role("main").get_by_role("alert")
    expect(failed).to_have_count(1)
    gateways.start(accounts, **common).ready()
    expect(live).to_be_visible()
    expect(failed).to_have_count(0)
    expect(page.locator("section", has=page.get_by_role("heading", name="History"))).to_contain_text("active")
    page.get_by_role("link", name="Playground").first.click()
    expect(page.get_by_role("textbox", name="Message")).to_be_visible()
    page.get_by_role("link", name="Batches").first.click()
    expect(page.get_by_text("No batches yet")).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name=re.compile("批量任务"))).to_be_visible()
