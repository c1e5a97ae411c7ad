"""Lets connections in and shows others out, by the numbers of the settings and the rules of `places.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lnrecur.adapters.link.connection import PeerConnection
from lnrecur.adapters.link.endings import NoRoom
from lnrecur.adapters.link.inflow import Inflow
from lnrecur.adapters.link.keeping import Keeper
from lnrecur.adapters.link.origins import Origins
from lnrecur.adapters.link.places import origin_of, who_is_idle, who_leaves_the_handshake, who_makes_room
from lnrecur.adapters.link.settings import LinkSettings
from lnrecur.ports import PeerAddress, PeerUnreachable
from lnrecur.values import NodeId


class Admission:
    """Decides who may stay. Times are in seconds of the event loop's clock."""

    def __init__(self, settings: LinkSettings, keeper: Keeper) -> None:
        self._settings = settings
        self._keeper = keeper
        self._origins = Origins(settings.from_strangers, settings.accepts)
        self.refused = 0
        """Connections from outside that got no place, or lost it to another one."""

    def knock(self, host: str, now: float) -> Inflow | None:
        """Somebody connected from `host`: what they may send, or None if they are not even heard."""
        share = self._origins.knock(origin_of(host), now)
        if share is None:
            self.refused += 1
            return None
        return Inflow(self._settings.from_strangers, now, share)

    def begin(self, newcomer: PeerConnection, connections: Iterable[PeerConnection]) -> None:
        """A handshake begins; the connections beside it are known."""
        unready = [
            each
            for each in connections
            if each is not newcomer and not each.outbound and each.node_id is None and each.open
        ]
        leaving = who_leaves_the_handshake(unready, newcomer.origin, self._settings.handshakes_max)
        if leaving is not None:
            self.refused += 1
            leaving.hang_up(NoRoom("too many connections are in the handshake"))

    def has_room(
        self, newcomer: PeerConnection, replaced: PeerConnection | None, peers: Iterable[PeerConnection]
    ) -> bool:
        """Whether a connection that became ready has a place; another one may have to go for it."""
        if newcomer.outbound or self._is_kept(newcomer):
            return True
        guests = [
            each
            for each in peers
            if each.alive and not each.outbound and each is not replaced and not self._is_kept(each)
        ]
        idle_since = newcomer.ready_at - self._settings.idle_seconds
        leaving = who_makes_room(guests, newcomer, self._settings.inbound_max, idle_since)
        if leaving is None:
            return True
        self.refused += 1
        refusal = leaving is newcomer
        told = "all places are taken: try again later" if refusal else "this connection's place is needed for another"
        leaving.hang_up(NoRoom(told))
        return not refusal

    def make_room_to_dial(
        self, address: PeerAddress, dials: Collection[NodeId], peers: Iterable[PeerConnection], now: float
    ) -> None:
        """Have a place for one of the `dials` that are under way.

        Raises:
            PeerUnreachable: as many connections were dialled as may be, and all are at work.
        """
        if address.node_id in self._keeper:
            return
        ready = [each for each in peers if each.alive and each.outbound and not self._is_kept(each)]
        under_way = sum(node not in self._keeper for node in dials)
        if len(ready) + under_way <= self._settings.outbound_max:
            return
        leaving = who_is_idle(ready, now - self._settings.idle_seconds)
        if leaving is None:
            raise PeerUnreachable(f"{address}: {self._settings.outbound_max} connections were dialled, all are at work")
        leaving.hang_up(NoRoom("this connection was idle, and its place is needed"))

    def _is_kept(self, connection: PeerConnection) -> bool:
        return connection.node_id in self._keeper
