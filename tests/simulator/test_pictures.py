"""Pictures of the simulator: true sizes, the star, the ways of downloading them, and what is held against a client."""

import asyncio
import hashlib
import json
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from core.pictures import measure
from simulator import Script, Simulator, fault
from simulator.config import Logo, PictureFormat
from simulator.painting import MIME, Look, Painter, paint, slot
from simulator.pictures import original_size
from tests.simulator.support import Bare, OpenBare, OpenClient, until

DRAW = "Draw a picture of a bird"
LH3, FIFE = "https://lh3.googleusercontent.com", "https://work.fife.usercontent.google.com"


def kinds(sim: Simulator) -> list[tuple[str, str]]:
    return [(a.account, a.kind) for a in sim.anomalies()]


def token(image: Any) -> str:
    return str(image.url).rpartition("/")[2]


async def rpc(bare: Bare, rpcid: str, payload: object) -> Any:
    """The RPC's body, or the code that it was refused with."""
    form = {"f.req": json.dumps([[[rpcid, json.dumps(payload), None, "generic"]]])}
    query = {"rpcids": rpcid, "source-path": "/app"}
    text = (await bare.post("batchexecute", form, query=query)).text
    part = json.loads(text.splitlines()[3])[0]
    return part[5][0] if part[2] is None else json.loads(part[2])


def full_size_of(image: Any) -> object:
    """The payload of the full-size RPC, as the library makes it."""
    row = [[None, None, None, [None, None, None, None, None, ""]], [image.image_id, 0], None, [19, ""]]
    return [[*row, None, None, None, None, None, ""], [image.rid, image.rcid, image.cid, None, ""], 1, 0, 1]


@pytest.mark.parametrize(
    ("asked", "pixels", "size"),
    [
        ("", 1024, (1024, 1024)),
        ("Aspect ratio: 2:3", 1024, (848, 1264)),
        ("Aspect ratio: 3:4", 1024, (896, 1200)),
        ("Aspect ratio: 4:5", 1024, (928, 1152)),
        ("Aspect ratio: 9:16", 1024, (768, 1376)),
        ("Aspect ratio: 21:9", 1024, (1584, 672)),
        ("aspect ratio: 16:9", 2048, (2752, 1536)),
        ("Aspect ratio: 3:2", 4096, (5056, 3392)),
        ("Aspect ratio: 1:1\nAspect ratio: 4:3", 1024, (1200, 896)),
        ("Aspect ratio: 1920:1080", 1024, (1024, 1024)),
        ("Aspect ratio: 2:1", 1024, (1376, 768)),
        ("Aspect ratio: 0:0", 1024, (1024, 1024)),
    ],
)
def test_aspects_have_the_published_sizes(asked: str, pixels: int, size: tuple[int, int]) -> None:
    """Square unless the prompt says otherwise; what is not published gives the nearest that is."""
    assert original_size(f"{DRAW}\n{asked}", pixels) == size


