"""The routes of offers: what a merchant publishes, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lnrecur.bolt12.fields import Dialect
from lnrecur.daemon.config import Settings
from lnrecur.daemon.http import shapes
from lnrecur.daemon.http.bodies import OfferBody, ReplaceBody
from lnrecur.daemon.http.reading import body_of, only_one, wanted_by
from lnrecur.errors import UsageError
from lnrecur.ports import OfferRecord
from lnrecur.recurrence.offering import OfferStatus
from lnrecur.service.assembly import Services
from lnrecur.values import NodeId, OfferId

INTRODUCTIONS_MAX: Final = 3
"""Kept peers at which a blinded offer begins when nobody chooses; each makes its text longer."""


class OfferRoutes:
    """The handlers, over one node's services."""

    def __init__(
        self, services: Services, settings: Settings, peer: str | None, kept: Callable[[], Iterable[NodeId]]
    ) -> None:
        """`kept` answers the kept peers."""
        self._services = services
        self._manager = services.parts.manager
        self._settings = settings
        self._peer = peer
        self._kept = kept

    async def create(self, request: Request) -> Response:
        """POST /v1/offers."""
        return JSONResponse(await self.make(await body_of(request, OfferBody)), status_code=201)

    async def make(self, body: OfferBody) -> shapes.Shape:
        """Publish a new offer.

        Raises:
            LnrecurError: it cannot be; names the field.
        """
        terms = body.to_terms(Dialect(self._settings.dialect))
        via = body.introductions()
        if terms.currency is not None:
            await self._services.payee.check_rate(terms.currency)
        record = self._services.payee.create_offer(
            terms,
            body.to_policy(),
            label=body.label,
            blinded=body.blinded or bool(via),
            via=self._kept_and_connected() if via is None and body.blinded else via or (),
        )
        return self._offer(record)

    def _kept_and_connected(self) -> list[NodeId]:
        """Where paths begin unless somebody chooses: at peers that are there to stay, in the order of the settings."""
        connected = self._services.courier.peers()
        return [peer for peer in dict.fromkeys(self._kept()) if peer in connected][:INTRODUCTIONS_MAX]

    async def all(self, request: Request) -> Response:
        """GET /v1/offers."""
        return JSONResponse({"offers": self.listed()})

    def listed(self) -> list[shapes.Shape]:
        """All offers of ours."""
        return [shapes.offer_shape(record) for record in self._manager.offers()]

    async def one(self, request: Request) -> Response:
        """GET /v1/offers/{id}: by offer_id or a beginning of it."""
        return JSONResponse(self.shown(wanted_by(request)))

    def shown(self, wanted: str) -> shapes.Shape:
        """One offer, with where it is asked.

        Raises:
            UsageError: there is none of this id, or more than one.
        """
        return self._offer(self._named(wanted))

    async def retire(self, request: Request) -> Response:
        """POST /v1/offers/{id}/retire: no new subscribers; those there are go on."""
        return self._change(request, OfferStatus.RETIRED)

    async def pause(self, request: Request) -> Response:
        """POST /v1/offers/{id}/pause: serve nobody; what passes meanwhile is waived."""
        return self._change(request, OfferStatus.PAUSED)

    async def resume(self, request: Request) -> Response:
        """POST /v1/offers/{id}/resume: sell a retired or paused offer to everybody again."""
        return self._change(request, OfferStatus.OPEN)

    async def end(self, request: Request) -> Response:
        """POST /v1/offers/{id}/end: over, for all of its subscribers."""
        return self._change(request, OfferStatus.ENDED)

    async def replace(self, request: Request) -> Response:
        """POST /v1/offers/{id}/replace: over, in favour of another offer of ours."""
        body = await body_of(request, ReplaceBody)
        wanted = body.successor.lower()
        found = [record.offer_id for record in self._manager.offers() if record.offer_id.hex().startswith(wanted)]
        if not wanted or len(found) != 1:
            told = f"{len(found)} offers have an id that begins with {wanted[:64]!r}"
            raise UsageError(f"{told}: the successor is one other offer of ours", field="successor")
        return self._change(request, OfferStatus.REPLACED, found[0])

    def _change(self, request: Request, status: OfferStatus, successor: OfferId | None = None) -> Response:
        offer_id = self._named(wanted_by(request)).offer_id
        return JSONResponse(self._offer(self._services.payee.subscribers.change_offer(offer_id, status, successor)))

    def _named(self, wanted: str) -> OfferRecord:
        return only_one(self._manager.offers(), lambda record: record.offer_id.hex(), wanted, "offer")

    def _offer(self, record: OfferRecord) -> shapes.Shape:
        """An offer with where it is asked: `via` is what a subscriber may have to say."""
        shape = shapes.offer_shape(record)
        begins = shape["introductions"]
        hides = bool(begins) and self._services.courier.messenger.node_id.hex() not in begins
        addresses = [self._services.parts.router.address(NodeId(bytes.fromhex(node))) for node in begins]
        theirs = [str(address) for address in addresses if address is not None]
        ours = [] if self._peer is None else [self._peer]
        return {**shape, "hides_node": hides, "via": theirs if hides else ours, "peer_address": self._peer}
