"""What the routes about our own subscriptions and payments do."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.http import shapes
from lnrecur.daemon.http.order_keys import order_key_of
from lnrecur.daemon.http.payer_bodies import AmendBody, ApproveBody, DeclineBody, PayBody, SubscribeBody
from lnrecur.daemon.http.payer_shapes import mandate_shown, one_off_shape, outbound_shape
from lnrecur.daemon.http.reading import body_of, the_one, wanted_by
from lnrecur.ports import OrderKey
from lnrecur.recurrence.outbound_model import Outbound, Phase
from lnrecur.service.assembly import Services
from lnrecur.service.authorising import NothingWaits
from lnrecur.values import RecurrenceId
from lnrecur.wire.text import without_uri


class PayerRoutes:
    """The handlers, over one node's services."""

    def __init__(self, services: Services) -> None:
        self._payer = services.payer
        self._keyring = services.keyring
        self._manager = services.parts.manager

    # --- subscriptions -----------------------------------------------------------------------------------------------

    async def subscribe(self, request: Request) -> Response:
        """POST /v1/subscriptions."""
        body, key = await body_of(request, SubscribeBody), await order_key_of(request)
        made = None if key is None else self.ordered(key)
        if made is not None:
            return JSONResponse(made)
        return JSONResponse(await self.order(body, key), status_code=201)

    def ordered(self, key: OrderKey) -> shapes.Shape | None:
        """What this very order made when it was given before.

        Raises:
            KeyReused: its key names another order.
        """
        made = self._payer.ordered(key)
        return None if made is None else self.shape(made)

    async def order(self, body: SubscribeBody, key: OrderKey | None = None) -> shapes.Shape:
        """Begin a new subscription.

        Raises:
            LnrecurError: it cannot be; names the field.
        """
        terms, mandate = body.to_terms(), body.mandate.to_mandate()
        await self._payer.check_rate(mandate)
        return self.shape(self._payer.subscribe(Offer.from_text(without_uri(body.offer)), mandate, terms, key))

    async def cancel(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/cancel."""
        return JSONResponse(self.stop(wanted_by(request)))

    def stop(self, wanted: str) -> shapes.Shape:
        """Stop paying the subscription whose id is, or begins with, `wanted`.

        Raises:
            UsageError: there is none, or more than one, or it is over.
        """
        return self.shape(self._payer.cancel(self.named(wanted).recurrence_id))

    async def pause(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/pause."""
        return self._answer(self._payer.pause(self._subscription(request).recurrence_id))

    async def resume(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/resume."""
        return self._answer(self._payer.resume(self._subscription(request).recurrence_id))

    async def decline(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/decline."""
        body = await body_of(request, DeclineBody)
        question = None if body.question is None else bytes.fromhex(body.question)
        return self._answer(self._payer.decline(self._subscription(request).recurrence_id, question=question))

    async def approve(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/approve."""
        body = await body_of(request, ApproveBody)
        return JSONResponse(await self.say_yes(self._subscription(request).recurrence_id, body))

    async def say_yes(self, recurrence_id: RecurrenceId, body: ApproveBody) -> shapes.Shape:
        """Agree to what waits: to the question of the body, and to nothing else.

        Raises:
            LnrecurError: nothing waits, or something else, or it cannot be agreed to like this.
        """
        state = self._payer.state(recurrence_id)
        if state.phase is not Phase.NEEDS_APPROVAL:
            raise NothingWaits(state)
        question, mandate = body.answered(), body.to_mandate(mandate_shown(state))
        if mandate is not None:
            await self._payer.check_rate(mandate)
        return self.shape(
            self._payer.approve(recurrence_id, mandate, paid_elsewhere=body.paid_elsewhere, question=question)
        )

    async def amend(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/amend."""
        body = await body_of(request, AmendBody)
        state = self._subscription(request)
        terms, changes = body.terms_changes(state.terms), body.mandate_changes()
        amended = replace(state.mandate, **changes)
        if changes.get("fiat") is not None:  # other limits can be changed while no rate is to be had
            await self._payer.check_rate(amended)
        return self._answer(self._payer.amend(state.recurrence_id, changes, terms))

    def subscriptions(self) -> list[shapes.Shape]:
        """All subscriptions that we pay."""
        return [self.shape(state) for state in self._manager.outbounds() if not state.one_off]

    def shape(self, state: Outbound) -> shapes.Shape:
        """One of them."""
        return outbound_shape(state, self._keyring.payer(state.recurrence_id).payer_id)

    def _answer(self, state: Outbound) -> Response:
        return JSONResponse(self.shape(state))

    def named(self, wanted: str) -> Outbound:
        """The subscription that we pay whose id is, or begins with, `wanted`.

        Raises:
            UsageError: there is none, or more than one.
        """
        return the_one(self._manager.find_outbounds(wanted, one_off=False), wanted, "subscription that we pay")

    def _subscription(self, request: Request) -> Outbound:
        return self.named(wanted_by(request))

    # --- single payments ---------------------------------------------------------------------------------------------

    async def pay(self, request: Request) -> Response:
        """POST /v1/payments."""
        body, key = await body_of(request, PayBody), await order_key_of(request)
        made = None if key is None else self._payer.ordered(key)
        if made is not None:
            return JSONResponse(self._one_off(made))
        terms, mandate = body.to_terms(), body.to_mandate()
        await self._payer.check_rate(mandate)
        state = self._payer.pay_once(Offer.from_text(without_uri(body.offer)), mandate, terms, key)
        return JSONResponse(self._one_off(state), status_code=201)

    async def payments(self, request: Request) -> Response:
        """GET /v1/payments: the books, and the single payments that we ordered."""
        what = self._what_was_paid_for()
        booked = [{**shapes.payment_shape(paid), **what.get(paid.subject, {})} for paid in self._manager.payments()]
        ordered = [self._one_off(state) for state in self._manager.outbounds() if state.one_off]
        return JSONResponse({"payments": booked, "ordered": ordered})

    def _what_was_paid_for(self) -> dict[bytes, shapes.Shape]:
        """By the id in the books: what it was, and whether it was a single payment."""
        offers = {record.offer_id: Offer.from_bytes(record.offer) for record in self._manager.offers()}
        known: dict[bytes, shapes.Shape] = {}
        for ours in self._manager.outbounds():
            known[ours.recurrence_id] = {"description": ours.offer.description, "one_off": ours.one_off}
        for theirs in self._manager.inbounds():
            offer = offers.get(theirs.offer_id)
            description = None if offer is None else offer.description
            known[theirs.subscription_id] = {"description": description, "one_off": not theirs.recurring}
        return known

    async def payment(self, request: Request) -> Response:
        """GET /v1/payments/{id}: a single payment that we ordered, with its events."""
        state = self._ordered(request)
        return JSONResponse({**self._one_off(state), "events": shapes.events_of(self._manager, state.recurrence_id)})

    async def cancel_payment(self, request: Request) -> Response:
        """POST /v1/payments/{id}/cancel."""
        return JSONResponse(self._one_off(self._payer.cancel(self._ordered(request).recurrence_id)))

    def _one_off(self, state: Outbound) -> shapes.Shape:
        return one_off_shape(state, self._manager.payments(state.recurrence_id))

    def _ordered(self, request: Request) -> Outbound:
        wanted = wanted_by(request)
        return the_one(self._manager.find_outbounds(wanted, one_off=True), wanted, "payment that we ordered")
