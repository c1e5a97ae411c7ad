"""The route of `lnrecur doctor`: the daemon looks at itself."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur.daemon.doctor import (
    look_at_node,
    look_at_outage,
    look_at_peers,
    look_at_store,
    look_at_work,
    shape_of,
)
from lnrecur.daemon.peer_book import PeerBook
from lnrecur.service.assembly import Services


class DoctorRoutes:
    """The handler, over one node's services."""

    def __init__(self, services: Services, peers: PeerBook | None, address: str | None) -> None:
        """`address`: ours, as peers write it; None if we listen nowhere."""
        self._services = services
        self._peers = peers
        self._address = address

    async def doctor(self, request: Request) -> Response:
        """GET /v1/doctor: everything that was looked at, what was seen, and what to do about it."""
        parts, watch = self._services.parts, self._services.node_watch
        found = [*await look_at_node(parts.node)]
        if watch is not None:
            found += look_at_outage(watch.outage, parts.clock.now())
        found += look_at_store(parts.manager, self._services.seed_watch)
        found += look_at_work(self._services.scheduler, self._services.payee.receiver.known)
        if self._peers is not None:
            found += look_at_peers(self._peers.listed(), self._address)
        return JSONResponse({"findings": [shape_of(finding) for finding in found]})
