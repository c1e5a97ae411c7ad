"""lnrecur peers: the nodes we are connected to, and those we stay connected to."""

from __future__ import annotations

from typing import Any, Final

import click

from lnrecur.cli.client import Client, home_option, path_to
from lnrecur.cli.moments import local_time
from lnrecur.cli.output import json_option, make_console, print_json, print_table, printable
from lnrecur.daemon.config import Home

_COLUMNS: Final = ("node id", "where", "kept", "state", "onion messages", "received", "sent", "dropped")
_ID_SHOWN: Final = 12
_KEPT: Final = {"config": "by the settings", "added": "added", None: ""}
_REASON_SHOWN: Final = 160


@click.group("peers")
def peers() -> None:
    """The nodes we exchange messages with."""


@peers.command("list")
@home_option
@json_option
def list_command(home: Home, as_json: bool) -> None:
    """Show every peer that is connected or kept."""
    told = Client(home).get("/v1/peers")
    if as_json:
        print_json(told)
        return
    if not told["peers"]:
        click.echo("No peers. `lnrecur peers add ID@HOST:PORT` keeps one connected.")
        return
    print_table(make_console(), _COLUMNS, [_row(peer) for peer in told["peers"]])


@peers.command("add")
@click.argument("address", metavar="ID@HOST:PORT")
@home_option
@json_option
def add_command(address: str, home: Home, as_json: bool) -> None:
    """Connect to a peer, and stay connected: dial again whenever it is lost, also after a restart."""
    told = Client(home).post("/v1/peers", {"address": address})
    if as_json:
        print_json(told)
        return
    named = told["node_id"][:_ID_SHOWN]
    if told["problem"] is None:
        limits = "" if told["onion_messages"] else ", but it takes no onion messages from us"
        click.echo(f"{named}: connected{limits}; it is kept from now on")
        return
    click.echo(f"{named}: kept, but not connected: {_without_address(told['problem'], told)}")
    click.echo(f"It is dialled again until it answers; `lnrecur peers remove {named}` gives up.")


@peers.command("remove")
@click.argument("node_id", metavar="ID")
@home_option
@json_option
def remove_command(node_id: str, home: Home, as_json: bool) -> None:
    """Hang up on a peer that was added, and dial it no more. A beginning of its id is enough."""
    told = Client(home).delete(path_to("peers", node_id))
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['node_id'][:_ID_SHOWN]}: removed")


def _row(peer: dict[str, Any]) -> list[str]:
    onion_messages = ("yes" if peer["onion_messages"] else "no") if peer["connected"] else ""
    counts = [f"{peer[f'messages_{what}']:,}" for what in ("received", "sent", "dropped")]
    where = peer["endpoint"] or (peer["address"] or "").partition("@")[2]
    return [peer["node_id"][:_ID_SHOWN], where, _KEPT[peer["kept"]], _state(peer), onion_messages, *counts]


def _without_address(reason: str, peer: dict[str, Any]) -> str:
    """A reason beside the address that it begins with."""
    return printable(reason).removeprefix(f"{peer['address']}: ")


def _state(peer: dict[str, Any]) -> str:
    if peer["connected"]:
        by = "we dialled" if peer["direction"] == "outbound" else "it dialled us"
        return f"connected since {local_time(peer['connected_since'])}, {by}"
    told = _without_address(peer["last_reason"] or "", peer)
    reason = f" ({told[:_REASON_SHOWN]})" if told else ""
    if peer["next_dial_at"] is None:
        return f"being dialled{reason}"
    return f"next attempt {local_time(peer['next_dial_at'])}{reason}"
