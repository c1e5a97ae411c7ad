"""The settings about peers, as the link takes them: where to listen, the proxy, and what others may cost us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lnrecur.adapters.link import InflowLimits, LinkSettings, ProxySettings
from lnrecur.errors import UsageError
from lnrecur.messaging.peer import PeerSettings
from lnrecur.messaging.token_bucket import Rate
from lnrecur.service.addresses import parse_host_and_port

if TYPE_CHECKING:
    from lnrecur.daemon.config import Settings

_BURST_S: Final = 10
"""After a quiet time a peer may send what it may send in so many seconds at once."""
PEER_RANGES: Final = {
    "peers_inbound_max": (0, 10_000),
    "peers_outbound_max": (1, 10_000),
    "peer_messages_per_second": (1, 10_000),
    "peer_bytes_per_second": (8 * 1024, 1024**3),
}
"""From and to, both included."""


def link_settings(settings: Settings) -> LinkSettings:
    """What the link insists on; the settings have been checked."""
    messages = settings.peer_messages_per_second
    strangers = InflowLimits(
        read=Rate(settings.peer_bytes_per_second, 4 * settings.peer_bytes_per_second),
        onion_messages=Rate(messages, _BURST_S * messages),
    )
    return LinkSettings(
        session=PeerSettings(settings.chain_hash),
        from_strangers=strangers,
        proxy=_proxy(settings),
        inbound_max=settings.peers_inbound_max,
        outbound_max=settings.peers_outbound_max,
    )


def _proxy(settings: Settings) -> ProxySettings | None:
    if not settings.socks5_proxy:
        return None
    host, port = parse_host_and_port(settings.socks5_proxy)
    return ProxySettings(host, port, everything=settings.socks5_for == "everything")


def check_peer_settings(settings: Settings) -> None:
    """What a type alone cannot say.

    Raises:
        UsageError: names the key.
    """
    for key in ("socks5_proxy", "peer_address"):
        if text := getattr(settings, key):
            try:
                parse_host_and_port(text)
            except UsageError as error:
                raise UsageError(f"is HOST:PORT: {error}", field=key) from error
    if settings.socks5_for == "everything" and not settings.socks5_proxy:
        raise UsageError("is everything, and there is no proxy: set socks5_proxy too", field="socks5_for")
