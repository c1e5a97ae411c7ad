"""What each route does: read the request, ask the service, shape the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur import __version__
from lnrecur.bolt12.fields import Dialect
from lnrecur.bolt12.offer import Offer
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http import shapes
from lnrecur.daemon.http.bodies import ApproveBody, OfferBody, SubscribeBody
from lnrecur.errors import UsageError
from lnrecur.recurrence.outbound_model import Outbound
from lnrecur.service.addresses import parse_address
from lnrecur.service.assembly import Services
from lnrecur.values import RecurrenceId, chain_name

B = TypeVar("B", bound=msgspec.Struct)
T = TypeVar("T")
EVENTS_MAX: Final = 1000
WAIT_S_MAX: Final = 30.0
_WAIT_STEP_S: Final = 0.1


class NotFound(UsageError):
    """There is no such thing."""


class Routes:
    """The handlers, over one node's services."""

    def __init__(self, services: Services, settings: Settings, peer: str | None) -> None:
        self._services = services
        self._manager = services.parts.manager
        self._settings = settings
        self._peer = peer

    async def info(self, request: Request) -> Response:
        """GET /v1/info: who we are and what moves the money."""
        node = await self._services.parts.node.info()
        link = self._services.parts.link
        return JSONResponse(
            {
                "version": __version__,
                "node_id": self._services.keyring.node_id.hex(),
                "peer_address": self._peer,
                "chain": chain_name(self._services.parts.chain),
                "peers": sorted(peer.hex() for peer in link.peers()),
                "money_node": {
                    "kind": node.kind,
                    "node_id": node.node_id.hex(),
                    "play_money": node.is_play_money,
                    "can_hold": node.can_hold,
                },
            }
        )

    # --- offers ------------------------------------------------------------------------------------------------------

    async def create_offer(self, request: Request) -> Response:
        """POST /v1/offers."""
        body = await _body(request, OfferBody)
        terms = body.to_terms(Dialect(self._settings.dialect))
        record = self._services.payee.create_offer(terms, body.to_policy(), label=body.label, blinded=body.blinded)
        return JSONResponse({**shapes.offer_shape(record), "peer_address": self._peer}, status_code=201)

    async def offers(self, request: Request) -> Response:
        """GET /v1/offers."""
        return JSONResponse({"offers": [shapes.offer_shape(record) for record in self._manager.offers()]})

    async def offer(self, request: Request) -> Response:
        """GET /v1/offers/{id}: by offer_id or a beginning of it."""
        record = _only(self._manager.offers(), lambda record: record.offer_id.hex(), request, "offer")
        return JSONResponse({**shapes.offer_shape(record), "peer_address": self._peer})

    # --- subscriptions -----------------------------------------------------------------------------------------------

    async def subscribe(self, request: Request) -> Response:
        """POST /v1/subscriptions."""
        body = await _body(request, SubscribeBody)
        for address in body.via:
            parse_address(address)
        offer = Offer.from_text(body.offer.strip().lower().removeprefix("lightning:"))
        state = self._services.payer.subscribe(offer, body.mandate.to_mandate(), body.to_terms())
        return JSONResponse(self._outbound(state), status_code=201)

    async def subscriptions(self, request: Request) -> Response:
        """GET /v1/subscriptions[?role=payer|payee]."""
        role = request.query_params.get("role")
        if role not in (None, "payer", "payee"):
            raise UsageError(f"role is payer or payee, not {role!r}", field="role")
        found = [shape for shape in self._all() if role in (None, shape["role"])]
        return JSONResponse({"subscriptions": found})

    async def subscription(self, request: Request) -> Response:
        """GET /v1/subscriptions/{id}: with its payments and events."""
        shape = _only(self._all(), lambda shape: shape["id"], request, "subscription")
        subject = bytes.fromhex(shape["id"])
        shape["book"] = [shapes.payment_shape(payment) for payment in self._manager.payments(subject)]
        return JSONResponse({**shape, "events": self._events_of(subject)})

    async def cancel(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/cancel."""
        return JSONResponse(self._outbound(self._services.payer.cancel(self._ours(request))))

    async def approve(self, request: Request) -> Response:
        """POST /v1/subscriptions/{id}/approve."""
        body = await _body(request, ApproveBody)
        mandate = None if body.mandate is None else body.mandate.to_mandate()
        state = self._services.payer.approve(self._ours(request), mandate)
        return JSONResponse(self._outbound(state))

    def _outbound(self, state: Outbound) -> shapes.Shape:
        return shapes.outbound_shape(state, self._services.keyring.payer(state.recurrence_id).payer_id)

    def _all(self) -> list[shapes.Shape]:
        offers = {record.offer_id: Offer.from_bytes(record.offer) for record in self._manager.offers()}
        paid = [self._outbound(state) for state in self._manager.outbounds()]
        return paid + [shapes.inbound_shape(state, offers.get(state.offer_id)) for state in self._manager.inbounds()]

    def _ours(self, request: Request) -> RecurrenceId:
        states = self._manager.outbounds()
        found = _only(states, lambda state: state.recurrence_id.hex(), request, "subscription that we pay")
        return found.recurrence_id

    def _events_of(self, subject: bytes) -> list[shapes.Shape]:
        found: list[shapes.Shape] = []
        after = 0
        while batch := self._manager.events(after, EVENTS_MAX):
            found += [shapes.event_shape(event) for event in batch if event.subject == subject]
            after = batch[-1].id
        return found

    # --- books and events --------------------------------------------------------------------------------------------

    async def payments(self, request: Request) -> Response:
        """GET /v1/payments."""
        return JSONResponse({"payments": [shapes.payment_shape(payment) for payment in self._manager.payments()]})

    async def events(self, request: Request) -> Response:
        """GET /v1/events?after=ID&limit=N&wait=SECONDS: the log behind an id, waiting for news if there are none."""
        after = _number(request, "after", 0, 2**63 - 1)
        limit = _number(request, "limit", 100, EVENTS_MAX)
        wait = min(float(_number(request, "wait", 0, 3600)), WAIT_S_MAX)
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while not (found := self._manager.events(after, limit)) and loop.time() < until:
            await asyncio.sleep(_WAIT_STEP_S)
        return JSONResponse({"events": [shapes.event_shape(event) for event in found]})


async def _body(request: Request, kind: type[B]) -> B:
    return msgspec.json.decode(await request.body() or b"{}", type=kind)


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise UsageError(f"{name} is a whole number from 0 to {most}, not {text!r}", field=name)
    return int(text)


def _only(things: Sequence[T], name: Callable[[T], str], request: Request, what: str) -> T:
    """The one thing whose id is, or begins with, the id of the path."""
    wanted: Any = request.path_params["id"].lower()
    found = [thing for thing in things if name(thing).startswith(wanted)]
    if not found or not wanted:
        raise NotFound(f"no {what} with an id that begins with {wanted!r}", field="id")
    if len(found) > 1:
        raise UsageError(f"{len(found)} ids begin with {wanted!r}: write more of it", field="id")
    return found[0]
