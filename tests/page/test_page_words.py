"""What the gateway says, in the words of who reads the page."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.pages import KEY, Opened
from tests.support.processes import Gateways, Web

pytestmark = pytest.mark.timeout(300)  # they wait long for what a busy machine does late

CARE = {
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "500ms",
    "gempool__supervisor__reprobe_max": "500ms",
    "gempool__supervisor__rotate_interval": "1h",
}
"""Accounts that are out are probed again and again."""
NAMES = {"Cookie", "Google", "Gemini", "HTTP", "SECURE", "PSID", "account", "admin", "page"}


def english(text: str) -> list[str]:
    """Words of the Latin alphabet that are no names."""
    return [word for word in re.findall(r"[A-Za-z]{3,}", text) if word not in NAMES]


def happened(page: Page, account: str, *words: str) -> None:
    """Exactly one line of the log tells this of the account."""
    lines = page.locator(".log li").filter(has_text=account)
    for word in words:
        lines = lines.filter(has_text=word)
    expect(lines).to_have_count(1)


def test_what_befell_accounts_is_told_once_and_in_the_persons_language(
    upstream: Web, gateways: Gateways, opened: Opened
) -> None:
    """Probes that find the same again and again are one line with their number, among the events and in the account's history. In
    Chinese no sentence of them is English: what a probe found, the alert that reached no phone, why no account can serve, why a
    paste is refused."""
    gateway = gateways.start(gateways.accounts_file(2), ADMIN_KEY=KEY, **CARE).ready()
    page = opened(gateway.url, "/events", key=KEY, locale="zh-CN")
    upstream.call("POST", "/accounts/account-1/cookies")
    upstream.fault("account-2", "status", code=1040)
    often = re.compile(r"共 ([5-9]|\d\d) 次.自 .* 起.最近一次")
    for account, word in (("account-1", "Cookie 过期"), ("account-2", "账号状态码 1040")):
        happened(page, account, "探测", word)
        expect(page.locator(".log li").filter(has_text=account).filter(has_text=word)).to_contain_text(often)
    happened(page, "account-1", "告警", "Cookie 已过期", "未设置手机")
    log = page.locator(".log").inner_text().replace(page.locator(".log .mono").first.inner_text(), "")
    assert english(log) == []

    page.goto("/admin#/")
    expect(page.get_by_text("没有账号可以服务。")).to_be_visible()
    assert english(page.locator(".headline").inner_text()) == []
    page.goto("/admin#/accounts/account-1")
    happened(page, "探测", "Cookie 过期", "共 ")
    page.get_by_role("textbox").fill("[]")
    page.get_by_role("button", name="试用并更换").click()
    refused = page.get_by_role("alert")
    expect(refused).to_contain_text("其中没有任何 Cookie。")
    assert english(refused.inner_text()) == []
    page.get_by_role("button", name="English").click()
    expect(refused).to_contain_text("There is no cookie in it.")
    expect(refused).not_to_contain_text("no format")


def test_the_form_of_a_batch_and_of_a_picture_speaks_of_what_one_sees(visit: Opened, upstream: Web) -> None:
    """In Chinese too: a number that is out of bounds, and a file that is no picture, which nothing has been asked for yet."""
    page = visit("/batches", locale="zh-CN")
    page.get_by_role("button", name="新建批次").click()
    page.get_by_label(re.compile("提示词")).fill("a fox")
    page.get_by_label("同时进行").fill("99")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("请填写 1 到 16 之间的整数。")
    page.keyboard.press("Escape")
    page.goto("/admin#/pictures")
    for name, kind in (("notes.txt", "text/plain"), ("broken.png", "image/png")):
        page.set_input_files("input[type=file]", {"name": name, "mimeType": kind, "buffer": b"no picture"})
        expect(page.get_by_role("alert").filter(has_text=name)).to_contain_text("不是可读取的图片")
    page.goto("/admin#/play")
    page.set_input_files(
        "input[type=file]", {"name": "b.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(page.get_by_text("b.png 不是可读取的图片")).to_be_visible()
    expect(page.locator(".attached")).to_have_count(0)


def test_shares_are_rounded_as_they_are_and_never_to_all(visit: Opened, upstream: Web) -> None:
    """Two of three are 66.7 %; a thousand of a thousand and one are not 100 %."""
    page = visit("/")
    shares = [2 / 3, 1000 / 1001, 9999 / 10000, 1, 0, 1 / 10000]
    told = page.evaluate(
        """async shares => {
          const { percent } = await import("/admin/app/i18n.js");
          return shares.map(percent);
        }""",
        shares,
    )
    assert told == ["66.7%", "99.9%", "99.9%", "100%", "0%", "0.1%"]


TABLE = """Two of them:

| Name | Price \\| cost |
|:-----|-----:|
| **Kite** | 1 |
| <b onclick="x()">Fox</b> | `a | b` |

Not | a table"""


def test_a_table_of_an_answer_is_drawn_as_one(visit: Opened, upstream: Web) -> None:
    """In the playground and in a batch; what looks like HTML in it stays text."""
    upstream.call("POST", "/replies", {"text": TABLE})
    page = visit("/play")
    message = page.get_by_role("textbox", name="Message")
    message.fill("A table, please")
    message.press("Enter")
    cells = page.locator("article.theirs").get_by_role("cell")
    expect(cells).to_have_text(["Kite", "1", '<b onclick="x()">Fox</b>', "a | b"])
    heads = page.locator("article.theirs").get_by_role("columnheader")
    expect(heads).to_have_text(["Name", "Price | cost"])
    expect(page.locator("article.theirs strong")).to_have_text("Kite")
    expect(page.locator("article.theirs b")).to_have_count(0)
    expect(page.locator("article.theirs")).to_contain_text("Not | a table")
    upstream.call("POST", "/replies", {"text": TABLE})
    made = page.request.post(
        "/v1/batch/chat", data={"prompts": ["x"]}, headers={"x-gempool-page": "1"}
    ).json()
    page.goto(f"/admin#/batches/{made['batch_id']}")
    expect(page.get_by_role("region", name="Results").get_by_role("cell")).to_have_count(4)
