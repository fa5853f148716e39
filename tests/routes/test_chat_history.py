"""A picture that was made in a chat is changed in its next turn, although nobody uploads it again."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from core.chat import Blob, Message, Part, Text
from core.clock import SystemClock
from routes import EdgeSettings
from storage import Local, name_of
from tests.fakes.edge import Edge, edge
from tests.support.files import PNG

OTHER = PNG.replace(b"\0" * 16, b"\1" * 16)
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
OTHER_DATA = "data:image/png;base64," + base64.b64encode(OTHER).decode()
RED = {"role": "user", "content": "make it red"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def stored(folder: Path) -> Iterator[Edge]:
    """An edge that keeps pictures and is known by a public address."""
    settings = EdgeSettings(public_url="https://pictures.example", prompt_limit=1000, file_limit=4)
    with edge(settings=settings, files=Local(folder, SystemClock())) as found:
        yield found


@pytest.fixture
def gate(stored: Edge) -> Edge:
    stored.chat.reset()
    return stored


def shelved(folder: Path, data: bytes = PNG) -> str:
    name = name_of("a kite, r\u00f6t", "image/png", 0.0)
    (folder / name).write_bytes(data)
    return name


def images(*urls: str) -> list[Any]:
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def asked(gate: Edge, *history: Any, last: Any = RED) -> tuple[Message, ...]:
    """The conversation as the engine sees it."""
    messages = [{"role": "user", "content": "a kite"}, *history, last]
    response = gate.http.post("/v1/chat/completions", json={"messages": messages})
    assert response.status_code == 200, response.text
    return gate.chat.asks[-1].messages


def parts(gate: Edge, *history: Any) -> tuple[Part, ...]:
    """Of the first message after the first one."""
    return asked(gate, *history)[1].parts


def said(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Here: ![a kite]({DATA}) it is.", "Here: [picture] it is."),
        (f"![]({DATA})", "[picture]"),
        (DATA, "[picture]"),
        (f"Here it is:\n{DATA}\nNice?", "Here it is:\n[picture]\nNice?"),
        (f"[a link]({DATA})", "[a link]([picture])"),
        (f"![one]({DATA}) ![the same]({DATA})", "[picture] [picture]"),
    ],
)
def test_a_data_url_in_an_answers_text_is_its_picture(gate: Edge, text: str, left: str) -> None:
    """And never text: base64 tells the model nothing."""
    assert parts(gate, said(text)) == (Text(left), Blob(PNG, "image/png"))
    listed = said([{"type": "text", "text": text}])
    assert parts(gate, listed) == (Text(left), Blob(PNG, "image/png"))


@pytest.mark.parametrize(
    "given",
    [images(DATA), [{"image_url": DATA}], [DATA], [{"url": DATA}, "junk", 5, {}], images(DATA, DATA)],
)
def test_what_stands_in_images_is_the_picture(gate: Edge, given: Any) -> None:
    """As we write it, and as clients keep it; without any text as well."""
    assert parts(gate, said("Here.", images=given)) == (Text("Here."), Blob(PNG, "image/png"))
    assert parts(gate, said(None, images=given)) == (Blob(PNG, "image/png"),)


@pytest.mark.parametrize(
    "host", ["https://pictures.example", "http://127.0.0.1:1", "http://gateway:8000/behind/a/proxy", ""]
)
def test_a_link_to_our_own_file_is_the_picture(gate: Edge, folder: Path, host: str) -> None:
    """Whichever of our addresses it was made with: nobody can know the name who has not been given it, and the model is
    not."""
    text = f"Here.\n\n![a kite]({host}/files/{quote(shelved(folder))})"
    assert parts(gate, said(text)) == (Text("Here.\n\n[picture]"), Blob(PNG, "image/png"))


def test_an_answer_as_it_came_is_one_upload(gate: Edge, folder: Path) -> None:
    """Its link and what stands in `images` are the same picture."""
    text = f"![a kite](https://pictures.example/files/{quote(shelved(folder))})"
    assert parts(gate, said(text, images=images(DATA))) == (Text("[picture]"), Blob(PNG, "image/png"))


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/files/a.png",
        "https://elsewhere.example/kite.png",
        "http://169.254.169.254/files/x",
        "/files/..%2F..%2Fetc%2Fpasswd",
    ],
)
def test_other_links_are_left_as_text(gate: Edge, link: str) -> None:
    """A foreign one is not fetched."""
    assert parts(gate, said(f"See ![it]({link})")) == (Text(f"See ![it]({link})"),)


def test_a_picture_that_has_been_swept_ends_no_chat(gate: Edge) -> None:
    """What is left of it is the note that there was one."""
    link = f"https://pictures.example/files/{name_of('swept', 'image/png', 0.0)}"
    assert parts(gate, said(f"See ![it]({link})")) == (Text("See [picture]"),)


def test_the_last_answer_with_pictures_counts(gate: Edge, folder: Path) -> None:
    """What was made before is not sent up again with every turn; of all of them no base64 is read as text."""
    found = asked(
        gate,
        said(f"First. {DATA}", images=images(DATA)),
        {"role": "user", "content": "another"},
        said(f"Second. {OTHER_DATA} ![x](/files/{quote(shelved(folder))})"),
        {"role": "user", "content": "why?"},
        said("Because."),
    )
    assert found[1].parts == (Text("First. [picture]"),)
    assert found[3].parts[1:] == (Blob(OTHER, "image/png"),)
    assert found[5].parts == (Text("Because."),)


def test_pictures_among_an_answers_parts_stay(gate: Edge) -> None:
    """They are taken as they were, and nothing is sent up twice."""
    content = [{"type": "text", "text": "Here."}, *images(DATA)]
    found = asked(gate, said("x", images=images(OTHER_DATA)), RED, said(content, images=images(DATA)))
    assert found[3].parts == (Text("Here."), Blob(PNG, "image/png"))
    assert found[1].parts == (Text("x"),)


@pytest.mark.parametrize(
    "content",
    [
        "Write data:image/png;base64,... there.",
        "data:image/png",
        "data:image/;base64," + "A" * 100,
        "data:text/plain;base64," + "A" * 100,
    ],
)
def test_talk_about_data_urls_is_text(gate: Edge, content: str) -> None:
    """Only what holds a picture is taken out."""
    assert parts(gate, said(content)) == (Text(content),)


@pytest.mark.parametrize("damaged", [DATA[:-30], "data:image/png;base64," + "A" * 41, OTHER_DATA[:60]])
def test_a_damaged_picture_of_an_answer_is_left_out(gate: Edge, damaged: str) -> None:
    """A client that shortened its history is answered all the same."""
    assert parts(gate, said(f"x {damaged}", images=[{"image_url": {"url": damaged}}])) == (
        Text("x [picture]"),
    )


@pytest.mark.parametrize("given", ["x", 5, {"a": 1}, [], None, [None, [], "https://a.example/b.png"]])
def test_other_things_called_images_are_not_read(gate: Edge, given: Any) -> None:
    """The field is none of OpenAI's."""
    assert parts(gate, said("Here.", images=given)) == (Text("Here."),)


def test_a_users_text_is_left_alone(gate: Edge) -> None:
    """It is what they wrote."""
    found = asked(gate, said("Here."), last={"role": "user", "content": DATA, "images": images(DATA)})
    assert found[2].parts == (Text(DATA),)


def test_files_are_bounded_and_texts_without_their_pictures(gate: Edge) -> None:
    """A picture in a text does not count as characters, and counts as a file."""
    large = "data:image/png;base64," + base64.b64encode(PNG[:-8] + bytes(3000) + PNG[-8:]).decode()
    assert len(parts(gate, said(large))) == 2
    urls = ["data:image/png;base64," + base64.b64encode(PNG + bytes([i])).decode() for i in range(5)]
    body = {"messages": [said("x", images=images(*urls)), RED]}
    response = gate.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "messages[0].images"
