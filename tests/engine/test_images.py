"""What a picture is asked for with, and what an answer without one means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Blob, Message, PictureWish, Role, Text
from core.errors import InvalidRequest, PromptRefused, UpstreamUnstable
from engine.images import (
    OnlyWebPictures,
    PicturesUnavailable,
    PicturesUsedUp,
    picture_prompt,
    without_pictures,
)
from engine.notices import used_up

PNG = Blob(b"\x89PNG", "image/png", "fox.png")
PDF = Blob(b"%PDF-", "application/pdf", "brief.pdf")


def said(role: Role, text: str, *files: Blob) -> Message:
    return Message(role, (*files, Text(text)))


def asked(*messages: Message, **wish: object) -> str:
    return picture_prompt(messages, PictureWish(**wish)).text  # type: ignore[arg-type]


def test_a_picture_is_plainly_asked_for() -> None:
    """The web app looks one up otherwise. Aspect and resolution stand on lines of their own."""
    assert asked(said("user", "a red kite"), aspect="16:9", pixels=2048) == (
        "Generate an image. Do not show one from the web.\n\na red kite\n\nAspect ratio: 16:9.\nResolution: 2K."
    )


@pytest.mark.parametrize(
    ("pixels", "name"), [(512, "1K"), (1024, "1K"), (1536, "2K"), (2048, "2K"), (4096, "4K"), (9000, "4K")]
)
def test_the_resolution_is_named(pixels: int, name: str) -> None:
    """By the least of the three that is large enough."""
    assert asked(said("user", "x"), pixels=pixels).endswith(f"\n\nResolution: {name}.")


def test_attached_pictures_are_edited() -> None:
    """One or several; a document that is attached is none."""
    assert asked(said("user", "make it blue", PNG)).startswith(
        "Edit the attached image and generate the changed image.\n\nmake it blue"
    )
    assert asked(said("user", "swap", PNG, PNG)).startswith("Edit the attached images and generate")
    assert asked(said("user", "illustrate this", PDF)).startswith("Generate an image.")


def test_of_a_conversation_the_last_user_message_is_wanted() -> None:
    """The transcript stands as in a text request, and its end asks for the picture."""
    text = asked(
        said("system", "Paint in oil."),
        said("user", "a fox"),
        said("assistant", "Here."),
        said("user", "at night"),
    )
    assert text.index("Paint in oil.") < text.index("a fox") < text.index("at night")
    assert text.endswith(
        "Generate an image: the one that the last <user> message asks for. Do not show one from the web."
        "\n\nResolution: 1K."
    )
    assert "Answer the last" not in text
    earlier = (said("user", "a fox", PNG), said("assistant", "Here."))
    assert "Edit the attached image as the last <user>" in asked(*earlier, said("user", "bluer", PNG))
    assert "Generate an image: the one" in asked(*earlier, said("user", "bluer"))


def test_a_change_without_a_picture_of_its_own_means_the_conversations_last() -> None:
    """The one that was made before, or else the one that was sent: only where a change is asked for."""
    made = (said("user", "a fox", PNG), said("assistant", "Here.", PNG), said("user", "bluer"))
    assert "Where it asks for a change, change the attached image of the last <assistant> message" in asked(
        *made
    )
    sent = (said("user", "a fox", PNG), said("assistant", "Which?"), said("user", "bluer"))
    assert "the attached image of the last <user> message that has one" in asked(*sent)
    for messages in (made, sent):
        assert "Generate an image: the one that the last <user> message asks for." in asked(*messages)
    read = (said("user", "a fox", PDF), said("assistant", "Yes."), said("user", "draw it"))
    assert "Where it asks" not in asked(*read)


def test_nothing_asked_is_the_callers_mistake() -> None:
    """As for a text."""
    with pytest.raises(InvalidRequest):
        picture_prompt((Message("user"),), PictureWish())
    with pytest.raises(InvalidRequest):
        asked(said("user", "  "))


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=3, max_size=12)
TURNS = st.lists(
    st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), WORDS, st.integers(0, 2)),
    min_size=1,
    max_size=6,
)
WISHES = st.builds(
    PictureWish,
    aspect=st.sampled_from(["", "1:1", "16:9", "9:16"]),
    pixels=st.sampled_from([1024, 2048, 4096]),
)


@given(TURNS, WISHES)
def test_whatever_was_said_the_prompt_asks_for_one_picture(
    turns: list[tuple[Role, str, int]], wish: PictureWish
) -> None:
    """Nothing that was said is lost, every file goes along, and the request stands there exactly once."""
    messages = tuple(said(role, words, *[PNG] * files) for role, words, files in turns)
    flat = picture_prompt(messages, wish)
    at = 0
    for _, words, _ in sorted(turns, key=lambda turn: turn[0] != "system"):
        at = flat.text.index(words, at)
    assert len(flat.files) == sum(files for _, _, files in turns)
    asks = flat.text.count("Generate an image") + flat.text.count("generate the changed image")
    assert asks == 1
    last = flat.text.rpartition("\n\n")[2].splitlines()
    assert [line.partition(": ")[0] for line in last] == [*["Aspect ratio"] * bool(wish.aspect), "Resolution"]


NOTICES = [
    "You've reached your image limit for today.",
    "You\u2019ve reached your limit for image generation. It resets tomorrow.",
    "I can't create more images for you today, but come back tomorrow.",
    "Your image quota is used up until 5 PM.",
    "Du hast dein Limit für die Bildgenerierung heute erreicht.",
    "Vous avez atteint votre limite de génération d'images pour aujourd'hui.",
    "Has alcanzado tu límite de generación de imágenes por hoy.",
    "Você atingiu o limite de geração de imagens por hoje.",
    "Hai raggiunto il limite di immagini per oggi.",
    "Je hebt je limiet voor afbeeldingen bereikt.",
    "Вы достигли дневного лимита на создание изображений.",
    "Bugünkü görsel oluşturma sınırına ulaştın.",  # noqa: RUF001
    "本日の画像生成の上限に達しました。明日お試しください。",
    "오늘의 이미지 생성 한도에 도달했습니다.",
    "您今天的图片生成次数已达上限。",
    "您今天的圖片生成次數已達上限。",
]


@pytest.mark.parametrize("notice", NOTICES)
def test_a_notice_that_pictures_are_used_up_is_understood(notice: str) -> None:
    """In the account's language, whatever stands around it."""
    assert isinstance(without_pictures(notice, 0), PicturesUsedUp)
    assert isinstance(without_pictures(f"Sorry!\n{notice} Ask me for a text instead.", 2), PicturesUsedUp)


