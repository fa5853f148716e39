"""`gempool batch` on the command line."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.batching import Where


@click.group()
def batch() -> None:
    """Prompts for later: make a batch of a file, watch it, list and cancel batches of a running gateway.

    Exit codes: 0 all went well, 1 not all tasks did, 2 it cannot be done, 130 interrupted (the batch goes on).
    """


_GATEWAY = (
    click.option(
        "--url", default="", help="The gateway's address; otherwise the one that HOST and PORT name."
    ),
    click.option(
        "--key", default="", help="One of its keys; better in the environment (API_KEY, ADMIN_KEY)."
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print the gateway's last word as JSON, nothing else."
    ),
)
_RESULTS = (
    click.option(
        "--out", default="", metavar="FILE", help="Where results go, a line each (- and by default: here)."
    ),
    click.option("--overwrite", is_flag=True, help="Let --out name a file that holds something already."),
    click.option("--save", default="", metavar="DIR", help="Download the pictures into this folder."),
)


def _asking(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_GATEWAY):
        command = option(command)
    return command


def _keeping(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_RESULTS):
        command = option(command)
    return command


@batch.command()
@click.argument("file", metavar="FILE.jsonl|-")
@click.option("--images", is_flag=True, help="A picture of each prompt.")
@click.option("--chat", is_flag=True, help="An answer to each prompt.")
@click.option(
    "--model", default="", help="The model; otherwise the one of the lines, or the gateway's default."
)
@click.option("--concurrency", type=click.IntRange(1), help="Tasks of the batch that may run at once (2).")
@click.option("--response-type", help="Pictures as url (the default) or as base64 in the results.")
@click.option("--size", help="Of pictures, such as 1024x1024.")
@click.option("--aspect-ratio", help="Of pictures, such as 16:9.")
@click.option("--output-format", help="Of pictures: png, jpeg or webp.")
@click.option("--watermark", help="Of pictures: keep leaves the visible logo on.")
@click.option("--upscale", is_flag=True, help="Enlarge pictures that come smaller than asked.")
@_keeping
@click.option("--idempotency-key", default="", metavar="KEY", help="The same key never makes a second batch.")
@click.option("--detach", is_flag=True, help="Print the batch's id and leave it to itself.")
@_asking
def run(
    file: str,
    images: bool,
    chat: bool,
    model: str,
    concurrency: int | None,
    response_type: str | None,
    size: str | None,
    aspect_ratio: str | None,
    output_format: str | None,
    watermark: str | None,
    upscale: bool,
    out: str,
    overwrite: bool,
    save: str,
    idempotency_key: str,
    detach: bool,
    url: str,
    key: str,
    as_json: bool,
) -> None:
    """Make a batch of a file (- is standard input) and watch it until it has ended.

    Each line is "a prompt" in quotes, or {"prompt": "...", "id": "yours"}; the id comes back with the result. Without --images
    and --chat every line or --model has to name the model.
    """
    from gateway import batching  # noqa: PLC0415  # help is instant

    if images and chat:
        raise click.UsageError("--images and --chat: a batch is of one kind. Say one of them.")
    pictures = {
        "response_type": response_type,
        "size": size,
        "aspect_ratio": aspect_ratio,
        "output_format": output_format,
        "watermark": watermark,
        "upscale": upscale or None,
    }
    wanted = batching.Wanted(
        "images" if images else "chat" if chat else "",
        model,
        {} if concurrency is None else {"concurrency": concurrency},
        {name: value for name, value in pictures.items() if value is not None},
        saved=bool(save),
    )
    kept = batching.Kept(out, save, overwrite)
    sys.exit(batching.run(file, wanted, _where(url, key), kept, idempotency_key, detach, as_json))


@batch.command()
@click.argument("id")
@click.option(
    "--file",
    default="",
    metavar="FILE.jsonl",
    help="The file that it was made of; results come with its lines and ids.",
)
@_keeping
@_asking
def watch(
    id: str, file: str, out: str, overwrite: bool, save: str, url: str, key: str, as_json: bool
) -> None:
    """Show how a batch goes on until it has ended, with all of its results from the first on."""
    from gateway import batching  # noqa: PLC0415  # help is instant

    sys.exit(batching.watch(id, file, _where(url, key), batching.Kept(out, save, overwrite), as_json))


@batch.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@click.option("--after", default="", metavar="ID", help="Those that are older than this one.")
@click.option(
    "--status", default="", help="Only those: queued, running, completed, failed, cancelling, cancelled."
)
@_asking
def list_(limit: int, after: str, status: str, url: str, key: str, as_json: bool) -> None:
    """The batches that the key may see, the newest first."""
    from gateway import batching  # noqa: PLC0415  # help is instant

    sys.exit(batching.list_(_where(url, key), limit, after, status, as_json))


@batch.command()
@click.argument("id")
@_asking
def cancel(id: str, url: str, key: str, as_json: bool) -> None:
    """Cancel what has not begun; what runs may finish."""
    from gateway import batching  # noqa: PLC0415  # help is instant

    sys.exit(batching.cancel(id, _where(url, key), as_json))


def _where(url: str, key: str) -> "Where":
    from core.secret import Secret  # noqa: PLC0415  # help is instant
    from gateway.batching import Where  # noqa: PLC0415  # help is instant

    return Where(url, Secret(key))
