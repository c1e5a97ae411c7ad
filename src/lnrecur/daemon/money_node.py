"""Which node moves the money: made from the settings, for the daemon and for commands that look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from lnrecur.adapters.clock import SystemClock
from lnrecur.adapters.nodes.lnd import LndAccess, LndNode, LndUnavailable, Trouble, network_of, version_of
from lnrecur.adapters.nodes.playmoney import PlayMoneyNode
from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import Clock, MoneyNode, MoneyNodeError

if TYPE_CHECKING:
    from lnrecur.daemon.config import Settings

_APP: Final = "lnrecur"
MONEY_NODES: Final = ("playmoney", "lnd")
LND_HOLD: Final = ("on", "off")


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


@asynccontextmanager
async def money_node(settings: Settings, key: PrivateKey, clock: Clock) -> AsyncIterator[MoneyNode]:
    """The node of the settings. `key` is that of a play-money account.

    Raises:
        LnrecurError: it cannot be used at all. A real node that does not answer now may answer later.
    """
    if settings.money_node == "lnd":
        access, hold = lnd_access(settings), settings.lnd_hold == "on"
        async with LndNode(access, clock, chain=settings.chain_hash, hold=hold) as lnd:
            yield lnd
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
    except LndUnavailable as error:
        if error.trouble is Trouble.WRONG_CHAIN:
            raise UsageError(f"{error}: set chain to that of the node", field="chain") from error
        return f"NO MONEY MOVES YET: {error}; see `lnrecur doctor`"
    except MoneyNodeError as error:
        return f"NO MONEY MOVES YET: {error}; see `lnrecur doctor`"
    return "PLAY MONEY" if info.is_play_money else f"{info.kind} ({info.node_id.hex()})"


@dataclass(frozen=True, slots=True)
class LndLook:
    """What LND says of itself before there is a daemon."""

    chain: str | None
    """In the words of our settings; None where it does not answer."""
    told: str
    """A line for a person."""


async def look_at_lnd(settings: Settings) -> LndLook:
    """Ask the LND of the settings who it is, whatever its chain."""
    async with LndNode(lnd_access(settings), SystemClock(), chain=settings.chain_hash) as node:
        try:
            told = await node.get_info()
        except LndUnavailable as error:
            return LndLook(None, f"{error}")
    chain = network_of(told)
    return LndLook(chain, f"LND {version_of(told)} ({told['identity_pubkey']}) on {chain}")
