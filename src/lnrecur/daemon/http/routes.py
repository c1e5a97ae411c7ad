"""What each route does: read the request, ask the service, shape the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur import __version__
from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http import shapes
from lnrecur.daemon.http.bodies import I64_MAX
from lnrecur.daemon.http.offer_routes import OfferRoutes
from lnrecur.daemon.http.order_routes import OrderRoutes
from lnrecur.daemon.http.payer_routes import PayerRoutes
from lnrecur.daemon.http.reading import number_of, the_one, wanted_by
from lnrecur.errors import UsageError
from lnrecur.ports import MoneyNodeError
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.service.assembly import Services
from lnrecur.values import NodeId, chain_name

EVENTS_MAX: Final = 1000
WAIT_S_MAX: Final = 30
WAIT_ASKED_MAX: Final = 3600
"""Longest wait that may be asked for; whoever asks for more than `WAIT_S_MAX` is answered earlier, and asks again."""
_WAIT_STEP_S: Final = 0.1


class Routes:
    """The handlers, over one node's services."""

    def __init__(
        self,
        services: Services,
        settings: Settings,
        peer: str | None,
        stopping: Callable[[], bool] = lambda: False,
        kept: Callable[[], Iterable[NodeId]] | None = None,
    ) -> None:
        """`kept` answers the kept peers; without it they are those of the settings."""
        self._services = services
        self.payer = PayerRoutes(services)
        self._manager = services.parts.manager
        self._settings = settings
        self._peer = peer
        self._stopping = stopping
        kept = kept or (lambda: [address.node_id for address in settings.peer_addresses])
        self.offers = OfferRoutes(services, settings, peer, kept)
        self.orders = OrderRoutes(services, self.payer)

    async def info(self, request: Request) -> Response:
        """GET /v1/info: who we are and what moves the money."""
        link, node_id = self._services.parts.link, self._services.courier.messenger.node_id
        return JSONResponse(
            {
                "version": __version__,
                "node_id": node_id.hex(),
                "peer_address": self._peer,
                "chain": chain_name(self._services.parts.chain),
                "relay": {
                    "on": self._services.parts.messages.relay is not None,
                    **{verdict.value: count for verdict, count in self._services.courier.relay.counts.items()},
                },
                "peers": sorted(peer.hex() for peer in link.peers() - {node_id}),
                "money_node": await self._money_node(),
            }
        )

    async def _money_node(self) -> shapes.Shape:
        try:
            node = await self._services.parts.node.info()
        except MoneyNodeError as error:
            nothing = dict.fromkeys(("kind", "node_id", "play_money", "can_hold"))
            return {**nothing, "problem": str(error)}
        return {
            "kind": node.kind,
            "node_id": node.node_id.hex(),
            "play_money": node.is_play_money,
            "can_hold": node.can_hold,
            "problem": None,
        }

    # --- subscriptions -----------------------------------------------------------------------------------------------

    async def subscriptions(self, request: Request) -> Response:
        """GET /v1/subscriptions[?role=payer|payee]."""
        role = request.query_params.get("role")
        if role not in (None, "payer", "payee"):
            raise UsageError(f"role is payer or payee, not {role!r}", field="role")
        return JSONResponse({"subscriptions": self.listed(role)})

    def listed(self, role: str | None = None) -> list[shapes.Shape]:
        """All subscriptions, or those in which we are the `payer` or the `payee`."""
        return [shape for shape in self._all() if role in (None, shape["role"])]

    async def subscription(self, request: Request) -> Response:
        """GET /v1/subscriptions/{id}: with its payments and events."""
        return JSONResponse(self.shown(wanted_by(request)))

    def shown(self, wanted: str) -> shapes.Shape:
        """One subscription, with its payments and events.

        Raises:
            UsageError: there is none of this id, or more than one.
        """
        ours = self._manager.find_outbounds(wanted, one_off=False)
        found = [*map(self.payer.shape, ours), *map(self._sold, self._manager.find_inbounds(wanted))]
        shape = the_one(found, wanted, "subscription")
        subject = bytes.fromhex(shape["id"])
        shape["book"] = [shapes.payment_shape(payment) for payment in self._manager.payments(subject)]
        return {**shape, "events": shapes.events_of(self._manager, subject)}

    def _sold(self, state: Inbound) -> shapes.Shape:
        record = self._manager.offer(state.offer_id)
        return shapes.inbound_shape(state, None if record is None else Offer.from_bytes(record.offer))

    def _all(self) -> list[shapes.Shape]:
        offers = {record.offer_id: Offer.from_bytes(record.offer) for record in self._manager.offers()}
        return self.payer.subscriptions() + [
            shapes.inbound_shape(state, offers.get(state.offer_id))
            for state in self._manager.inbounds()
            if state.recurring  # a single payment is no subscription: see /v1/payments
        ]

    # --- books and events --------------------------------------------------------------------------------------------

    async def events(self, request: Request) -> Response:
        """GET /v1/events?after=ID&limit=N&wait=SECONDS: the log behind an id, waiting for news if there are none."""
        after = number_of(request, "after", 0, 0, I64_MAX)
        limit = number_of(request, "limit", 100, 1, EVENTS_MAX)
        wait = min(number_of(request, "wait", 0, 0, WAIT_ASKED_MAX), WAIT_S_MAX)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while not (found := self._manager.events(after, limit)) and loop.time() < until and not self._stopping():
            await asyncio.sleep(_WAIT_STEP_S)
        return JSONResponse({"events": [shapes.event_shape(event) for event in found]})
