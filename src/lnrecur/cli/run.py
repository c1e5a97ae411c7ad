"""lnrecur run: the daemon, in the foreground."""

from __future__ import annotations

import asyncio
import logging

import click

from lnrecur.cli.client import home_option
from lnrecur.daemon.config import Home, ProcessRole, load_settings


@click.command("run")
@home_option
@click.option("--peer-listen", metavar="HOST:PORT", default=None, help="Where peers reach this node.")
@click.option("--http-listen", metavar="HOST:PORT", default=None, help="Where the command reaches the daemon.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in ProcessRole]),
    default=ProcessRole.ALL.value,
    show_default=True,
    help="What this process takes on, of a PostgreSQL database that several share.",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default=None)
def run_daemon_command(
    home: Home, peer_listen: str | None, http_listen: str | None, role: str, log_level: str | None
) -> None:
    """Run the daemon until ctrl-C or SIGTERM.

    A messaging process speaks with peers and serves the HTTP API; any number of
    workers pay and claim. See docs/workers.md.

    The log goes to standard error. Flags win over LNRECUR_* variables, variables over config.toml.
    """
    from lnrecur.daemon.bootstrap import run_daemon

    flags = {"peer_listen": peer_listen, "http_listen": http_listen, "log_level": log_level}
    settings = load_settings(home, flags)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    for library in (
        "httpx",
        "httpcore",
    ):  # they would tell every question to a money node, and at debug how it is asked
        logging.getLogger(library).setLevel(logging.WARNING)
    asyncio.run(run_daemon(home, settings, ProcessRole(role), lambda line: click.echo(line)))
