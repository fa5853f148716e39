"""The command `gempool`. Imports what a verb needs only when it runs, so that help is instant."""

import gc
import sys
from typing import TYPE_CHECKING

import click

from gateway.batchcli import batch

if TYPE_CHECKING:
    from gateway.verbs import Outcome

_ADDRESS = (
    click.option("--host", help="Address to listen on (HOST, server.host)."),
    click.option("--port", help="Port to listen on, 0 for a free one (PORT, server.port)."),
)


def _addressed(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_ADDRESS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One dependable OpenAI- and Gemini-compatible API in front of several Google accounts."""


@main.command()
@_addressed
@click.option("--accounts", help="The accounts file (GEMPOOL_ACCOUNTS_FILE).", metavar="FILE")
@click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE")
def serve(host: str | None, port: str | None, accounts: str | None, config: str | None) -> None:
    """Serve the accounts of config/accounts.yaml."""
    # A start makes much and drops little: to walk it again and again takes a tenth of it. The server turns this on again.
    gc.disable()
    from gateway import run

    given = {"server.host": host, "server.port": port, "accounts_file": accounts, "config_file": config}
    _ended(run.serve(_set(given)))


@main.command()
@_addressed
def demo(host: str | None, port: str | None) -> None:
    """Serve five accounts of a simulator: nothing to configure, no Google account needed."""
    from gateway import run

    _ended(run.demo(_set({"server.host": host, "server.port": port})))


@main.command()
@click.option("--accounts", help="The accounts file (GEMPOOL_ACCOUNTS_FILE).", metavar="FILE")
@click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE")
def live(accounts: str | None, config: str | None) -> None:
    """Ask your own accounts one short question, streamed and whole, and tell how it went."""
    from gateway import run

    _ended(run.live(_set({"accounts_file": accounts, "config_file": config})))


@main.command()
@_addressed
@click.option("--ready", is_flag=True, help="Ask whether an account can serve, too.")
@click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE")
def health(host: str | None, port: str | None, ready: bool, config: str | None) -> None:
    """Ask the gateway that runs here whether it is alive; exit code 1 where it is not."""
    from gateway.health import health as look

    text, problem = look(_set({"server.host": host, "server.port": port, "config_file": config}), ready)
    if text:
        click.echo(text)
    _ended(problem)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--push", is_flag=True, help="Send a test alert to every device, too.")
@_addressed
@click.option("--accounts", help="The accounts file (GEMPOOL_ACCOUNTS_FILE).", metavar="FILE")
@click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE")
def doctor(
    as_json: bool, push: bool, host: str | None, port: str | None, accounts: str | None, config: str | None
) -> None:
    """Look at everything that the gateway stands on, and say what to do (docs/doctor.md).

    Exit code 0: all is well; 1: something should be looked at; 2: something does not work.
    """
    from gateway.doctor import doctor as examined

    given = {"server.host": host, "server.port": port, "accounts_file": accounts, "config_file": config}
    text, code = examined(_set(given), as_json, push)
    click.echo(text)
    sys.exit(code)


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run the simulator of the web app alone (`gempool simulate --help` lists its options)."""
    import runpy

    sys.argv = ["gempool simulate", *arguments]
    runpy.run_module("simulator", run_name="__main__")


_FILES = (
    click.option("--accounts", help="The accounts file (GEMPOOL_ACCOUNTS_FILE).", metavar="FILE"),
    click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE"),
)


def _with_files(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(_FILES):
        command = option(command)
    return command


@main.group()
def accounts() -> None:
    """Look after the accounts file: import cookies, check, list, enable, disable, remove.

    A running gateway takes every change within two seconds.
    """


@accounts.command("import")
@click.argument("source", metavar="FILE|-")
@click.option("--id", "id", default="", help="The account; one that exists gets the new cookies.")
@_with_files
def import_(source: str, id: str, accounts: str | None, config: str | None) -> None:
    """Add an account, or renew one, from what a browser's cookie exporter wrote (- reads standard input).

    Read are the JSON of Cookie-Editor and EditThisCookie, Netscape's cookies.txt, and a raw Cookie: header.
    """
    from gateway import verbs

    _told(verbs.import_(_set({"accounts_file": accounts, "config_file": config}), source, id))


@accounts.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--url", default="", help="A running gateway, asked for the accounts' states.")
@click.option("--key", default="", help="One of its keys (ADMIN_KEY, API_KEY).")
@_with_files
def list_(as_json: bool, url: str, key: str, accounts: str | None, config: str | None) -> None:
    """The accounts of the file."""
    from gateway import verbs

    _told(verbs.list_(_set({"accounts_file": accounts, "config_file": config}), url, key, as_json))


@accounts.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@_with_files
def check(as_json: bool, accounts: str | None, config: str | None) -> None:
    """Open a session for each account and say what was found; exit code 1 where one is not well."""
    from gateway import verbs

    _told(verbs.check(_set({"accounts_file": accounts, "config_file": config}), as_json))


@accounts.command()
@click.argument("id")
@_with_files
def enable(id: str, accounts: str | None, config: str | None) -> None:
    """Let an account serve again."""
    from gateway import verbs

    _told(verbs.set_enabled(_set({"accounts_file": accounts, "config_file": config}), id, True))


@accounts.command()
@click.argument("id")
@_with_files
def disable(id: str, accounts: str | None, config: str | None) -> None:
    """Keep an account in the file without asking it."""
    from gateway import verbs

    _told(verbs.set_enabled(_set({"accounts_file": accounts, "config_file": config}), id, False))


@accounts.command()
@click.argument("id")
@_with_files
def remove(id: str, accounts: str | None, config: str | None) -> None:
    """Take an account out of the file; its last requests may end."""
    from gateway import verbs

    _told(verbs.remove(_set({"accounts_file": accounts, "config_file": config}), id))


main.add_command(batch)


@main.group()
def keys() -> None:
    """Make API keys for callers, and the digests that the configuration knows them by (docs/keys.md)."""


@keys.command("new")
@click.option("--name", default="new-caller", metavar="NAME", help="What logs call the caller.")
def new_key(name: str) -> None:
    """Print a new key once, and the lines of config/gateway.yaml that let it in."""
    from gateway import keys

    _told(keys.new(name))


@keys.command("hash")
def hash_key() -> None:
    """Read a key from standard input, never from an argument, and print its digest."""
    from gateway import keys

    _told(keys.hash_())


@main.group()
def alerts() -> None:
    """Alerts on the operator's phone."""


@alerts.command("test")
@click.option("--config", help="The configuration file (GEMPOOL_CONFIG_FILE).", metavar="FILE")
def test_alerts(config: str | None) -> None:
    """Send a harmless test alert to every device and tell what became of it; exit code 1 where one failed."""
    from gateway import alerts

    _ended(alerts.test(_set({"config_file": config})))


@main.group()
def watermark() -> None:
    """The visible logo on pictures: look for it, take it off, learn what it looks like.

    Pictures without the logo, or with something that may be another star, are never changed.
    """


_STARS = click.option("--stars", default="", metavar="FILE", help="A star file; the built-in star otherwise.")
_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@watermark.command("calibrate")
@click.argument("file")
@click.option(
    "--out", default="stars.json", metavar="FILE", show_default=True, help="The star file to write."
)
def calibrate_logo(file: str, out: str) -> None:
    """Read the star off a capture of the logo on pure black (PNG), into a star file.

    watermark.stars_file names it to the gateway. A file that is there gets the star's size added or replaced.
    """
    from gateway import logo

    _told(logo.calibrate(file, out))


@watermark.command("inspect")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_STARS
@_JSON
def inspect_logo(files: tuple[str, ...], stars: str, as_json: bool) -> None:
    """Tell of each picture whether it carries the logo; exit code 1 where one cannot be read."""
    from gateway import logo

    _told(logo.inspect(files, stars, as_json))


@watermark.command("clean")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--out", default="", metavar="DIR", help="The folder to write to; beside the picture otherwise."
)
@click.option("--in-place", is_flag=True, help="Write over the picture.")
@click.option(
    "--compare", is_flag=True, help="Write NAME.compare.png too: the logo's place before and after."
)
@_STARS
@_JSON
def clean_logo(
    files: tuple[str, ...], out: str, in_place: bool, compare: bool, stars: str, as_json: bool
) -> None:
    """Write each picture that carries the logo as NAME.clean.EXT, without it and declared as made by AI."""
    from gateway import logo

    _told(logo.clean(files, stars, out, in_place, compare, as_json))


@main.command()
def version() -> None:
    """Print the version."""
    import importlib.metadata

    click.echo(importlib.metadata.version("gemini-pool-gateway"))


def _set(options: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


def _ended(problem: str) -> None:
    """A start that failed for a reason the operator can mend is told in plain words, not as a traceback."""
    if problem:
        click.echo(problem, err=True)
        sys.exit(1)


def _told(outcome: "Outcome") -> None:
    if outcome.text:
        click.echo(outcome.text)
    _ended(outcome.problem)
