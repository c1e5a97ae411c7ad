"""A model of Core Lightning's payer (plugins/fetchinvoice.c, lightningd/offer.c): what it asks, refuses and accepts.

tests/vectors/test_cln_payer_model.py holds it to every recorded `fetchinvoice` and `cancelrecurringinvoice` of a
subscription: the same requests to the byte (but the signature, which has random input there), the same refusals to ask,
the same verdict on every invoice. Git master (August 2026) has none of the checks before sending: whatever its user
says is asked.
"""

from dataclasses import dataclass, field
from typing import Any

from helpers.cln_issuer import Version, seen_in, window
from helpers.forged import forge_request
from lnrecur.bolt12 import Invoice, Offer, Recurrence, fields
from lnrecur.bolt12.errors import Bolt12Error, NotSigned
from lnrecur.bolt12.fields import Field, in_invreq_range
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.values import BITCOIN, REGTEST, ChainHash, PaymentHash
from lnrecur.wire.tlv import TlvStream

CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class ClnError(Exception):
    """What `lightning-cli` shows."""


@dataclass(frozen=True)
class PaidOnce:
    """A payment under a label, as its wallet remembers it."""

    offer_id: bytes
    label: str
    counter: int
    start: int | None
    basetime: int | None


@dataclass
class ClnPayer:
    node_key: PrivateKey
    base: bytes
    """makesecret("node-alias-base"), 32 bytes."""
    version: Version = Version.V26_06
    chain: ChainHash = REGTEST
    payments: list[PaidOnce] = field(default_factory=list)
    under: dict[PaymentHash, PaidOnce] = field(default_factory=dict)
    """What each invoice would be the payment of."""

    def fetch(
        self, offer: Offer, label: str | None, counter: int | None, now: int, *, start: int | None = None,
        note: str | None = None, cancel: bool = False, metadata: bytes | None = None,
    ) -> bytes:  # fmt: skip
        """`fetchinvoice`, and with `cancel` `cancelrecurringinvoice`: the request that goes out.

        Raises:
            ClnError: it does not ask that.
        """
        recurrence = seen_in(offer)
        if recurrence is None:
            raise ClnError("unnecessary invreq_recurrence_counter")
        if cancel and counter == 0:
            raise ClnError("recurrence_counter: Must be non-zero")
        if counter is None:
            raise ClnError("needs recurrence_counter")
        if label is None:
            raise ClnError("needs recurrence_label")
        if recurrence.base is None and start is not None:
            raise ClnError("unnecessary recurrence_start")
        if metadata is not None:
            raise ClnError("Cannot set payer_metadata for recurring offers")
        if recurrence.base is not None and start is None:
            start = 0
        if self.version is Version.V26_06:
            self._check(offer, recurrence, label, counter, start, now)
        return self._write(offer, label, counter, start, note, cancel=cancel)

    def _check(
        self, offer: Offer, recurrence: Recurrence, label: str, counter: int, start: int | None, now: int
    ) -> None:
        before = self._before(offer, label, counter, start) if counter else None
        index = (start or 0) + counter
        if recurrence.limit is not None and index > recurrence.limit:
            raise ClnError(f"Can't send invreq for period {index} (limit {recurrence.limit})")
        basetime = None if before is None else before.basetime
        if recurrence.base is not None:
            basetime = recurrence.base.basetime
        if basetime is None:
            return
        opens, ends = window(recurrence, basetime, index)
        if now < opens:
            raise ClnError(f"Too early: can't send until time {opens} (in {opens - now} secs)")
        if now > ends:
            raise ClnError(f"Too late: expired time {ends} ({now - ends} secs ago)")

    def _before(self, offer: Offer, label: str, counter: int, start: int | None) -> PaidOnce:
        paid = [one for one in self.payments if (one.offer_id, one.label) == (offer.offer_id, label)]
        if not paid:
            raise ClnError("No previous payment attempted for this label and offer")
        if paid[0].start != start:
            raise ClnError(f"recurrence_start was previously {paid[0].start}")
        found = [one for one in paid if one.counter == counter - 1]
        if not found:
            raise ClnError(f"previous invoice has not been paid (last was {max(one.counter for one in paid)})")
        return found[0]

    def _write(
        self, offer: Offer, label: str, counter: int, start: int | None, note: str | None, *, cancel: bool
    ) -> bytes:
        metadata = sha256(self.base, offer.offer_id, label.encode())
        tweak = int.from_bytes(sha256(self.base, metadata), "big")
        secret = (int.from_bytes(self.node_key.secret, "big") + tweak) % CURVE_ORDER
        key = PrivateKey(secret.to_bytes(32, "big"))
        values: dict[Field[Any], Any] = {
            fields.INVREQ_METADATA: metadata,
            fields.INVREQ_CHAIN: None if self.chain == BITCOIN else self.chain,
            fields.INVREQ_FEATURES: b"",
            fields.INVREQ_PAYER_ID: key.point,
            fields.INVREQ_PAYER_NOTE: note,
            fields.INVREQ_RECURRENCE_COUNTER: counter,
            fields.INVREQ_RECURRENCE_START: start,
            fields.INVREQ_RECURRENCE_CANCEL: True if cancel else None,
        }
        return forge_request(offer, values, offer.dialect, key).to_bytes()  # it is not held to our writer's rules

    # --- what comes back ---------------------------------------------------------------------------------------------

    def accept(self, offer: Offer, label: str, request: bytes, data: bytes) -> Invoice:
        """The checks of `fetchinvoice`: the mirror to the byte, the node, the signature, and that a basetime is there.

        Raises:
            ClnError: it names the field.
        """
        asked, invoice = TlvStream.from_bytes(request), TlvStream.from_bytes(data)
        if _mirrored(asked) != _mirrored(invoice):
            raise ClnError("Incorrect invoice_request match field")
        try:
            read = Invoice.from_bytes(data)
        except Bolt12Error as error:
            raise ClnError("Incorrect invoice_recurrence_basetime field") from error
        if read.node_id != (offer.issuer_id or (offer.paths or ())[0].hops[-1].blinded_node_id):
            raise ClnError("Incorrect invoice_node_id field")
        try:
            read.verify_signature()
        except NotSigned as error:
            raise ClnError("Incorrect signature field") from error
        if read.counter is not None and read.basetime is None:
            raise ClnError("Incorrect invoice_recurrence_basetime field")
        paid = PaidOnce(offer.offer_id, label, read.counter or 0, read.start, read.basetime)
        self.under[read.payment_hash] = paid
        return read

    def paid(self, payment_hash: PaymentHash) -> None:
        """`pay` with the label has succeeded."""
        self.payments.append(self.under[payment_hash])


def _mirrored(stream: TlvStream) -> list[bytes]:
    return [record.raw for record in stream if in_invreq_range(record.type)]
