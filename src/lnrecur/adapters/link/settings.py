"""What a link insists on: times, rates, sizes and numbers, and the most memory that follows from them.

The bound, in theory. Everything a peer can make us keep is counted against a limit of its own connection:

- bytes not yet read: the kernel's receive buffer, and a stream buffer that stops the socket when it is full;
- one incomplete message of BOLT 8, at most 64 KiB, and the piece that is being decrypted;
- what it does not read: our messages up to `output_max_bytes` and pongs up to `WAITING_PONGS_MAX_BYTES`, of which one
  slice at a time is handed to the socket, and the kernel's send buffer;
- messages that wait for a handler or are in one, up to `inbox_max_bytes`.

Connections are limited in number, those in the handshake too. `memory_max_bytes` adds it all up; kernel buffers come
on top with `kernel_max_bytes`. The first is reached only if every connection there may be does all of it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lnrecur.messaging.peer import WAITING_PONGS_MAX_BYTES, PeerSettings
from lnrecur.messaging.token_bucket import Rate
from lnrecur.wire.messages import MESSAGE_MAX

READ_SIZE: Final = 16 * 1024
"""Most bytes that are decrypted in one go."""
WRITE_SIZE: Final = 64 * 1024
"""Most bytes that are handed to a socket before it has sent them on."""
RECEIVE_BUFFER: Final = 64 * 1024
SEND_BUFFER: Final = 64 * 1024
"""What we ask the kernel to keep per socket. Linux doubles both numbers and keeps its own records in them."""
MESSAGE_OVERHEAD: Final = 512
"""What a waiting message costs beyond its onion: the objects around it."""
_OBJECTS: Final = 64 * 1024
"""Session, tasks, streams and counters of one connection, generously."""
HANDSHAKE_MAX_BYTES: Final = 2 * READ_SIZE + 2 * RECEIVE_BUFFER + MESSAGE_MAX + 2 * READ_SIZE + _OBJECTS
"""The most a connection costs before it is ready: what is unread, and one incomplete message."""


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """How much one connection may cost us."""

    output_max_bytes: int = 256 * 1024
    """Waiting output beyond which messages to this peer are refused."""
    write_seconds: float = 30.0
    """How long the peer may take to accept `WRITE_SIZE` bytes."""
    inbox_max_bytes: int = 256 * 1024
    """Messages of this peer that wait for a handler or are in one; what comes on top is dropped."""

    @property
    def memory_max_bytes(self) -> int:
        """The most one ready connection makes this process keep."""
        output = self.output_max_bytes + WAITING_PONGS_MAX_BYTES + 2 * MESSAGE_MAX + WRITE_SIZE
        return HANDSHAKE_MAX_BYTES + output + self.inbox_max_bytes


_READ_RATE: Final = Rate(256 * 1024, 1024 * 1024)
_MESSAGE_RATE: Final = Rate(10, 100)
_DROP_RATE: Final = Rate(1, 500)
_ACCEPT_RATE: Final = Rate(10, 100)


@dataclass(frozen=True, slots=True)
class InflowLimits:
    """How fast a peer may speak."""

    read: Rate = _READ_RATE
    """Bytes; what comes faster is read later, and TCP slows the peer down."""
    onion_messages: Rate = _MESSAGE_RATE
    """What comes faster is dropped."""
    dropped: Rate = _DROP_RATE
    """Onion messages beyond their rate that are dropped before the connection is."""


@dataclass(frozen=True, slots=True)
class HandlingLimits:
    """How many messages are handled at a time; see `handling.py`."""

    per_peer: int = 8
    per_chosen_peer: int = 32
    """For peers that we dialled or keep: they may forward the messages of many."""
    shared: int = 64


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A SOCKS5 proxy, as Tor is one."""

    host: str
    port: int
    everything: bool = False
    """Whether all dials go through it, not only those to .onion addresses."""
    connect_seconds: float = 60.0
    """How long a connection through it may take: the first one to an onion service takes its time."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What a link insists on. Times are in seconds."""

    session: PeerSettings
    flow: FlowLimits = field(default_factory=FlowLimits)
    from_strangers: InflowLimits = field(default_factory=InflowLimits)
    """For peers that dialled us."""
    from_chosen: InflowLimits = InflowLimits(Rate(1024 * 1024, 4 * 1024 * 1024), Rate(50, 500), Rate(5, 5000))
    """For peers that we dialled or keep."""
    handling: HandlingLimits = field(default_factory=HandlingLimits)
    connect_seconds: float = 10.0
    proxy: ProxySettings | None = None
    inbound_max: int = 128
    """Ready connections from outside at a time; kept peers come on top."""
    accepts: Rate = _ACCEPT_RATE
    """Connections that one origin may begin."""
    handshakes_max: int = 32
    """Connections from outside that are not ready yet."""
    outbound_max: int = 64
    """Connections that we dialled; kept peers come on top."""
    kept_max: int = 32
    """Peers that may be kept."""
    idle_seconds: float = 60.0
    """A connection without an onion message for so long may have to make room for another one."""
    redial_first_seconds: float = 1.0
    redial_max_seconds: float = 300.0
    settled_seconds: float = 60.0
    """A kept connection that lasted this long is dialled again without the delay that had grown before."""

    @property
    def connections_max(self) -> int:
        """How many sockets there can be. A kept peer has two for a moment when its newer connection replaces one."""
        return self.handshakes_max + self._ready_max

    @property
    def _ready_max(self) -> int:
        return self.inbound_max + self.outbound_max + 2 * self.kept_max

    @property
    def memory_max_bytes(self) -> int:
        """The most memory that peers can make this process use, all of them together."""
        orphans = self.handling.shared * MESSAGE_MAX
        return self._ready_max * self.flow.memory_max_bytes + self.handshakes_max * HANDSHAKE_MAX_BYTES + orphans

    @property
    def kernel_max_bytes(self) -> int:
        """The most socket memory that peers can make the kernel use on top."""
        return self.connections_max * 2 * (RECEIVE_BUFFER + SEND_BUFFER)
