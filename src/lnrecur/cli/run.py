"""lnrecur run: the daemon, in the foreground."""

from __future__ import annotations

import asyncio
import logging

import click

from lnrecur.cli.client import home_option
from lnrecur.daemon.config import Home, load_settings


@click.command("run")
@home_option
@click.option("--peer-listen", metavar="HOST:PORT", default=None, help="Where peers reach this node.")
@click.option("--http-listen", metavar="HOST:PORT", default=None, help="Where the command reaches the daemon.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default=None)
def run_daemon_command(home: Home, peer_listen: str | None, http_listen: str | None, log_level: str | None) -> None:
    """Run the daemon until ctrl-C or SIGTERM.

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
    asyncio.run(run_daemon(home, settings, lambda line: click.echo(line)))
