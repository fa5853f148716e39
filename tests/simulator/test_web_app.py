"""The unmodified library over the simulator: all that it can do when nothing is wrong."""

import asyncio
import html
import shutil
import struct
import time
from pathlib import Path

import pytest
from gemini_webapi import AuthError, GeminiClient
from gemini_webapi.constants import AccountStatus
from gemini_webapi.utils import rotate_1psidts

from simulator import Script, Simulator, SimulatorConfig, fault
from tests.simulator.support import OpenBare, OpenClient, credentials, until


@pytest.mark.parametrize(
    ("account", "models", "capacity"),
    [
        ("alice", ["gemini-flash", "gemini-flash-thinking", "gemini-pro"], 2),
        ("bob", ["gemini-flash", "gemini-flash-thinking", "gemini-pro"], 4),
        ("carol", ["gemini-flash", "gemini-flash-thinking", "gemini-pro"], 3),
        ("dave", ["gemini-flash", "gemini-flash-thinking"], 1),
    ],
)
async def test_a_client_opens_and_every_model_of_its_tier_answers(
    sim: Simulator, open_client: OpenClient, account: str, models: list[str], capacity: int
) -> None:
    """Init proves the account's own session; each offered model, and none, is a valid choice."""
    client = await open_client(account)
    assert client.access_token
    assert client.account_status == AccountStatus.AVAILABLE
    assert client._cookie_source == "Base Cookies"
    offered = client.list_models() or []
    assert [m.model_name for m in offered] == models
    assert {m.capacity for m in offered} == {capacity}
    assert client.usage_info["current_5h"]["usage_percentage"] == 4
    assert client.abuse_status == {"is_clean": True, "status_code": None, "signal": None}
    for model in [None, *models]:
        answer = await client.generate_content("Hello", model=model, current_retry=0)
        assert answer.text.startswith("You said: Hello")
    await client.generate_content("Hello", model=models[-1], extended_thinking=True, current_retry=0)
    assert [p.model for p in sim.journal()][:2] == ["Flash", "Flash"]
    assert sim.journal()[-1].thinking
    assert sim.anomalies() == []


async def test_an_answer_repeats_the_prompt_and_names_no_account(
    sim: Simulator, open_client: OpenClient
) -> None:
    """Entities, code and astral characters come back as they were sent; all accounts say the same."""
    prompt = "if a < b && c > d: «ü😀» &lt; \\n \"q\"\n```py\nx = '<b>'\n```"
    answers = [
        (await (await open_client(account)).generate_content(prompt, current_retry=0)).text
        for account in ("alice", "bob")
    ]
    assert answers[0] == answers[1]
    assert answers[0].startswith(f"You said: {prompt}\n")
    long = await (await open_client("alice")).generate_content("ab " * 4000 + "z", current_retry=0)
    assert "[12001 characters, sha256 " in long.text
    assert len(long.text) < 3300
    assert sim.anomalies() == []


async def test_streamed_deltas_make_the_raw_text(sim: Simulator, open_client: OpenClient) -> None:
    """The library's deltas join to the raw answer, and its thoughts come before the text."""
    sim.set_defaults(thoughts="Weighing the words <carefully>, one by one.", frames=9, cut_size=7)
    client = await open_client()
    outputs = [
        o async for o in client.generate_content_stream("One <two>\n```py\nthree\n```\nfour", current_retry=0)
    ]
    raw = "".join(o.text_delta or "" for o in outputs)
    assert html.unescape(raw) == outputs[-1].text
    assert "&lt;two&gt;" in raw
    assert outputs[-1].thoughts == "Weighing the words <carefully>, one by one."
    first_text = next(n for n, o in enumerate(outputs) if o.text)
    assert first_text > 0
    assert outputs[first_text].thoughts == outputs[-1].thoughts


async def test_words_and_frames_are_as_asked(sim: Simulator, open_client: OpenClient) -> None:
    """A benchmark's 300 words in 40 frames arrive as that."""
    sim.set_defaults(words=300, frames=40)
    client = await open_client()
    outputs = [o async for o in client.generate_content_stream("Tell me", current_retry=0)]
    assert len(outputs) == 41
    assert len(outputs[-1].text.split("\n\n", 1)[1].split()) == 300


