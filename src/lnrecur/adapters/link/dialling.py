"""Opens sockets to other nodes: directly over IPv4 or IPv6, or through a SOCKS5 proxy.

What goes through the proxy is named to it as it was named to us: a host name is resolved by the proxy and never here,
so nobody who watches this machine's name server learns whom we dial.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy

from lnrecur.adapters.link.settings import READ_SIZE, RECEIVE_BUFFER, SEND_BUFFER, LinkSettings, ProxySettings
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.ports import PeerAddress, PeerUnreachable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_ONION: Final = ".onion"
_WAY_OUT: Final = "an onion service is reached through Tor only: set socks5_proxy, for Tor's own 127.0.0.1:9050"


async def open_streams(address: PeerAddress, settings: LinkSettings) -> Streams:
    """A connected socket to where a node listens.

    Raises:
        PeerUnreachable: there is none; the text names the address and the reason.
    """
    proxy = settings.proxy
    hidden = address.host.lower().rstrip(".").endswith(_ONION)
    if hidden and proxy is None:
        raise PeerUnreachable(f"{address}: {_WAY_OUT}")
    through = proxy if proxy is not None and (hidden or proxy.everything) else None
    seconds = settings.connect_seconds if through is None else through.connect_seconds
    way = "" if through is None else f" through the proxy {through.host}:{through.port}"
    try:
        parse_point(address.node_id)
        async with asyncio.timeout(seconds) as limit:
            streams = await (_open_directly(address) if through is None else _open_through(through, address))
    except CryptoError as error:
        raise PeerUnreachable(f"{address}: {error}") from error
    except (OSError, ValueError, OverflowError, ProxyError) as error:
        reason = f"no connection within {seconds:g} s" if limit.expired() else _why(error)
        raise PeerUnreachable(f"{address}: {reason}{way}") from error
    limit_buffers(streams[1].get_extra_info("socket"))
    return streams


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        told = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno)
        return str(told).lower()
    return str(error)


def limit_buffers(sock: socket.socket) -> None:
    """Have the kernel keep no more of this socket's bytes than we reckon with; accepted sockets inherit it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


async def _open_directly(address: PeerAddress) -> Streams:
    return await asyncio.open_connection(address.host, address.port, limit=READ_SIZE)


async def _open_through(proxy: ProxySettings, address: PeerAddress) -> Streams:
    client = Proxy(ProxyType.SOCKS5, proxy.host, proxy.port, rdns=True)
    connected = await client.connect(address.host, address.port, timeout=proxy.connect_seconds)
    return await asyncio.open_connection(sock=connected, limit=READ_SIZE)
