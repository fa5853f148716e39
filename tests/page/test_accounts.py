"""An operator and the accounts: who is ill, why, what comes next, and what a person does about it."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.pages import KEY, Opened
from tests.support.ports import free_ports
from tests.support.processes import Gateways, Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late

CARE = {
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "10m",
    "gempool__supervisor__reprobe_max": "10m",
    "gempool__supervisor__rotate_interval": "1h",
}
"""An account that is out stays out until a person helps it."""


def exported(fresh: dict[str, str]) -> str:
    """As Cookie-Editor writes it."""
    values = {"__Secure-1PSID": fresh["secure_1psid"], "__Secure-1PSIDTS": fresh["secure_1psidts"]}
    return json.dumps(
        [
            {"name": name, "value": value, "domain": ".google.com", "path": "/"}
            for name, value in values.items()
        ]
    )


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Admin key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_an_expired_account_is_seen_understood_and_brought_back(
    upstream: Web, gateways: Gateways, opened: Opened
) -> None:
    """After a wrong key the right one opens the page. An account expires before the operator's eyes: its name, the reason and
    what comes next are there without a reload. Rubbish is refused by its field, an exporter's text brings the account back;
    what was pasted is neither kept in the page nor written to the log."""
    gateway = gateways.start(gateways.accounts_file(3), ADMIN_KEY=KEY, **CARE).ready()
    page = opened(gateway.url)
    sign_in(page, "not the key")
    expect(page.get_by_role("alert")).to_contain_text("That is not the admin key.")
    sign_in(page, KEY)
    stands = page.get_by_role("status", name="How it stands")
    expect(stands).to_contain_text("All is well: 3 accounts serve.")

    fresh = upstream.call("POST", "/accounts/account-2/cookies")
    expect(stands).to_contain_text("account-2 is out: its cookies have expired.")
    expect(stands).to_contain_text("2 accounts serve on.")
    ill = page.get_by_role("list", name="Accounts that need an eye").get_by_role("listitem")
    expect(ill).to_have_count(1)
    for text in ("account-2", "out", "its cookies have expired", "New cookies bring it back at once."):
        expect(ill).to_contain_text(text)
    expect(ill).to_contain_text(re.compile(r"Next: Probed again in \d+ min"))
    expect(page.get_by_role("link", name="Accounts").first).to_contain_text("1 out of service")

    ill.get_by_role("link", name="Replace its cookies").click()
    expect(page.get_by_role("heading", name="account-2")).to_be_visible()
    box = page.get_by_label("What the exporter wrote")
    expect(box).to_be_focused()
    box.fill("RUBBISH that is no cookie")
    page.get_by_role("button", name="Try and replace").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This is no format that is known here.")
    expect(alert).to_contain_text("paste it once more")
    expect(alert).not_to_contain_text("'cookies'")
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(box).to_have_value("")

    page.get_by_role("button", name="Try and replace").click()
    expect(alert).to_have_text("Paste what the exporter wrote.")
    page.get_by_role("button", name="中文").click()
    for text, words in (("RUBBISH again", "无法识别这种格式。"), ("Cookie: a=b", "缺少 __Secure-1PSID")):
        page.get_by_label("导出工具写出的内容").fill(text)
        page.get_by_role("button", name="试用并更换").click()
        expect(alert).to_contain_text(words)
    page.get_by_role("button", name="English").click()
    box.fill(exported(fresh))
    page.get_by_role("button", name="Try and replace").click()
    expect(page.get_by_text("The new cookies are good. account-2 is back.")).to_be_visible()
    expect(page.get_by_role("heading", name="account-2").locator("..")).to_contain_text("active")
    expect(page.get_by_role("listitem").filter(has_text="new cookies").first).to_contain_text("well")
    assert fresh["secure_1psid"] not in page.content() + gateway.log
    assert "RUBBISH" not in page.content() + gateway.log
    page.get_by_role("link", name="gempool").click()
    expect(stands).to_contain_text("All is well: 3 accounts serve.")
    assert gateway.log.count(KEY) == 0


def test_an_account_is_set_aside_found_and_deleted_under_an_open_page(
    upstream: Web, gateways: Gateways, opened: Opened
) -> None:
    """On a phone, and with no key at all on this machine: the page opens at once, asks before it disables an account, does
    nothing where the answer is no, enables it again, finds accounts by state and name, and tells when the one that is looked
    at was taken out of the accounts file. Language and colours that were chosen are kept."""
    gateway = gateways.start(gateways.accounts_file(4), **CARE).ready()
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = opened(gateway.url, "/accounts", **phone)
    cards = page.get_by_role("main").get_by_role("list").first.get_by_role("link")
    expect(cards).to_have_text(["account-1", "account-2", "account-3", "account-4"])
    page.get_by_role("link", name="account-3").click()

    page.get_by_role("button", name="Disable").click()
    question = page.get_by_role("dialog", name="Disable account-3?")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    head = page.get_by_role("heading", name="account-3").locator("..")
    expect(head).to_contain_text("active")
    page.get_by_role("button", name="Probe now").click()
    expect(page.get_by_text("account-3 was probed: it is well.")).to_be_visible()
    page.get_by_role("button", name="Disable").click()
    question.get_by_role("button", name="Disable").click()
    expect(head).to_contain_text("disabled")
    expect(page.get_by_text("Waits until somebody enables it")).to_be_visible()

    page.get_by_role("link", name="All accounts").click()
    page.get_by_role("button", name="disabled 1").click()
    expect(cards).to_have_text(["account-3"])
    page.get_by_role("searchbox").fill("nobody")
    page.get_by_role("button", name="Show all").click()
    expect(cards).to_have_count(4)
    page.get_by_role("link", name="account-3").click()
    page.get_by_role("button", name="Enable").click()
    expect(head).to_contain_text("active")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

    page.goto("/admin#account-account-4")  # as alerts link to it
    expect(page.get_by_role("heading", name="account-4")).to_be_visible()
    gateways.accounts_file(3)
    expect(page.get_by_role("alert")).to_contain_text("account-4 is no longer in the accounts file.")
    page.get_by_role("link", name="All accounts").click()
    expect(cards).to_have_text(["account-1", "account-2", "account-3"])

    page.get_by_role("button", name="More").click()
    menu = page.get_by_role("dialog")
    menu.get_by_role("button", name="中文").click()
    menu.get_by_role("combobox").select_option("dark")
    expect(page.locator("html[lang=zh-CN][data-theme=dark]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", name="账号")).to_be_visible()
    expect(page.locator("html[lang=zh-CN][data-theme=dark]")).to_have_count(1)


def test_a_restart_is_told_and_got_over_and_another_key_asks_for_it(
    upstream: Web, gateways: Gateways, opened: Opened, empty_valkey: str
) -> None:
    """The gateway goes away under an open page: a banner, and the page goes on by itself once it is back, without a reload. Where
    it comes back with another admin key the page asks for that, says why, and leads back to where one was."""
    [port] = free_ports(1)
    common = {"PORT": str(port), "REDIS_URL": empty_valkey, "gempool__pool__lease_ttl": "1s", **CARE}
    accounts = gateways.accounts_file(2)
    first = gateways.start(accounts, ADMIN_KEY=KEY, **common).ready()
    page = opened(first.url, "/events?show=all", key=KEY)
    told = page.get_by_role("listitem").filter(has_text="account-1").first
    expect(told).to_be_visible()
    page.evaluate("window.mark = 'not reloaded'")
    banner = page.get_by_text("The gateway does not answer. What you see is the last that was known")
    assert first.stop() == 0
    expect(banner).to_be_visible()
    expect(told).to_be_visible()
    second = gateways.start(accounts, ADMIN_KEY=KEY, **common).ready()
    expect(banner).to_be_hidden()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    second.kill()
    expect(banner).to_be_visible()
    gateways.start(accounts, ADMIN_KEY="another-key", **common).ready()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    sign_in(page, KEY)
    expect(page.get_by_role("alert")).to_contain_text("That is not the admin key.")
    sign_in(page, "another-key")
    expect(page.get_by_role("heading", name="Events")).to_be_visible()
    expect(page.get_by_role("button", name="Everything")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.mark") == "not reloaded"


def test_sessions_end_and_tries_are_counted(upstream: Web, gateways: Gateways, opened: Opened) -> None:
    """A session that ended elsewhere leads to the login with a word, and from there to where one wanted to go. Signing out ends
    it. Too many wrong keys are told with the wait. Where there is an API key and no admin key nobody can sign in, and the page says what to do."""
    accounts = gateways.accounts_file(2)
    gateway = gateways.start(accounts, ADMIN_KEY=KEY, **CARE).ready()
    page = opened(gateway.url, "/accounts", key=KEY)
    expect(page.get_by_role("link", name="account-1")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("link", name="account-1").click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    sign_in(page, KEY)
    expect(page.get_by_role("heading", name="account-1")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.reload()
    alert = page.get_by_role("alert")
    sign_in(page, "wrong")
    expect(alert).to_contain_text("That is not the admin key.")
    for _ in range(9):
        tried = page.context.request.post(
            "/admin/api/session", data={"key": "w"}, headers={"x-gempool-page": "1"}
        )
        assert tried.status == 401
    sign_in(page, KEY)
    expect(alert).to_contain_text("Too many tries. Try again in")

    assert gateway.stop() == 0
    closed = gateways.start(accounts, API_KEY="only-callers", **CARE).listening()
    other = opened(closed.url)
    expect(other.get_by_role("alert")).to_contain_text("Nobody can sign in here")
    expect(other.get_by_role("alert")).to_contain_text("ADMIN_KEY")