@pytest.mark.parametrize(
    "words",
    [
        "I can't create that image.",
        "I can't make images of real people.",
        "I can't generate images that exceed the limits of our policy.",
        "Here is a description of a picture of a speed limit sign.",
        "Ich kann keine Bilder von Personen erstellen.",
        "Once upon a time a painter reached the edge. " * 30 + NOTICES[0],
    ],
)
def test_other_words_are_the_models_refusal(words: str) -> None:
    """Told as they are, up to a bound."""
    refused = without_pictures(words, 0)
    assert isinstance(refused, PromptRefused)
    assert refused.message[:500] == words.strip()[:500]
    assert len(refused.message) <= 1000


def test_an_account_that_may_not_draw_is_told_apart() -> None:
    """A country's or an account's own bound is not the prompt's fault."""
    words = "Image generation isn't available in your country yet."
    assert isinstance(without_pictures(words, 0), PicturesUnavailable)


def test_pictures_from_the_web_and_silence_are_the_answers_fault() -> None:
    """Neither is a refusal yet."""
    assert isinstance(without_pictures("Here are some lanterns.", 4), OnlyWebPictures)
    silent = without_pictures(" \n", 0)
    assert isinstance(silent, UpstreamUnstable)
    assert silent.kind == "empty"


@given(st.text(max_size=700))
def test_any_text_is_understood_as_something(text: str) -> None:
    """No text makes the reader stumble."""
    assert used_up(text) in (True, False)
    without_pictures(text, 0)
