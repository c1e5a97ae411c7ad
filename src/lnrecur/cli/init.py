"""lnrecur init: an identity, a token and a settings file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from lnrecur.cli.client import home_option
from lnrecur.cli.output import json_option, print_json
from lnrecur.daemon.config import Home, Settings, load_settings, write_settings
from lnrecur.daemon.files import create_home
from lnrecur.errors import UsageError
from lnrecur.service.keyring import Keyring
from lnrecur.values import CHAINS


@click.command("init")
@home_option
@click.option("--chain", type=click.Choice(list(CHAINS)), default=None, help="The chain to pay on.  [default: regtest]")
@click.option("--peer-listen", metavar="HOST:PORT", default=None, help="Where peers reach this node.")
@click.option("--http-listen", metavar="HOST:PORT", default=None, help="Where this command reaches the daemon.")
@click.option("--peer", "peers", metavar="ID@HOST:PORT", multiple=True, help="A peer to stay connected to; repeatable.")
@click.option(
    "--playmoney-file", type=click.Path(dir_okay=False, resolve_path=True), help="The shared play-money file."
)
@json_option
def init(
    home: Home,
    chain: str | None,
    peer_listen: str | None,
    http_listen: str | None,
    peers: tuple[str, ...],
    playmoney_file: str | None,
    as_json: bool,
) -> None:
    """Make a new identity: a seed, a token for the HTTP API, and config.toml.

    An identity that is there already is left alone, and so are settings that are there already.
    """
    asked = {
        "chain": chain,
        "peer_listen": peer_listen,
        "http_listen": http_listen,
        "peers": peers or None,
        "playmoney_file": playmoney_file,
    }
    flags: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    load_settings(home, flags)
    has_settings = home.config.exists()
    if has_settings and flags:
        raise UsageError(f"{home.config} exists already: change it there, and leave the options out", field="config")
    seed = create_home(home)
    if not has_settings:
        write_settings(home.config, replace(Settings(), **flags))
    node_id = Keyring.derive(seed).node_id.hex()
    if as_json:
        print_json({"node_id": node_id, "config": str(home.config), "seed": str(home.seed), "token": str(home.token)})
        return
    click.echo(f"node id   {node_id}")
    click.echo(f"settings  {home.config}")
    click.echo(f"seed      {home.seed}  (the one secret: back it up, show it to nobody)")
    click.echo("money     PLAY MONEY, worth nothing: for trying things out")
    click.echo("Start the daemon with `lnrecur run`.")
