"""From the terms of an answer to a signed invoice: register it at the money node, build the blinded payment path."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar, Final

from lnrecur.bolt12 import fields
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.invoice import VerifiedInvoice, write_invoice
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.crypto.keys import PrivateKey, derive_key
from lnrecur.onion.errors import PathImpossible
from lnrecur.onion.payment_path import AggregatedTerms, RelayTerms, build_payment_path
from lnrecur.ports import InboundEdge, MoneyNode, MoneyNodeError, NodeInfo, PaymentPath, Receivable, ReceiveOrder
from lnrecur.recurrence.effects import IssueInvoice
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.recurrence.state_token import PaidState
from lnrecur.service.keyring import Keyring
from lnrecur.values import Msat, Point, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath

_SECONDS_PER_BLOCK: Final = 600
_CLTV_SLACK_BLOCKS: Final = 1008
"""A week for shadow delays and slow blocks, as Core Lightning allows."""
_EDGES_MAX: Final = 3
INFO_S_MAX: Final = 5
"""Real seconds the node has to say what it can do."""
_LOG = logging.getLogger("lnrecur.invoicing")
_MPP_OPTIONAL: Final = (1 << 17).to_bytes(3, "big")


class NoWayIn(MoneyNodeError):
    """The money node has peers, and none of them can forward this amount to it."""

    retry: ClassVar[bool] = True


class Invoicer:
    """Makes invoices that the money node will accept payments for."""

    def __init__(self, node: MoneyNode, keyring: Keyring) -> None:
        self._node = node
        self._keyring = keyring
        self._can_hold: bool | None = None

    async def make(
        self, request: VerifiedInvoiceRequest, issued: IssueInvoice, key: PrivateKey, *, give_state: bool = False
    ) -> VerifiedInvoice:
        """Register and sign. `key` is that of invoice_node_id (V7); `give_state` puts our sealed state in (V9).

        Raises:
            MoneyNodeError: the node refused or did not answer, or no path to it carries the amount.
        """
        context = ReceiveContext(
            offer_id=request.offer_id,
            payer_id=request.payer_id,
            counter=issued.counter,
            start=issued.start,
            basetime=issued.basetime,
            amount_msat=issued.amount_msat,
            created_at=issued.created_at,
            preimage=issued.preimage,
            quantity=request.quantity,
            payer_note=request.payer_note or "",
            conversion=issued.conversion,
        )
        order = ReceiveOrder(
            preimage=issued.preimage,
            amount_msat=issued.amount_msat,
            expires_at=issued.expires_at,
            description=request.description or "",
            context=context.seal(self._keyring.contexts),
        )
        receivable = await self._node.register(order)
        paths = [(path.path, _payinfo(path)) for path in receivable.paths] or await self._build(receivable, issued)
        values = _values(issued, receivable, paths, key.point)
        if give_state and issued.counter is not None and issued.basetime is not None:
            paid = PaidState(request.offer_id, request.payer_id, issued.counter, issued.start, issued.basetime)
            values[fields.INVOICE_RECURRENCE_NEXT_STATE] = paid.seal(self._keyring.states, issued.preimage)
        return write_invoice(request, values).sign(key)

    async def can_hold(self) -> bool:
        """Whether the node says that it can fail back a payment that is not wanted; False while it does not answer."""
        if self._can_hold is None:
            try:
                async with asyncio.timeout(INFO_S_MAX):
                    self._can_hold = (await self._node.info()).can_hold
            except (MoneyNodeError, TimeoutError) as error:
                _LOG.info("whether the money node can hold payments is unknown: %s", str(error) or "no answer")
                return False
        return self._can_hold

    async def _build(self, receivable: Receivable, issued: IssueInvoice) -> list[tuple[BlindedPath, BlindedPayinfo]]:
        info = await self._node.info()
        edges = list(await self._node.inbound_edges())
        routes: list[tuple[InboundEdge, ...]] = [(edge,) for edge in edges] or [()]
        return self._paths(routes, receivable, info, issued)

    def _paths(
        self, routes: list[tuple[InboundEdge, ...]], receivable: Receivable, info: NodeInfo, issued: IssueInvoice
    ) -> list[tuple[BlindedPath, BlindedPayinfo]]:
        """The first few routes that can carry the amount: others would only cost the payer failed attempts.

        Raises:
            NoWayIn: there is none.
        """
        paths: list[tuple[BlindedPath, BlindedPayinfo]] = []
        refused: list[str] = []
        for index, route in enumerate(routes):
            try:
                path, terms = self._path(route, receivable, info, issued, index.to_bytes(4, "big"))
            except PathImpossible as error:
                refused.append(str(error))
                continue
            if not terms.htlc_minimum_msat <= issued.amount_msat <= terms.htlc_maximum_msat:
                refused.append(f"{terms.htlc_minimum_msat} to {terms.htlc_maximum_msat} msat")
                continue
            paths.append((path, terms))
            if len(paths) == _EDGES_MAX:
                break
        if not paths:
            raise NoWayIn(f"no peer of the money node forwards {issued.amount_msat} msat to it: {'; '.join(refused)}")
        return paths

    def _path(
        self, route: tuple[InboundEdge, ...], receivable: Receivable, info: NodeInfo, issued: IssueInvoice, salt: bytes
    ) -> tuple[BlindedPath, BlindedPayinfo]:
        session = derive_key(self._keyring.contexts, "payment path", issued.preimage, salt)
        blocks = (issued.expires_at - issued.created_at) // _SECONDS_PER_BLOCK + _CLTV_SLACK_BLOCKS
        cltv_of_route = sum(edge.cltv_expiry_delta for edge in route) + receivable.final_cltv_delta
        path, terms = build_payment_path(
            session,
            Point(info.node_id),
            receivable.path_id,
            [_relay(edge) for edge in route],
            max_cltv=info.block_height + blocks + cltv_of_route,
            htlc_minimum=Msat(1),
            final_cltv_delta=receivable.final_cltv_delta,
        )
        return path, _payinfo(terms)


def _payinfo(terms: AggregatedTerms | PaymentPath) -> BlindedPayinfo:
    return BlindedPayinfo(
        terms.fee_base_msat,
        terms.fee_proportional_millionths,
        terms.cltv_expiry_delta,
        terms.htlc_minimum_msat,
        terms.htlc_maximum_msat,
    )


def _relay(edge: InboundEdge) -> RelayTerms:
    return RelayTerms(
        edge.peer,
        ShortChannelId(edge.short_channel_id),
        edge.fee_base_msat,
        edge.fee_proportional_millionths,
        edge.cltv_expiry_delta,
        edge.htlc_minimum_msat,
        edge.htlc_maximum_msat,
    )


def _values(
    issued: IssueInvoice, receivable: Receivable, paths: list[tuple[BlindedPath, BlindedPayinfo]], node_id: Point
) -> dict[Field[Any], Any]:
    return {
        fields.INVOICE_PATHS: tuple(path for path, _ in paths),
        fields.INVOICE_BLINDEDPAY: tuple(payinfo for _, payinfo in paths),
        fields.INVOICE_CREATED_AT: issued.created_at,
        fields.INVOICE_RELATIVE_EXPIRY: issued.expires_at - issued.created_at,
        fields.INVOICE_PAYMENT_HASH: receivable.payment_hash,
        fields.INVOICE_AMOUNT: issued.amount_msat,
        fields.INVOICE_NODE_ID: node_id,
        fields.INVOICE_FEATURES: _MPP_OPTIONAL if receivable.takes_parts else None,
        fields.INVOICE_RECURRENCE_BASETIME: issued.basetime,
    }
