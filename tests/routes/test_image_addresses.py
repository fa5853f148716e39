"""Pictures to change that are named by their web address, over real sockets."""

import httpx

from core.chat import Blob, Text
from fetch import Fetcher, FetchSettings, networks
from routes.drawing import MASK_NOTE
from tests.fakes.edge import edge
from tests.support.files import PNG
from tests.support.web import response, site


async def test_addresses_are_fetched_wherever_a_picture_may_stand() -> None:
    """In JSON and in a form, in lists and objects, beside pictures that are sent along, and as the mask."""
    fetcher = Fetcher(FetchSettings(allow=networks(["127.0.0.1"]), timeout=2.0))
    async with site() as web:
        web.pages["/a.png"] = response(PNG, "Content-Type: image/png")
        url = f"{web.url}/a.png"
        with edge(fetch=fetcher) as gate:
            async with httpx.AsyncClient(base_url=gate.url, timeout=10) as client:
                for path, body in (
                    ("/v1/images/edits", {"image": url}),
                    ("/v1/images/edits", {"image": [url]}),
                    ("/v1/images/edits", {"images": [{"image_url": url}]}),
                    ("/v1/images/edit", {"image": {"url": url}}),
                    ("/v1/generate-images", {"image": url}),
                ):
                    answer = await client.post(path, json={"prompt": "blue", **body})
                    assert answer.status_code == 200, answer.text
                form = {"prompt": (None, "blue"), "image": ("b.png", PNG), "mask": (None, url)}
                answer = await client.post("/v1/images/edits", files=form)
                assert answer.status_code == 200, answer.text
                gone = await client.post("/v1/images/edits", json={"prompt": "blue", "image": [f"{url}x"]})
            *plain, masked = [asked.messages[0].parts for asked in gate.chat.asks]
    assert [[part.data for part in parts if isinstance(part, Blob)] for parts in plain] == [[PNG]] * 5
    text, first, mask = masked
    assert text == Text(f"blue\n\n{MASK_NOTE}")
    assert first == Blob(PNG, "image/png", "b.png")
    assert isinstance(mask, Blob)
    assert gone.status_code == 400
    assert gone.json()["error"]["param"] == "image[0]"
