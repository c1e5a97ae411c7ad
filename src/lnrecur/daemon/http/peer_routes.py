"""The routes about peers: who is connected, who is kept, adding and removing."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur.daemon.http.bodies import Address
from lnrecur.daemon.http.reading import body_of, only_one, wanted_by
from lnrecur.daemon.http.shapes import Shape
from lnrecur.daemon.peer_book import Listed, PeerBook
from lnrecur.ports import Clock
from lnrecur.recurrence.words import rfc3339
from lnrecur.service.addresses import parse_address
from lnrecur.values import UnixSeconds

_DIRECTIONS: Final = {True: "outbound", False: "inbound", None: None}


class PeerBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/peers."""

    address: Address


class PeerRoutes:
    """The handlers, over one peer book."""

    def __init__(self, book: PeerBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock

    async def peers(self, request: Request) -> Response:
        """GET /v1/peers."""
        now = self._clock.now()
        totals = self._book.totals()
        return JSONResponse(
            {
                "peers": [peer_shape(listed, now) for listed in self._book.listed()],
                "totals": {
                    "messages_received": totals.received,
                    "messages_sent": totals.sent,
                    "messages_dropped": totals.dropped,
                    "connections_refused": totals.refused,
                },
            }
        )

    async def add(self, request: Request) -> Response:
        """POST /v1/peers: keep a peer, and say whether it could be reached."""
        body = await body_of(request, PeerBody)
        listed, problem = await self._book.add(parse_address(body.address))
        shape = {**peer_shape(listed, self._clock.now()), "problem": problem}
        return JSONResponse(shape, status_code=201)

    async def remove(self, request: Request) -> Response:
        """DELETE /v1/peers/{id}: by node id or a beginning of it."""
        listed = only_one(self._book.listed(), lambda listed: listed.status.node_id.hex(), wanted_by(request), "peer")
        self._book.remove(listed.status.node_id)
        return JSONResponse({"node_id": listed.status.node_id.hex(), "removed": True})


def peer_shape(listed: Listed, now: UnixSeconds) -> Shape:
    """A peer; `now` is the time its seconds count from."""
    status = listed.status
    since, next_dial = status.connected_seconds, status.next_dial_seconds
    return {
        "node_id": status.node_id.hex(),
        "address": None if status.address is None else str(status.address),
        "kept": listed.source,
        "connected": status.where is not None,
        "direction": _DIRECTIONS[status.outbound],
        "endpoint": status.where,
        "connected_since": None if since is None else rfc3339(now - round(since)),
        "next_dial_at": None if next_dial is None else rfc3339(now + round(next_dial)),
        "last_reason": status.last_reason,
        "onion_messages": status.takes_onion_messages,
        "messages_received": status.received,
        "messages_sent": status.sent,
        "messages_dropped": status.dropped,
    }