@pytest.mark.parametrize(("pixels", "format"), [(1024, "png"), (2048, "jpeg"), (4096, "png"), (1024, "webp")])
async def test_the_original_and_its_previews(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare, pixels: int, format: PictureFormat
) -> None:
    """A sized url never gives more than was asked, nor more than the original; the full size is the original."""
    sim.set_defaults(redirects=False)
    text = f"{DRAW}\nAspect ratio: 16:9"
    sim.queue_reply(Script(text="here", images=1, full_pixels=pixels, picture_format=format))
    (image,) = (await (await open_client()).generate_content(text, current_retry=0)).images
    bare = await open_bare()
    longest = 1376 * pixels // 1024
    for side in (256, 1024, 2048, 4096, 9999):
        answer = await bare.get(f"{image.url}=s{side}-rj")
        found = measure(answer.content)
        assert found is not None
        assert (found.format, answer.headers["content-type"]) == (MIME[format], MIME[format])
        assert found.width == min(side, longest)
        assert abs(found.width * 768 / 1376 - found.height) <= 0.51
    (url,) = await rpc(bare, "c8o8Fe", full_size_of(image))
    second = (await bare.get(f"{url}=d-I?alr=yes")).text
    third = (await bare.get(second, cookies=True)).text
    found = measure((await bare.get(third)).content)
    assert (url, second, third) == (
        f"{LH3}/gg/{token(image)}",
        f"{FIFE}/rd-gg/{token(image)}=d-I?alr=yes",
        f"{LH3}/rd-gg/{token(image)}=d-I",
    )
    assert found is not None
    assert (found.width, found.height) == (longest, 768 * pixels // 1024)
    assert sim.anomalies() == []


@pytest.mark.parametrize(
    ("logo", "size", "where"),
    [
        ("v1", (1024, 1024), (48, 32)),
        ("v1", (1200, 896), (48, 32)),
        ("v1", (768, 1376), (96, 64)),
        ("v1", (2048, 2048), (96, 64)),
        ("v1", (2816, 1536), (96, 64)),
        ("v2", (1376, 768), (48, 96)),
        ("v2", (2048, 2048), (48, 96)),
        ("v2", (2752, 1536), (96, 192)),
    ],
)
def test_the_star_stands_where_it_was_seen(logo: Logo, size: tuple[int, int], where: tuple[int, int]) -> None:
    """White over the picture in that box and nowhere else, at most half of it (V1) or a third (V2)."""
    side, margin = slot(*size, logo)
    assert (side, margin) == where
    plain = paint(Look(5, *size, "none", "png")).astype(int)
    marked = paint(Look(5, *size, logo, "png")).astype(int)
    down, right = np.nonzero((plain != marked).any(axis=2))
    assert (down.min(), right.min()) >= (size[1] - margin - side, size[0] - margin - side)
    assert (down.max(), right.max()) < (size[1] - margin, size[0] - margin)
    middle = (size[1] - margin - side // 2, size[0] - margin - side // 2)
    share = (marked[middle] - plain[middle]) / (255 - plain[middle])
    assert np.allclose(share, 0.5 if logo == "v1" else 0.3, atol=0.02)
    assert (marked >= plain).all()


def test_the_large_v2_star_is_sharpened() -> None:
    """Its rim carries more white than its middle, about a third where the middle has three tenths."""
    plain = paint(Look(5, 2752, 1536, "none", "png")).astype(int)
    marked = paint(Look(5, 2752, 1536, "v2", "png")).astype(int)
    share = ((marked - plain) / (255 - plain))[1536 - 288 : 1536 - 192, 2752 - 288 : 2752 - 192]
    assert 0.32 < share.max() < 0.34
    assert np.allclose(share[46:50, 46:50], 0.3, atol=0.01)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_the_files_are_real(format: PictureFormat) -> None:
    """Another program reads what was painted."""
    look = Look(9, 300, 200, "none", format)
    read = cv2.imdecode(np.frombuffer(Painter().file(look, 0), np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    off = np.abs(read[..., ::-1].astype(int) - paint(look))
    assert off.max() == 0 if format == "png" else off.mean() < 4


def test_pictures_are_the_prompts_own() -> None:
    """The same prompt gives the same picture; other prompts, and a second picture of one, give others."""

    def picture(seed: int) -> NDArray[np.uint8]:
        return paint(Look(seed, 64, 48, "none", "png"))

    assert (picture(1) == picture(1)).all()
    assert len({picture(seed).tobytes() for seed in range(20)}) == 20
    assert picture(1).std() > 5


def test_files_are_made_once_and_kept_within_bounds() -> None:
    """The newest stay; one that is larger than the room is kept until the next comes."""
    painter = Painter(room=60_000)
    looks = [Look(seed, 100, 100, "none", "png") for seed in range(10)]
    files = [painter.file(look, 0) for look in looks]
    assert painter.kept <= 60_000
    assert painter.file(looks[-1], 0) is files[-1]
    assert painter.file(looks[-1], 5000) is files[-1]
    again = painter.file(looks[0], 0)
    assert again is not files[0]
    assert again == files[0]


@pytest.mark.parametrize(
    ("reply", "begins", "made", "found"),
    [
        ("picture", "You said", 1, 0),
        ("bare", "", 1, 0),
        ("refusal", "I can't create that image", 0, 0),
        ("web", "Here are some images", 0, 3),
        ("quota", "You've reached your image limit for today", 0, 0),
    ],
)
async def test_replies_to_a_prompt_for_a_picture(
    sim: Simulator, open_client: OpenClient, reply: str, begins: str, made: int, found: int
) -> None:
    """As the default says, or a script whatever was asked; other prompts are answered as ever."""
    client = await open_client()
    sim.set_defaults(picture_reply=reply)
    answers = [await client.generate_content(DRAW, current_retry=0)]
    assert (await client.generate_content("Hello", current_retry=0)).text.startswith("You said: Hello")
    sim.set_defaults(picture_reply="picture")
    sim.queue_reply(Script(picture_reply=reply))  # type: ignore[arg-type]
    answers.append(await client.generate_content("Hello", current_retry=0))
    for answer in answers:
        assert answer.text.startswith(begins)
        assert (answer.text.strip() == "") == (reply == "bare")
        types = [type(image).__name__ for image in answer.images]
        assert types == ["WebImage"] * found + ["GeneratedImage"] * made


async def test_an_edit_tells_what_was_uploaded(
    sim: Simulator, open_client: OpenClient, tmp_path: Any
) -> None:
    """A picture comes back, and the journal has name, type, size and digest of what was attached."""
    given = Painter().file(Look(1, 200, 100, "none", "webp"), 0)
    path = tmp_path / "a boat ü.webp"
    path.write_bytes(given)
    client = await open_client()
    answer = await client.generate_content("Remove the boat", files=[path], current_retry=0)
    assert len(answer.images) == 1
    (file,) = sim.journal()[-1].uploads
    assert (file.name, file.content_type, file.size) == ("a boat ü.webp", "image/webp", len(given))
    assert file.sha256 == hashlib.sha256(given).hexdigest()
    answer = await client.generate_content("What is this?", files=[path], current_retry=0)
    assert answer.images == []


async def test_the_full_size_belongs_to_a_chat_that_is_there(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """Of a temporary, a foreign and a deleted chat it is refused and on record."""
    client, alice, bob = await open_client(), await open_bare("alice"), await open_bare("bob")
    (kept,) = (await client.generate_content(DRAW, current_retry=0)).images
    (passing,) = (await client.generate_content(DRAW, temporary=True, current_retry=0)).images
    assert await rpc(alice, "c8o8Fe", full_size_of(passing)) == 5
    assert await rpc(bob, "c8o8Fe", full_size_of(kept)) == 7
    await client.delete_chat(kept.cid)
    assert await rpc(alice, "c8o8Fe", full_size_of(kept)) == 5
    assert kinds(sim) == [("alice", "temporary_chat"), ("bob", "foreign_chat"), ("alice", "deleted_chat")]


async def test_a_deleted_chat_takes_its_pictures_along(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """They were to be downloaded before."""
    client, bare = await open_client(), await open_bare(page=False)
    (image,) = (await client.generate_content(DRAW, current_retry=0)).images
    assert (await bare.get(f"{image.url}=s1024-rj")).status_code == 302
    await client.delete_chat(image.cid)
    assert (await bare.get(f"{image.url}=s1024-rj")).status_code == 404
    assert kinds(sim) == [("alice", "deleted_chat")]


async def test_the_full_size_is_asked_for_as_text(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """`alr=yes` is what makes the hops answer with an address."""
    (image,) = (await (await open_client()).generate_content(DRAW, current_retry=0)).images
    bare = await open_bare()
    assert (await bare.get(f"{LH3}/gg/{token(image)}=d-I")).status_code == 400
    assert (await bare.get(f"{FIFE}/rd-gg/{token(image)}=d-I?alr=no", cookies=True)).status_code == 400
    assert kinds(sim) == [("alice", "bad_request")] * 2


async def test_a_chat_is_there_from_its_first_prompt(sim: Simulator, open_client: OpenClient) -> None:
    """Whatever becomes of the answer, so a client that cleans up has to think of it; deleted it stays away."""
    client = await open_client()
    sim.set_defaults(first_delay=0.4)
    for deleted in (False, True):
        asking = asyncio.create_task(client.generate_content("Hello there", current_retry=0))
        await until(lambda: bool(sim.account("alice")["chats"]))
        (chat,) = sim.account("alice")["chats"]  # type: ignore[misc]
        assert (chat["title"], chat["turns"]) == ("Hello there", 0)
        if deleted:
            await client.delete_chat(chat["cid"])
        await asking
        turns = [c["turns"] for c in sim.account("alice")["chats"]]  # type: ignore[attr-defined]
        assert turns == ([] if deleted else [1])
        if not deleted:
            await client.delete_chat(chat["cid"])


@pytest.mark.parametrize("hop", ["sized-1", "sized-2", "sized-3", "full-1", "full-2", "full-3"])
async def test_a_fault_may_name_its_hop(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare, hop: str
) -> None:
    """The others answer as ever, and each is counted by its name."""
    (image,) = (await (await open_client()).generate_content(DRAW, current_retry=0)).images
    bare = await open_bare()
    sim.set_fault("alice", fault("http_403", on=(f"image:{hop}",)))
    t, counts = token(image), sim.account("alice")["counts"]
    urls = {
        "sized-1": f"{LH3}/gg-dl/{t}=s64-rj", "sized-2": f"{FIFE}/rd-gg-dl/{t}=s64-rj",
        "sized-3": f"{LH3}/rd-gg-dl/{t}=s64-rj", "full-1": f"{LH3}/gg/{t}=d-I?alr=yes",
        "full-2": f"{FIFE}/rd-gg/{t}=d-I?alr=yes", "full-3": f"{LH3}/rd-gg/{t}=d-I",
    }  # fmt: skip
    seen = {name: (await bare.get(url, cookies=FIFE in url)).status_code for name, url in urls.items()}
    assert {name for name, status in seen.items() if status == 403} == {hop}
    counts = sim.account("alice")["counts"]
    assert {name: counts[f"image:{name}"] for name in urls} == dict.fromkeys(urls, 1)  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("truncate", {"frames": 5}, ""),
        ("drop_mid", {"frames": 5}, "18|56|55"),
        ("stall", {"frames": 5}, "28"),
        ("slow_body", {"seconds": 20}, "28"),
        ("garbage", {}, ""),
    ],
)
async def test_faults_of_a_pictures_bytes(
    sim: Simulator,
    open_client: OpenClient,
    open_bare: OpenBare,
    kind: str,
    fields: dict[str, Any],
    error: str,
) -> None:
    """Cut off as if that were all, reset, silent, slow, or a page instead."""
    (image,) = (await (await open_client()).generate_content(DRAW, current_retry=0)).images
    bare = await open_bare(page=False)
    url = f"{LH3}/rd-gg-dl/{token(image)}=s512-rj"
    whole = (await bare.get(url)).content
    sim.set_fault("alice", fault(kind, on=("image",), **fields))
    if error:
        with pytest.raises(Exception, match=rf"curl: \(({error})\)"):
            await bare.session.get(url, timeout=1)
    else:
        answer = await bare.get(url)
        assert answer.status_code == 200
        expected = whole[: len(whole) // 2] if kind == "truncate" else b"<!doctype html>"
        assert answer.content.startswith(expected)
        assert len(answer.content) < len(whole)


async def test_a_hop_may_lead_away(sim: Simulator, open_client: OpenClient, open_bare: OpenBare) -> None:
    """To a host whose name only begins like Google's, in a redirect and in a text."""
    (image,) = (await (await open_client()).generate_content(DRAW, current_retry=0)).images
    bare = await open_bare(page=False)
    sim.set_fault("alice", fault("garbage", on=("image",), form="away"))
    away = "https://lh3.googleusercontent.com.example.org/"
    redirected = await bare.get(f"{image.url}=s1024-rj")
    told = await bare.get(f"{LH3}/gg/{token(image)}=d-I?alr=yes")
    assert (redirected.status_code, told.status_code) == (302, 200)
    assert redirected.headers["location"].startswith(away)
    assert told.text.startswith(away)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/defaults", {"full_pixels": 3000}, "full_pixels"),
        ("/defaults", {"logo": "v3"}, "logo"),
        ("/defaults", {"picture_format": "gif"}, "picture_format"),
        ("/defaults", {"picture_reply": "none"}, "picture_reply"),
        ("/defaults", {"latency": {"image:full-9": 1}}, "latency.image:full-9"),
        ("/replies", {"full_pixels": 0}, "full_pixels"),
        ("/accounts/alice/fault", {"kind": "http_403", "on": ["image:sized-4"]}, "on"),
        ("/accounts/alice/fault", {"kind": "truncate", "on": ["generate"]}, "on"),
        ("/accounts/alice/fault", {"kind": "truncate", "on": ["image"], "frames": 10}, "frames"),
        ("/accounts/alice/fault", {"kind": "garbage", "form": "away"}, "form"),
        ("/accounts/alice/fault", {"kind": "garbage", "form": "bytes", "on": ["image"]}, "form"),
    ],
)
async def test_wrong_arguments_are_named(sim: Simulator, path: str, body: object, named: str) -> None:
    """400 with the field."""
    async with httpx.AsyncClient(base_url=sim.control_url) as api:
        answer = await api.request("POST" if path == "/replies" else "PUT", path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(named)


async def test_a_large_picture_holds_up_nobody(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """While it is made and sent, other requests are answered; one that is left unread stays in its bounds."""
    sim.set_defaults(full_pixels=4096)
    (image,) = (await (await open_client()).generate_content(DRAW, current_retry=0)).images
    bare, other = await open_bare(), await open_bare("bob")
    download = asyncio.ensure_future(bare.get(f"{LH3}/rd-gg/{token(image)}=d-I"))
    answered = 0
    while not download.done():
        await other.get("https://gemini.google.com/app", cookies=True)
        answered += 1
    found = measure((await download).content)
    assert found is not None
    assert (found.width, found.height) == (4096, 4096)
    assert answered >= 5
