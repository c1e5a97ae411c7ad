"""The fields of an invoice request, wherever they stand."""

from __future__ import annotations

from lnrecur.bolt12 import fields
from lnrecur.bolt12.errors import Breach, RuleBroken
from lnrecur.bolt12.fields import in_invreq_range
from lnrecur.bolt12.offer import OfferFields
from lnrecur.values import BITCOIN, ChainHash, Point
from lnrecur.wire.tlv import TlvRecord


class InvoiceRequestFields(OfferFields):
    """The fields of an invoice request, in the request itself or mirrored in an invoice."""

    __slots__ = ()

    invreq_metadata = fields.INVREQ_METADATA
    invreq_chain = fields.INVREQ_CHAIN
    invreq_amount = fields.INVREQ_AMOUNT
    invreq_features = fields.INVREQ_FEATURES
    quantity = fields.INVREQ_QUANTITY
    payer_note = fields.INVREQ_PAYER_NOTE
    invreq_paths = fields.INVREQ_PATHS
    bip_353_name = fields.INVREQ_BIP_353_NAME
    counter = fields.INVREQ_RECURRENCE_COUNTER
    start = fields.INVREQ_RECURRENCE_START
    prev_state = fields.INVREQ_RECURRENCE_PREV_STATE

    @property
    def payer_id(self) -> Point:
        """The payer's transient key; the same for all requests of one subscription.

        Raises:
            RuleBroken: an invoice that mirrors no request; a request always has it (BR2).
        """
        field = fields.INVREQ_PAYER_ID
        payer_id: Point | None = self.values.get(field.name)
        if payer_id is None:
            raise RuleBroken("BR2", Breach("missing", field.name, field.number))
        return payer_id

    @property
    def is_cancel(self) -> bool:
        """Whether this is the courtesy message that ends a subscription (Q6)."""
        return self.has(fields.INVREQ_RECURRENCE_CANCEL)

    @property
    def chain(self) -> ChainHash:
        """The chain to pay on."""
        return self.invreq_chain or BITCOIN

    @property
    def period_index(self) -> int:
        """The period asked for: start + counter (Q3)."""
        return (self.start or 0) + (self.counter or 0)

    def request_records(self) -> tuple[TlvRecord, ...]:
        """The records an invoice must mirror: everything of the offer and the request (V6)."""
        return tuple([record for record in self.stream.records if in_invreq_range(record[0])])