async def test_it_is_noted_when_each_frame_was_sent(sim: Simulator, open_client: OpenClient) -> None:
    """Where it is asked for: the opening, the running frames and the last one, by the machine's monotonic clock."""
    client = await open_client("alice")
    sim.set_defaults(frames=3, frame_delay=0.01)
    await client.generate_content("Hello", current_retry=0)
    sim.set_defaults(note_frames=True)
    before = time.monotonic()
    await client.generate_content("Hello", current_retry=0)
    after = time.monotonic()
    unasked, noted = (prompt.sent for prompt in sim.journal()[-2:])
    assert unasked == []
    assert len(noted) == 5
    assert [before, *noted, after] == sorted([before, *noted, after])


async def test_a_chat_goes_on_and_is_kept(sim: Simulator, open_client: OpenClient) -> None:
    """Turns are remembered, listed, read newest first, and gone once deleted."""
    client = await open_client()
    chat = client.start_chat(model="gemini-pro")
    await chat.send_message("First", current_retry=0)
    second = await chat.send_message("Second", current_retry=0)
    assert "Turn 2 of this chat." in second.text
    history = await client.read_chat(chat.cid)
    assert history is not None
    assert [(t.role, t.text[:16]) for t in history.turns] == [
        ("model", "You said: Second"),
        ("user", "Second"),
        ("model", "You said: First\n"),
        ("user", "First"),
    ]
    await client._fetch_recent_chats()
    assert [(c.cid, c.title) for c in client.list_chats() or []] == [(chat.cid, "First")]
    await client.delete_chat(chat.cid)
    assert await client.read_chat(chat.cid) is None
    assert sim.anomalies() == []


async def test_a_temporary_chat_leaves_no_history(sim: Simulator, open_client: OpenClient) -> None:
    """It has an id and goes on, but is neither listed nor read."""
    client = await open_client()
    chat = client.start_chat()
    first = await chat.send_message("Secretly", temporary=True, current_retry=0)
    assert first.metadata[0].startswith("c_")
    second = await chat.send_message("Again", temporary=True, current_retry=0)
    assert "Turn 2" in second.text
    assert sim.account("alice")["chats"] == []
    assert await client.read_chat(chat.cid) is None
    assert [p.temporary for p in sim.journal()] == [True, True]
    assert sim.anomalies() == []


async def test_files_are_uploaded_and_named(sim: Simulator, open_client: OpenClient, tmp_path: Path) -> None:
    """A prompt uses what the account uploaded; image bytes sent as text are noted, not refused."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    client = await open_client()
    answer = await client.generate_content("What is it?", files=[picture], current_retry=0)
    assert "Files: image/png 108 bytes" in answer.text
    assert sim.journal()[-1].files == ("cat.png",)
    assert sim.account("alice")["notes"] == []
    await client.generate_content("And this?", files=[picture.read_bytes()], current_retry=0)
    (note,) = sim.account("alice")["notes"]  # type: ignore[misc]
    assert note["kind"] == "image_as_text"
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(range(256)) * 8192)
    answer = await client.generate_content("Large?", files=[big], current_retry=0)
    assert "application/octet-stream 2097152 bytes" in answer.text
    assert sim.anomalies() == []


def pixels(path: str) -> tuple[int, int]:
    data = Path(path).read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.mark.parametrize("with_file", [False, True])
async def test_a_generated_picture_is_saved(
    sim: Simulator, open_client: OpenClient, tmp_path: Path, with_file: bool
) -> None:
    """Full size over the RPC and two hops of text; previews without redirects; both forms of the block."""
    client = await open_client()
    files = [b"a drawing"] if with_file else None
    answer = await client.generate_content("Draw me a picture of a «cat» 😀", files=files, current_retry=0)
    assert "googleusercontent" not in answer.text
    (image,) = answer.images
    assert type(image).__name__ == "GeneratedImage"
    assert pixels(await image.save(path=str(tmp_path), full_size=True)) == (2048, 2048)
    sim.set_defaults(redirects=False)
    again = (await client.generate_content("Draw me a picture of a cat", current_retry=0)).images[0]
    assert pixels(await again.save(path=str(tmp_path), full_size=False)) == (1024, 1024)
    assert sim.account("alice")["counts"]["image"] == 4  # type: ignore[index]
    assert sim.anomalies() == []


async def test_a_sized_picture_takes_the_real_hops(
    sim: Simulator, open_client: OpenClient, open_bare: OpenBare
) -> None:
    """lh3 sends to usercontent, which wants the account's cookies, which sends back to lh3 for the bytes."""
    answer = await (await open_client()).generate_content("Generate an image of a dog", current_retry=0)
    bare = await open_bare(page=False)
    url = answer.images[0].url + "=s1024-rj"
    first = await bare.get(url)
    assert first.status_code == 302
    second_url = first.headers["Location"]
    assert second_url.startswith("https://work.fife.usercontent.google.com/rd-gg-dl/")
    assert (await bare.get(second_url)).status_code == 403
    second = await bare.get(second_url, cookies=True)
    third = await bare.get(second.headers["Location"])
    assert (second.status_code, third.status_code) == (302, 200)
    assert third.content[:4] == b"\x89PNG"
    assert sim.anomalies() == []


