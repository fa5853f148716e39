"""A task as what is asked of the engine, and its answer as what the task came to. Pure."""

from msgspec.structs import replace

from batches.books import Task
from batches.policy import UNSTORED
from core.chat import Answer, Ask, Message, Picture, Text, Trace
from core.errors import InternalError
from engine.service import Outcome


def ask_of(task: Task, prompt: str, trace: Trace) -> Ask:
    """Its pictures are always stored: what the books keep is their link."""
    return Ask(
        model=task.model,
        messages=(Message("user", (Text(prompt),)),),
        picture=None if task.wish is None else replace(task.wish, link=True),
        conversation="temporary",  # nobody goes on with it
        background=True,
        request_id=name_of(task),
        caller=task.caller,
        trace=trace,
    )


def name_of(task: Task) -> str:
    return f"{task.batch}-{task.index}"


def outcome_of(task: Task, answer: Answer, at: float) -> Outcome:
    """at: wall clock seconds. Raises `InternalError` where the picture was not stored."""
    tries = task.tries + 1
    if task.kind == "chat":
        return Outcome(task.index, tries, at, text=_text(answer))
    picture = answer.pictures[0]
    if not picture.link:
        raise InternalError(UNSTORED)
    return Outcome(
        task.index,
        tries,
        at,
        link=picture.link,
        mime=picture.mime,
        width=picture.width,
        height=picture.height,
        watermark=picture.watermark,
    )


def superfluous(task: Task, answer: Answer) -> list[str]:
    """Links of stored pictures that no result names: a task has one."""
    return [picture.link for picture in answer.pictures[1:] if picture.link] if task.kind == "images" else []


def _text(answer: Answer) -> str:
    """The text, and links to the pictures that the model made though none was asked for."""
    parts = [answer.text] if answer.text else []
    return "\n\n".join(parts + [_markdown(picture) for picture in answer.pictures if picture.link])


def _markdown(picture: Picture) -> str:
    link = picture.link.replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    return f"![image]({link})"
