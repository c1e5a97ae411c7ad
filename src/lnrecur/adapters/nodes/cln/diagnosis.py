"""What `lnrecur doctor` says about a Core Lightning: is it there, is it the right one, can it receive and pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lnrecur.adapters.nodes.cln.channels import Channels, is_up, msat
from lnrecur.adapters.nodes.cln.errors import MINIMUM_VERSION, ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.ports import Finding, Health
from lnrecur.values import MSAT_PER_SAT

TRIED: Final = (26, 6)
_MINIMUM: Final = (24, 11)
_AUTOCLEAN: Final = "autoclean-paidinvoices-age"
_AGE_MIN_S: Final = 7 * 24 * 3600
PLUGIN: Final = "lnrecur-cln"
WAYS_OUT: Final = {
    Trouble.NO_SOCKET: "start lightningd, and see that cln_rpc_file names its rpc-file; it is tried again all the time",
    Trouble.UNREACHABLE: "start lightningd; it is tried again all the time",
    Trouble.NOT_PERMITTED: "run lnrecur as lightningd's user, or set rpc-file-mode=0660 and join its group",
    Trouble.STOPPING: "wait until lightningd is up again",
    Trouble.TOO_OLD: f"upgrade to {MINIMUM_VERSION} or newer, and see that its plugin xpay is not switched off",
    Trouble.NOT_SYNCED: "wait until lightningd has caught up with the chain, and see that bitcoind is up",
    Trouble.WRONG_CHAIN: "set chain to that of the node, or cln_rpc_file to another node",
    Trouble.NO_CLN: "let cln_rpc_file name the lightning-rpc of lightningd",
}


def connection_trouble(error: ClnUnavailable) -> Finding:
    """Why lightningd cannot be asked, and what to do."""
    return Finding("money node", Health.BROKEN, str(error), WAYS_OUT[error.trouble])


def look_at_info(told: Mapping[str, Any], chain: str, version: tuple[int, int]) -> list[Finding]:
    """What getinfo says about the node."""
    who = f"Core Lightning {told['version']}, {told['id']} ({told.get('alias', '')}), at block {told['blockheight']}"
    found = [Finding("money node", Health.GOOD, who)]
    if version < _MINIMUM:
        way_out = WAYS_OUT[Trouble.TOO_OLD]
        found.append(Finding("Core Lightning version", Health.BROKEN, f"{told['version']} lacks xpay", way_out))
    elif version < TRIED:
        tried = ".".join(f"{part:02}" for part in TRIED)
        told_so = f"{told['version']} should do by its source, but was never tried; {tried} was"
        found.append(Finding("Core Lightning version", Health.WARNING, told_so, f"upgrade to {tried} or newer"))
    behind = [str(told[key]) for key in ("warning_bitcoind_sync", "warning_lightningd_sync") if key in told]
    if told["network"] != chain:
        told_so = f"Core Lightning is on {told['network']}, and chain of the settings is {chain}"
        found.append(Finding("chain", Health.BROKEN, told_so, WAYS_OUT[Trouble.WRONG_CHAIN]))
    elif behind:
        found.append(Finding("chain", Health.BROKEN, f"{chain}, not synced: {behind[0]}", WAYS_OUT[Trouble.NOT_SYNCED]))
    else:
        found.append(Finding("chain", Health.GOOD, f"{chain}, synced"))
    return found


async def look_at_settings(rpc: ClnRpc) -> list[Finding]:
    """Settings of lightningd that take away what we need, and whether the plugin runs."""
    found = []
    try:
        configs = (await rpc.call("listconfigs"))["configs"]
        plugins = (await rpc.call("plugin", {"subcommand": "list"}))["plugins"]
    except (ClnRefused, KeyError) as error:
        way_out = "see lightningd's log"
        return [Finding("Core Lightning settings", Health.WARNING, f"cannot be read: {error}", way_out)]
    age = _number(configs.get(_AUTOCLEAN))
    if age and age < _AGE_MIN_S:
        told = f"{_AUTOCLEAN}={age}: paid invoices may be deleted before lnrecur, if it was away, has seen them"
        found.append(Finding("autoclean", Health.WARNING, told, f"set it to {_AGE_MIN_S} (a week) or more"))
    disabled = configs.get("disable-plugin", {}).get("values_str", [])
    if any("xpay" in str(one) for one in disabled):
        found.append(Finding("xpay", Health.BROKEN, "switched off", "take disable-plugin=xpay out of the config"))
    runs = any(PLUGIN in str(one.get("name", "")) for one in plugins if one.get("active", True))
    how = "runs in lightningd" if runs else "does not run: lightningd claims by itself what arrives"
    return [*found, Finding("plugin", Health.GOOD, f"{PLUGIN} {how}")]


async def look_at_channels(channels: Channels, *, holds: bool) -> Sequence[Finding]:
    """What can be paid and received."""
    listed = await channels.normal()
    up = [one for one in listed if is_up(one)]
    if not up:
        told = f"{len(listed)} channels, none of them up" if listed else "no channels"
        return [Finding("channels", Health.BROKEN, told, "open a channel, or connect to the peers of those there are")]
    pays, gets = (sum(msat(one, key) for one in up) // MSAT_PER_SAT for key in ("spendable_msat", "receivable_msat"))
    told = f"{len(up)} of {len(listed)} up; about {pays:,} sat to pay with, {gets:,} sat can be received"
    found = [Finding("channels", Health.GOOD, told)]
    if not pays:
        found.append(Finding("paying", Health.WARNING, "nothing can be paid", "open a channel of your own"))
    if not gets:
        found.append(Finding("receiving", Health.WARNING, "nothing can be received", "have a channel opened to you"))
        return found
    edges = await channels.inbound_edges()
    how = "held until claimed" if holds else "claimed by lightningd as they arrive"
    if edges:
        told = f"payment paths begin at {len(edges)} peers; payments are {how}"
        found.append(Finding("receiving", Health.GOOD, told))
    elif all(one.get("private") for one in up):
        told = "all channels are private, and no peer forwards in blinded routes: nobody can pay you"
        found.append(Finding("receiving", Health.BROKEN, told, "have a channel with a node that blinds routes"))
    else:
        told = f"no peer forwards in blinded routes: payers see your node's id; payments are {how}"
        found.append(Finding("receiving", Health.WARNING, told, "have a channel with an announced node that does"))
    return found


def look_at_gap(gap: str | None) -> list[Finding]:
    """Payments that were deleted before they could be told."""
    if gap is None:
        return []
    way_out = (
        "if one of them was lnrecur's, it is not in the books: see your node's own records; use autoclean with care"
    )
    return [Finding("receipts", Health.WARNING, gap, way_out)]


def _number(told: Any) -> int:
    value = told.get("value_int", told.get("value_str", 0)) if isinstance(told, dict) else 0
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() else 0