async def test_a_search_for_a_picture_finds_one_on_the_web(
    sim: Simulator, open_client: OpenClient, tmp_path: Path
) -> None:
    """It is a web image, from a host that gets no cookies."""
    answer = await (await open_client()).generate_content("Show me a photo of Paris", current_retry=0)
    (image,) = answer.images
    assert type(image).__name__ == "WebImage"
    assert pixels(await image.save(path=str(tmp_path))) == (640, 640)
    assert sim.anomalies() == []


async def test_rotation_hands_out_a_new_cookie(
    sim: Simulator, open_client: OpenClient, cookie_folder: Path
) -> None:
    """The new value works at once, the old one for its grace."""
    old = credentials(sim, "alice")
    client = await open_client()
    new = await rotate_1psidts(client.client)
    assert new == credentials(sim, "alice")["secure_1psidts"] != old["secure_1psidts"]
    assert (await client.generate_content("Still here?", current_retry=0)).text
    cookie_folder.joinpath(f".cached_cookies_{old['secure_1psid']}.json").unlink()
    assert (await open_client(secure_1psidts=old["secure_1psidts"])).access_token
    assert sim.anomalies() == []
    with pytest.raises(Exception, match="429"):
        await rotate_1psidts(await _fresh_session(open_client))
    assert sim.account("alice")["notes"][-1]["kind"] == "rotated_too_soon"  # type: ignore[index]


async def test_a_rotated_cookie_outlives_a_restart(tmp_path: Path) -> None:
    """The current value, the one in its grace, and the token are the same again."""
    config = SimulatorConfig(accounts=1, directory=tmp_path / "state")
    first = Simulator(config)
    await first.start()
    old = first.accounts[0]
    client = GeminiClient(
        old["secure_1psid"], old["secure_1psidts"], proxy=old["proxy"], verify=first.ca_file
    )
    await client.init(timeout=10, auto_refresh=False)
    new = await rotate_1psidts(client.client)
    await first.stop()
    second = Simulator(config)
    await second.start()
    try:
        assert second.accounts[0]["secure_1psidts"] == new
        assert second.proxy_port == first.proxy_port
        assert (await client.generate_content("Still here?", current_retry=0)).text
        account = second.world.accounts.get("account-1")
        assert account is not None
        assert account.psidts_state(old["secure_1psidts"], time.time()) == "grace"
        assert second.anomalies() == []
        await client.close()
    finally:
        await second.stop()


async def test_eight_at_once_on_every_account(sim: Simulator, open_client: OpenClient) -> None:
    """Concurrent streams keep to themselves, and nothing runs on afterwards."""
    sim.set_defaults(frame_delay=0.01, cut_size=50)
    clients = [await open_client(account) for account in ("alice", "bob")]
    prompts = [f"Number {n} «ü😀»" for n in range(16)]
    answers = await asyncio.gather(
        *(clients[n % 2].generate_content(prompt, current_retry=0) for n, prompt in enumerate(prompts))
    )
    assert [a.text.split("\n")[0] for a in answers] == [f"You said: {p}" for p in prompts]
    for account in ("alice", "bob"):
        shown = sim.account(account)
        assert (shown["running"], shown["prompts"]) == (0, 8)
        assert 2 <= int(str(shown["max_running"])) <= 8
    assert sim.anomalies() == []


async def _fresh_session(open_client: OpenClient) -> object:
    return (await open_client()).client


async def test_an_old_cookie_dies_after_its_grace(
    sim: Simulator, open_client: OpenClient, cookie_folder: Path
) -> None:
    """Without guests that is an AuthError; it is no anomaly, since the cookie was good once."""
    old = credentials(sim, "alice")["secure_1psidts"]
    sim.set_fault("alice", fault("rotation_grace", seconds=0))
    client = await open_client()
    await rotate_1psidts(client.client)
    shutil.rmtree(cookie_folder)
    with pytest.raises(AuthError, match="after 3 attempts"):
        await open_client(secure_1psidts=old)
    assert sim.anomalies() == []


