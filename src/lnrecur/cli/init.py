"""lnrecur init: an identity, a token and a settings file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from lnrecur.cli.client import home_option
from lnrecur.cli.output import json_option, print_json
from lnrecur.cli.secrets import ask_for_words
from lnrecur.daemon.config import Home, Settings, load_settings, write_settings
from lnrecur.daemon.files import create_home
from lnrecur.daemon.money_node import find_cln_chain, look_at_cln, look_at_lnd
from lnrecur.errors import UsageError
from lnrecur.service.keyring import Keyring
from lnrecur.values import CHAINS

_DEFAULTS: Final = Settings()


@click.command("init")
@home_option
@click.option("--chain", type=click.Choice(list(CHAINS)), default=None, help="The chain to pay on.  [default: regtest]")
@click.option("--peer-listen", metavar="HOST:PORT", default=None, help="Where peers reach this node.")
@click.option("--http-listen", metavar="HOST:PORT", default=None, help="Where this command reaches the daemon.")
@click.option("--peer", "peers", metavar="ID@HOST:PORT", multiple=True, help="A peer to stay connected to; repeatable.")
@click.option(
    "--playmoney-file", type=click.Path(dir_okay=False, resolve_path=True), help="The shared play-money file."
)
@click.option(
    "--lnd",
    "lnd_url",
    metavar="URL",
    is_flag=False,
    flag_value=_DEFAULTS.lnd_url,
    default=None,
    help=f"Your LND moves the money; its REST API.  [{_DEFAULTS.lnd_url} if left out]",
)
@click.option("--lnd-macaroon", metavar="FILE", help=f"The macaroon baked for lnrecur.  [{_DEFAULTS.lnd_macaroon}]")
@click.option("--lnd-cert", metavar="FILE", help=f"LND's own certificate.  [{_DEFAULTS.lnd_cert}]")
@click.option("--cln", "with_cln", is_flag=True, help="Your Core Lightning moves the money.")
@click.option("--rpc-file", metavar="FILE", help="Core Lightning's rpc-file.  [~/.lightning/CHAIN/lightning-rpc]")
@click.option("--seed", "from_words", is_flag=True, help="Take up an identity again; its 24 words are asked for.")
@json_option
def init(
    home: Home,
    chain: str | None,
    peer_listen: str | None,
    http_listen: str | None,
    peers: tuple[str, ...],
    playmoney_file: str | None,
    lnd_url: str | None,
    lnd_macaroon: str | None,
    lnd_cert: str | None,
    with_cln: bool,
    rpc_file: str | None,
    from_words: bool,
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
        "money_node": _money_node(lnd=any((lnd_url, lnd_macaroon, lnd_cert)), cln=with_cln or rpc_file is not None),
        "lnd_url": lnd_url,
        "lnd_macaroon": _whole_path(lnd_macaroon),
        "lnd_cert": _whole_path(lnd_cert),
        "cln_rpc_file": _whole_path(rpc_file),
    }
    if asked["money_node"] == "cln" and chain is None and rpc_file is None and not home.config.exists():
        asked["chain"] = find_cln_chain()
    flags: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    settings = load_settings(home, flags)
    has_settings = home.config.exists()
    if has_settings and flags:
        raise UsageError(f"{home.config} exists already: change it there, and leave the options out", field="config")
    money = _look(settings, flags, knows_chain=chain is not None or has_settings)
    seed = create_home(home, ask_for_words() if from_words else None)
    if not has_settings:
        write_settings(home.config, replace(Settings(), **flags))
    node_id = Keyring.derive(seed).node_id.hex()
    if as_json:
        print_json({"node_id": node_id, "config": str(home.config), "seed": str(home.seed), "token": str(home.token)})
        return
    _tell(home, node_id, money)
    if from_words:
        click.echo("The keys are back, the subscriptions are not: see docs/backup.md.")
    click.echo("Start the daemon with `lnrecur run`.")


def _look(settings: Settings, flags: dict[str, Any], *, knows_chain: bool) -> str:
    """The money node in words. Where nobody said the chain, it says it: `flags` get it."""
    if settings.money_node == "playmoney":
        return "PLAY MONEY, worth nothing: for trying things out"
    look = asyncio.run(look_at_cln(settings) if settings.money_node == "cln" else look_at_lnd(settings))
    if not knows_chain and "chain" not in flags:
        if look.chain is None:
            raise UsageError(f"{look.told}; start it, or say --chain", field="chain")
        if look.chain not in CHAINS:
            raise UsageError(f"{look.told}: that is no chain we know", field="chain")
        flags["chain"] = look.chain
    return look.told


def _tell(home: Home, node_id: str, money: str) -> None:
    click.echo(f"node id   {node_id}")
    click.echo(f"settings  {home.config}")
    click.echo(f"seed      {home.seed}  (the one secret: back it up, show it to nobody)")
    click.echo(f"money     {money}")


def _money_node(*, lnd: bool, cln: bool) -> str | None:
    if lnd and cln:
        raise UsageError("one node moves the money: say --lnd or --cln", field="money_node")
    return "lnd" if lnd else "cln" if cln else None


def _whole_path(file: str | None) -> str | None:
    """As the daemon finds it from any folder."""
    return None if file is None else str(Path(file).expanduser().absolute())
