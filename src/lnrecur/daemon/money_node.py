"""Which node moves the money: made from the settings, for the daemon and for commands that look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.nodes.cln import ClnNode, ClnRpc, ClnUnavailable, HeldPayments
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode, LndUnavailable, network_of, version_of
from lnrecur.adapters.nodes.playmoney import PlayMoneyNode
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, MoneyNode, MoneyNodeError, Unavailable
from lnrecur.values import CHAINS

if TYPE_CHECKING:
    from lnrecur.daemon.config import Settings

_APP: Final = "lnrecur"
MONEY_NODES: Final = ("playmoney", "lnd", "cln")
LND_HOLD: Final = ("on", "off")
_WRONG_CHAIN: Final = "wrong_chain"
"""The word of every adapter for a node of another chain."""


def playmoney_file(settings: Settings) -> Path:
    """The file that all play-money daemons of this user share, unless the settings name another."""
    if settings.playmoney_file:
        return Path(settings.playmoney_file).expanduser()
    return platformdirs.user_data_path(_APP, ensure_exists=True) / "playmoney.sqlite"


def lnd_access(settings: Settings) -> LndAccess:
    """Where LND is and what opens it.

    Raises:
        UsageError: lnd_url is no address; names the setting.
    """
    return LndAccess(settings.lnd_url, Path(settings.lnd_macaroon).expanduser(), Path(settings.lnd_cert).expanduser())


def cln_rpc_file(settings: Settings) -> Path:
    """Lightningd's socket: that of the settings, or where lightningd has it if nobody said otherwise."""
    if settings.cln_rpc_file:
        return Path(settings.cln_rpc_file).expanduser()
    return Path.home() / ".lightning" / settings.chain / "lightning-rpc"


@asynccontextmanager
async def money_node(
    settings: Settings, key: PrivateKey, clock: Clock, held: HeldPayments | None = None
) -> AsyncIterator[MoneyNode]:
    """The node of the settings. `key` is that of a play-money account; `held` what a plugin in Core Lightning holds.

    Raises:
        LnrecurError: it cannot be used at all. A real node that does not answer now may answer later.
    """
    if settings.money_node == "lnd":
        access, hold = lnd_access(settings), settings.lnd_hold == "on"
        async with LndNode(access, clock, chain=settings.chain_hash, hold=hold) as lnd:
            yield lnd
        return
    if settings.money_node == "cln":
        async with ClnNode(ClnRpc(cln_rpc_file(settings)), clock, chain=settings.chain_hash, held=held) as cln:
            yield cln
        return
    playmoney = PlayMoneyNode(
        playmoney_file(settings),
        key,
        clock,
        opening_balance_msat=settings.opening_balance_msat,
        chain=settings.chain_hash,
    )
    async with playmoney:
        yield playmoney


async def who_moves_money(node: MoneyNode, tell: Callable[[str], None]) -> str:
    """The node in words, for the line a daemon begins with; or what is wrong with it, as long as waiting may help.

    `tell` gets a line for every permission that the node does not give us.

    Raises:
        UsageError: it is a node of another chain.
    """
    try:
        info = await node.info()
        if isinstance(node, LndNode):
            for missing in await node.missing_permissions():
                tell(f"LND's macaroon does not allow {missing.uri}, needed {missing.why}: see docs/nodes/lnd.md")
    except Unavailable as error:
        if error.trouble == _WRONG_CHAIN:
            raise UsageError(f"{error}: set chain to that of the node", field="chain") from error
        return f"NO MONEY MOVES YET: {error}; see `lnrecur doctor`"
    except MoneyNodeError as error:
        return f"NO MONEY MOVES YET: {error}; see `lnrecur doctor`"
    return "PLAY MONEY" if info.is_play_money else f"{info.kind} ({info.node_id.hex()})"


@dataclass(frozen=True, slots=True)
class NodeLook:
    """What a node says of itself before there is a daemon."""

    chain: str | None
    """In the words of our settings; None where it does not answer."""
    told: str
    """A line for a person."""


async def look_at_lnd(settings: Settings) -> NodeLook:
    """Ask the LND of the settings who it is, whatever its chain."""
    async with LndNode(lnd_access(settings), SystemClock(), chain=settings.chain_hash) as node:
        try:
            told = await node.get_info()
        except LndUnavailable as error:
            return NodeLook(None, f"{error}")
    chain = network_of(told)
    return NodeLook(chain, f"LND {version_of(told)} ({told['identity_pubkey']}) on {chain}")


async def look_at_cln(settings: Settings) -> NodeLook:
    """Ask the Core Lightning of the settings who it is, whatever its chain."""
    async with ClnNode(ClnRpc(cln_rpc_file(settings)), SystemClock(), chain=settings.chain_hash) as node:
        try:
            told = await node.get_info()
        except ClnUnavailable as error:
            return NodeLook(None, f"{error}")
    return NodeLook(told["network"], f"Core Lightning {told['version']} ({told['id']}) on {told['network']}")


def find_cln_chain() -> str:
    """The chain of the one lightningd of this user, by the sockets there are.

    Raises:
        UsageError: there is none, or more than one.
    """
    folder = Path.home() / ".lightning"
    found = [chain for chain in CHAINS if (folder / chain / "lightning-rpc").exists()]
    if len(found) == 1:
        return found[0]
    told = f"there are several under {folder}: {', '.join(found)}; say --chain" if found else f"none under {folder}"
    raise UsageError(f"which lightning-rpc? {told}, or name it with --rpc-file", field="cln_rpc_file")