async def test_new_cookies_kill_the_old_ones(sim: Simulator, open_client: OpenClient) -> None:
    """As after a new sign-in in the browser."""
    old = credentials(sim, "bob")
    running = await open_client("bob")
    sim.issue_cookies("bob")
    with pytest.raises(AuthError):
        await open_client("bob", **{k: old[k] for k in ("secure_1psid", "secure_1psidts")})
    with pytest.raises(Exception, match="Status: 400"):
        await running.generate_content("Hello", current_retry=0)
    assert (await open_client("bob")).access_token
    assert sim.anomalies() == []


async def test_a_dead_account_becomes_a_guest_where_guests_are_let_in(
    sim: Simulator, open_client: OpenClient
) -> None:
    """Init succeeds without a token and the answers are a guest's: the trap that a pool has to notice."""
    sim.set_defaults(guests=True)
    sim.set_fault("alice", fault("expired"))
    client = await open_client()
    assert client.access_token is None
    assert client._cookie_source == "Guest"
    assert client.account_status == AccountStatus.UNAUTHENTICATED
    answer = await client.generate_content("Hello", current_retry=0)
    assert answer.text.startswith("You said: Hello")
    assert [p.account for p in sim.journal()] == ["guest@alice"]
    assert sim.anomalies() == []


async def test_accounts_of_one_egress_share_its_proxy(sim: Simulator, open_client: OpenClient) -> None:
    """The same proxy credential serves both."""
    assert credentials(sim, "carol")["proxy"] == credentials(sim, "dave")["proxy"]
    for account in ("carol", "dave"):
        assert (await (await open_client(account)).generate_content("Hi", current_retry=0)).text
    assert sim.anomalies() == []


async def test_scripts_are_used_in_order_an_accounts_own_first(
    sim: Simulator, open_client: OpenClient
) -> None:
    """Raw text, thoughts and pictures as scripted; afterwards the echo again."""
    sim.queue_reply(Script(text="for everyone"))
    sim.queue_reply(Script(text="a &lt; b", thoughts="hm", images=2, raw_parts=(["zz", 1],)), "alice")
    client = await open_client()
    own = await client.generate_content("Hello", current_retry=0)
    assert (own.text.strip(), own.thoughts, len(own.images)) == ("a < b", "hm", 2)
    assert (await client.generate_content("Hello", current_retry=0)).text == "for everyone"
    assert (await client.generate_content("Hello", current_retry=0)).text.startswith("You said")
    sim.queue_reply(Script(texts=("ab", "abcd*", "abcdef")))
    outputs = [o async for o in client.generate_content_stream("Hello", current_retry=0)]
    assert [o.text for o in outputs] == ["ab", "abcd*", "abcdef", "abcdef"]


async def test_a_client_that_leaves_is_seen(sim: Simulator, open_client: OpenClient) -> None:
    """The journal shows the running generation, then that it was aborted and when."""
    sim.set_defaults(frames=50, frame_delay=0.1)
    client = await open_client()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in client.generate_content_stream("Slowly", current_retry=0):
            begun.set()

    # Before the response's head a cancel would leave the transfer running to its end.
    task = asyncio.create_task(read())
    await begun.wait()
    before = sim.account("alice")["open_connections"]
    # The first cancel only makes curl_cffi wait for the end of the transfer; a further one ends it.
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    await until(lambda: sim.account("alice")["running"] == 0)
    account = sim.account("alice")
    assert before == 1
    (aborted,) = account["aborted"]  # type: ignore[misc]
    assert aborted["kind"] == "generate"
    assert sim.journal()[-1].outcome == "aborted"
    assert sim.journal()[-1].ended_at == aborted["at"]


async def test_latency_of_every_account(sim: Simulator, open_client: OpenClient) -> None:
    """A default latency by request kind makes round trips that take time."""
    client = await open_client()
    sim.set_defaults(latency={"generate": 0.2, "rpc:jSf9Qc": 0.1})
    began = asyncio.get_running_loop().time()
    await client.generate_content("Hello", current_retry=0)
    assert asyncio.get_running_loop().time() - began >= 0.3
