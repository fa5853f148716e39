"""What holds for every view of the page: who cannot see or use a mouse reaches all of it, on any screen, in both languages,
and it asks nobody but its gateway."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from tests.support.pages import KEY, Opened
from tests.support.processes import Gateway, Gateways, Web

pytestmark = pytest.mark.timeout(300)  # they look at much, and a busy machine is slow at it

STATIC = Path(__file__).parents[2] / "routes" / "admin" / "static"
WEIGHT = 300_000
"""Bytes of the page's own files, not compressed."""
VIEWS = (
    "/",
    "/accounts",
    "/accounts/account-1",
    "/play",
    "/pictures",
    "/batches",
    "/batches/{batch}",
    "/requests",
    "/events",
)
CONTROLS = 'a[href], button, input, select, textarea, summary, [tabindex="0"]'
MARK = f"""() => {{
  const shown = (one) => one.checkVisibility({{visibilityProperty: true}}) && one.getClientRects().length && one.tabIndex >= 0 && !one.disabled;
  const groups = new Set();
  const left = [...document.querySelectorAll({CONTROLS!r})].filter((one) => {{
    if (!shown(one) || one.closest("dialog:not([open])")) return false;
    if (one.type !== "radio") return true;
    const known = groups.has(one.name);  // Tab goes to one of them, arrows to the others
    groups.add(one.name);
    return !known;
  }});
  for (const one of left) one.dataset.left = "";
  return left.length;
}}"""
TAKE = """() => {
  const one = document.activeElement;
  const group = one.type === "radio" ? document.querySelectorAll(`[name="${one.name}"]`) : [one];
  for (const each of group) delete each.dataset.left;
}"""
LEFT = """() => [...document.querySelectorAll("[data-left]")].map((one) => one.outerHTML.slice(0, 160))"""


@pytest.fixture
def gateway(gateways: Gateways, upstream: Web) -> Gateway:
    """One that has something to show in every view: an account that is out, requests of each kind, a batch."""
    return gateways.start(ADMIN_KEY=KEY, gempool__supervisor__probe_interval="500ms").ready()


def batch_of(page: Page, upstream: Web) -> str:
    """Make things happen; the id of a batch with a result and an error."""
    headers = {"x-gempool-page": "1"}
    upstream.call("POST", "/accounts/account-5/cookies")
    upstream.fault("account-2", "http_429", times=1)
    for number in range(4):
        body: dict[str, Any] = {"messages": [{"role": "user", "content": f"Question {number}"}]}
        assert page.request.post("/v1/chat/completions", data=body, headers=headers).ok
    assert page.request.post("/v1/chat/completions", data={}, headers=headers).status == 400
    upstream.call("POST", "/replies", {"picture_reply": "refusal"})
    made = page.request.post("/v1/batch/images", data={"prompts": ["a fox", "a hare"]}, headers=headers)
    batch: str = made.json()["batch_id"]
    page.request.get(f"/v1/batch/{batch}/events", headers=headers)  # ends when the batch does
    return batch


def shown(page: Page, view: str) -> None:
    """Go there, and wait until it has what it shows."""
    page.evaluate("hash => { location.hash = hash }", view)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    expect(page.locator("main")).to_have_class(f"view-{view.split('/')[1] or 'overview'}")


