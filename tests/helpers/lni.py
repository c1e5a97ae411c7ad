"""A real bolt12 invoice for a pay order that a test has made up: signed, by a key of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lnrecur.bolt12 import fields
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.fields import Dialect, Field
from lnrecur.bolt12.invoice_request import sign_stream
from lnrecur.bolt12.message import write_fields
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import PayOrder
from lnrecur.values import REGTEST, ChainHash, Point
from lnrecur.wire.tlv import TlvStream

KEY = PrivateKey(bytes(31) + b"\x11")
PAYER = PrivateKey(bytes(31) + b"\x12")


def signed_invoice(
    order: PayOrder,
    *,
    created_at: int,
    chain: ChainHash = REGTEST,
    dialect: Dialect | None = None,
    more: Mapping[Field[Any], Any] | None = None,
) -> bytes:
    """The invoice that the order says it is for: its hash, amount, expiry and paths; `more` are further fields."""
    infos = tuple(
        BlindedPayinfo(
            path.fee_base_msat,
            path.fee_proportional_millionths,
            path.cltv_expiry_delta,
            path.htlc_minimum_msat,
            path.htlc_maximum_msat,
        )
        for path in order.paths
    )
    values = {
        fields.OFFER_DESCRIPTION: order.description or "coffee",
        fields.OFFER_ISSUER_ID: Point(KEY.point),
        fields.INVREQ_METADATA: bytes(16),
        fields.INVREQ_CHAIN: chain,
        fields.INVREQ_PAYER_ID: Point(PAYER.point),
        fields.INVREQ_AMOUNT: order.amount_msat,
        fields.INVOICE_PATHS: tuple(path.path for path in order.paths),
        fields.INVOICE_BLINDEDPAY: infos,
        fields.INVOICE_CREATED_AT: created_at,
        fields.INVOICE_RELATIVE_EXPIRY: order.expires_at - created_at,
        fields.INVOICE_PAYMENT_HASH: order.payment_hash,
        fields.INVOICE_AMOUNT: order.amount_msat,
        fields.INVOICE_NODE_ID: Point(KEY.point),
    }
    stream, _ = sign_stream("invoice", TlvStream(write_fields({**values, **(more or {})}, dialect)), KEY)
    return stream.to_bytes()
