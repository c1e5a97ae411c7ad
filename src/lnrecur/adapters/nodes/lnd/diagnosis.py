"""What `lnrecur doctor` says about an LND: is it there, is it the right one, may we, can it receive and pay."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from lnrecur.adapters.nodes.lnd.channels import Channels
from lnrecur.adapters.nodes.lnd.doorbell import Interruption
from lnrecur.adapters.nodes.lnd.errors import LndUnavailable, Trouble
from lnrecur.adapters.nodes.lnd.permissions import missing_permissions
from lnrecur.adapters.nodes.lnd.rest import LndRest
from lnrecur.ports import Finding, Health
from lnrecur.values import UnixSeconds

CLOCK_S_MAX: Final = 30
_OLDEST: Final = (0, 18, 4)
_ONION_MESSAGES: Final = (0, 21, 0)
_BLINDING: Final = ("24", "25")
_BAKE: Final = "bake it with the command in docs/nodes/lnd.md, and name it in lnd_macaroon"
WAYS_OUT: Final = {
    Trouble.UNREACHABLE: "start LND, and see that lnd_url names its restlisten; it is tried again all the time",
    Trouble.WRONG_CERTIFICATE: "let lnd_cert name the tls.cert of the LND that lnd_url names",
    Trouble.WRONG_MACAROON: _BAKE,
    Trouble.NOT_PERMITTED: _BAKE,
    Trouble.LOCKED: "unlock the wallet with `lncli unlock`, or give LND a wallet-unlock-password-file",
    Trouble.STARTING: "wait until LND is up",
    Trouble.NOT_SYNCED: "wait until LND has caught up with the chain, and see that its chain backend is up",
    Trouble.WRONG_CHAIN: "set chain to that of the node, or lnd_url to another node",
    Trouble.NOT_BUILT_IN: "use a release of LND, or build it with the tags invoicesrpc and signrpc",
    Trouble.NO_LND: "let lnd_url name the restlisten of LND, not its rpclisten or another program",
}


def connection_trouble(error: LndUnavailable) -> Finding:
    """Why LND cannot be asked, and what to do."""
    return Finding("money node", Health.BROKEN, str(error), WAYS_OUT[error.trouble])


def look_at_info(told: Mapping[str, Any], *, network: str, chain: str, now: UnixSeconds) -> list[Finding]:
    """What GetInfo says about the node."""
    version = str(told["version"]).partition(" ")[0]
    who = f"LND {version}, {told['identity_pubkey']} ({told.get('alias', '')}), at block {told['block_height']}"
    found = [Finding("money node", Health.GOOD, who)]
    number = _version(version)
    if number < _OLDEST:
        way_out = (
            f"upgrade to {'.'.join(map(str, _OLDEST))} or newer: older ones cannot pay over blinded paths as needed"
        )
        found.append(Finding("LND version", Health.BROKEN, version, way_out))
    elif number < _ONION_MESSAGES:
        told_so = f"{version} carries no onion messages: payees and payers are reached through other nodes"
        found.append(Finding("LND version", Health.WARNING, told_so, "upgrade to 0.21 or newer to use it as a relay"))
    if network != chain:
        told_so = f"LND is on {network}, and chain of the settings is {chain}"
        found.append(Finding("chain", Health.BROKEN, told_so, WAYS_OUT[Trouble.WRONG_CHAIN]))
    elif not told.get("synced_to_chain"):
        found.append(Finding("chain", Health.BROKEN, f"{network}, not synced", WAYS_OUT[Trouble.NOT_SYNCED]))
    else:
        found.append(Finding("chain", Health.GOOD, f"{network}, synced"))
    if not any(bit in told.get("features", {}) for bit in _BLINDING):
        way_out = "take --protocol.no-route-blinding out of LND's settings"
        found.append(Finding("route blinding", Health.BROKEN, "switched off in this LND", way_out))
    ahead = int(told.get("best_header_timestamp", 0)) - now
    if ahead > 2 * 3600:
        way_out = "set the clock of this machine"
        found.append(Finding("clock", Health.BROKEN, f"{ahead} seconds behind the newest block", way_out))
    return found


def look_at_date(date: str, now: UnixSeconds) -> Finding | None:
    """Compare our clock with LND's, from the Date of an answer; None where there is none."""
    try:
        theirs = email.utils.parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    apart = round((theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)).timestamp()) - now
    if abs(apart) <= CLOCK_S_MAX:
        return Finding("clock", Health.GOOD, f"within {CLOCK_S_MAX} seconds of LND's")
    told = f"{abs(apart)} seconds {'behind' if apart > 0 else 'ahead of'} LND's"
    return Finding("clock", Health.BROKEN, told, "set both clocks by NTP: invoices expire by them")


async def look_at_permissions(rest: LndRest) -> list[Finding]:
    """What the macaroon lacks."""
    missing = await missing_permissions(rest)
    found = [
        Finding(
            "permissions",
            Health.WARNING if one.is_optional else Health.BROKEN,
            f"the macaroon does not allow {one.uri}, which is needed {one.why}",
            _BAKE,
        )
        for one in missing
    ]
    return found or [Finding("permissions", Health.GOOD, "the macaroon allows all that is needed")]


async def look_at_channels(channels: Channels, *, hold: bool) -> Sequence[Finding]:
    """What can be paid and received."""
    listed = await channels.open_channels()
    active = [one for one in listed if one.is_up]
    if not active:
        told = f"{len(listed)} channels, none of them up" if listed else "no channels"
        return [Finding("channels", Health.BROKEN, told, "open a channel, or connect to the peers of those there are")]
    pays, gets = sum(one.local for one in active), sum(one.remote for one in active)
    told = f"{len(active)} of {len(listed)} up; about {pays:,} sat to pay with, {gets:,} sat can be received"
    found = [Finding("channels", Health.GOOD, told)]
    if not pays:
        found.append(Finding("paying", Health.WARNING, "nothing can be paid", "open a channel of your own"))
    if not gets:
        found.append(Finding("receiving", Health.WARNING, "nothing can be received", "have a channel opened to you"))
        return found
    edges = await channels.inbound_edges()
    if edges:
        how = "held until claimed" if hold else "claimed by LND as they arrive"
        found.append(
            Finding("receiving", Health.GOOD, f"payment paths begin at {len(edges)} peers; payments are {how}")
        )
    else:
        told = "no peer forwards in blinded routes: payers see your node's id in invoices"
        found.append(Finding("receiving", Health.WARNING, told, "have a channel with an announced node that does"))
    return found


def look_at_doorbells(interruptions: Iterable[Interruption | None]) -> list[Finding]:
    """Streams of invoices that are broken."""
    return [
        Finding(
            "news of invoices",
            Health.WARNING,
            f"LND's stream broke {one.failures} times in a row: {one.why}",
            f"payments are seen some seconds later meanwhile; the stream is begun again in {one.next_try_in_s} s",
        )
        for one in interruptions
        if one is not None
    ]


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return (0, 0, 0) if found is None else tuple(int(part) for part in found.groups())