def findings(page: Page) -> list[str]:
    """What axe finds that is serious or worse."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url.partition('#')[2]} {one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def fill(page: Page) -> None:
    """An answer in the playground and a comparison of pictures, which are there from then on."""
    shown(page, "/play")
    message = page.locator("#play-text")
    table = "| Name | Price |\n|---|---|\n| Kite | " + "long " * 60 + "|"
    message.fill("Say `this`:\n```py\n" + "print('a long line') " * 12 + f"\n```\n- one\n\n{table}")
    message.press("Enter")
    expect(page.locator(".asked")).to_be_visible()
    shown(page, "/pictures")
    page.locator(".order textarea").fill("a red kite")
    page.locator(".order textarea").press("Control+Enter")
    page.locator("article .row .button").nth(2).click()
    expect(page.get_by_role("slider")).to_be_visible()


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh")])
@pytest.mark.parametrize(("width", "height"), [(1280, 860), (360, 740)], ids=["wide", "phone"])
def test_every_view_is_accessible_and_fits(
    visit: Opened,
    opened: Opened,
    gateway: Gateway,
    upstream: Web,
    width: int,
    height: int,
    scheme: str,
    language: str,
) -> None:
    """axe finds nothing serious in any view, in the details of a request nor in an open dialog, nothing is wider than the screen, and no word is missing."""
    looks: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    page = visit("/", locale=language, **looks)
    batch = batch_of(page, upstream)
    fill(page)
    no_word = re.compile(rf"\b(?:{'|'.join(prefixes())})\.[a-z][a-z_.]+\b")
    found: list[str] = []
    for view in VIEWS:
        shown(page, view.format(batch=batch))
        expect(page.locator("html")).to_have_attribute("lang", re.compile(language))
        if view == "/requests":
            page.locator("summary").first.click()
        room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        found += [f"{view} is {room[0]} pixels wide"] if room[0] > room[1] else []
        found += [f"{view}: no word for {one}" for one in no_word.findall(page.locator("body").inner_text())]
        found += findings(page)
    request = page.evaluate("fetch('/admin/api/view').then(r => r.json()).then(view => view.served[0].id)")
    shown(page, f"/requests/{request}")
    expect(page.locator(".single .facts")).to_be_visible()
    found += findings(page)
    shown(page, "/batches")
    page.locator("main .button.main").click()
    expect(page.locator("dialog textarea")).to_be_visible()
    found += findings(page)
    page.keyboard.press("Escape")
    for account in upstream.accounts:
        upstream.fault(account["id"], "error_1037", resets_in=3600)
    waiting = page.request.post(
        "/v1/batch/chat", data={"prompts": ["later"]}, headers={"x-gempool-page": "1"}
    )
    shown(page, f"/batches/{waiting.json()['batch_id']}")
    page.locator("main header .button").click()
    expect(page.locator("dialog[open] .danger")).to_be_visible()
    found += findings(page)
    login = opened(gateway.url, "/", locale=language, **looks)
    expect(login.locator("input[type=password]")).to_be_visible()
    found += findings(login)
    assert found == []


def prefixes() -> list[str]:
    """How keys of words begin."""
    texts = [path.read_text(encoding="utf-8") for path in (STATIC / "app" / "words").glob("*.js")]
    return sorted(set(re.findall(r'^ {2}"(\w+)\.', "\n".join(texts), re.MULTILINE)))


def test_every_control_is_reached_by_tab(visit: Opened, upstream: Web) -> None:
    """From the top of each view Tab comes to everything that can be used, and back to where it began."""
    page = visit("/", viewport={"width": 1280, "height": 860})
    batch = batch_of(page, upstream)
    fill(page)
    for view in VIEWS:
        shown(page, view.format(batch=batch))
        page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
        count = page.evaluate(MARK)
        for _ in range(count + 20):
            page.keyboard.press("Tab")
            page.evaluate(TAKE)
        assert page.evaluate(LEFT) == [], view


def test_a_visit_weighs_little_and_asks_nobody_else(visit: Opened, upstream: Web) -> None:
    """All files of the page that one comes to see in all views are below 300 kB before they are compressed, and every one is
    the gateway's own."""
    page = visit("/")
    weights: dict[str, int] = {}

    def weigh(response: Response) -> None:
        path = urlsplit(response.url).path
        assert urlsplit(response.url).netloc == urlsplit(page.url).netloc
        if path.startswith("/admin") and "/api/" not in path and path != "/admin":
            weights[path] = (STATIC / path.removeprefix("/admin/")).stat().st_size

    page.on("response", weigh)
    page.reload()
    for view in VIEWS[:-1]:
        if "{" not in view:
            shown(page, view)
    shown(page, "/batches/none")
    shown(page, "/events")
    assert len(weights) > 30
    assert sum(weights.values()) < WEIGHT


def test_every_word_that_views_ask_for_is_there() -> None:
    """Keys of words that the page's modules name as a whole are in both dictionaries."""
    asked = set()
    for path in {*(STATIC / "app").rglob("*.js")} - {STATIC / "app" / "i18n.js"}:
        asked.update(re.findall(r'\bt\("([a-z_.A-Z0-9]+)"', path.read_text(encoding="utf-8")))
        asked.update(
            f"{key}.other"
            for key in re.findall(r'\bplural\("([a-z_.A-Z0-9]+)"', path.read_text(encoding="utf-8"))
        )
    assert len(asked) > 100
    for language in ("en", "zh"):
        texts = [
            path.read_text(encoding="utf-8") for path in (STATIC / "app" / "words").glob(f"{language}*.js")
        ]
        words = set(re.findall(r'^ {2}"([^"]+)":', "\n".join(texts), re.MULTILINE))
        assert asked - words == set(), language
