"""The command `gempool`. Imports what a verb needs only when it runs, so that help is instant."""

import sys

import click

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


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run the simulator of the web app alone (`gempool simulate --help` lists its options)."""
    import runpy

    sys.argv = ["gempool simulate", *arguments]
    runpy.run_module("simulator", run_name="__main__")


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
