"""The routes of what people order about one subscription: pause and resume on either side, waive and end on ours."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.http import shapes
from lnrecur.daemon.http.bodies import EndBody, WaiveBody
from lnrecur.daemon.http.payer_routes import PayerRoutes
from lnrecur.daemon.http.reading import body_of, the_one, wanted_by
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.service.assembly import Services


class OrderRoutes:
    """The handlers, over one node's services."""

    def __init__(self, services: Services, payer: PayerRoutes) -> None:
        """`payer` answers for the subscriptions that we pay."""
        self._subscribers = services.payee.subscribers
        self._manager = services.parts.manager
        self._payer = payer

    async def pause(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/pause: pay nothing, or serve nothing, until resumed."""
        state = self._either(request)
        if isinstance(state, Outbound):
            return await self._payer.pause(request)
        return self._shown(self._subscribers.pause(state.offer_id, state.payer_id))

    async def resume(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/resume."""
        state = self._either(request)
        if isinstance(state, Outbound):
            return await self._payer.resume(request)
        return self._shown(self._subscribers.resume(state.offer_id, state.payer_id))

    async def waive(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/waive: the next periods of a subscription we are paid count as settled."""
        body = await body_of(request, WaiveBody)
        state = self._paid_to_us(request)
        return self._shown(self._subscribers.waive(state.offer_id, state.payer_id, body.periods))

    async def end(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/end: end a subscription we are paid."""
        body = await body_of(request, EndBody)
        state = self._paid_to_us(request)
        return self._shown(self._subscribers.end(state.offer_id, state.payer_id, body.why))

    def _either(self, request: Request) -> Inbound | Outbound:
        wanted = wanted_by(request)
        found: list[Inbound | Outbound] = [
            *self._manager.find_outbounds(wanted, one_off=False),
            *self._manager.find_inbounds(wanted),
        ]
        return the_one(found, wanted, "subscription")

    def _paid_to_us(self, request: Request) -> Inbound:
        wanted = wanted_by(request)
        return the_one(self._manager.find_inbounds(wanted), wanted, "subscription that we are paid")

    def _shown(self, state: Inbound) -> Response:
        record = self._manager.offer(state.offer_id)
        return JSONResponse(shapes.inbound_shape(state, None if record is None else Offer.from_bytes(record.offer)))
