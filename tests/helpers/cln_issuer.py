"""A model of Core Lightning's issuer (plugins/offers_invreq_hook.c): it decides as v26.06.6 was seen to, mistakes too.

Nothing of lnrecur's engine is in it but the codecs and the calendar, which agrees with the 11,716 dates of Core
Lightning's own code. tests/vectors/test_cln_issuer_model.py holds it to every recorded request. What it knows is what
Core Lightning knows: offers that are open or not, and invoices under labels of offer, payer and counter. The numbers in
brackets are those of the deviations in lnrecur.recurrence.habits. Git master (August 2026) differs in two: an invoice
that expired unpaid is issued anew [11], and a cancelled one is called so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from lnrecur.bolt12 import Dialect, InvoiceRequest, Recurrence
from lnrecur.bolt12.errors import Bolt12Error, NotSigned
from lnrecur.bolt12.offer import OfferFields
from lnrecur.recurrence.calendar import period_start
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.values import REGTEST, ChainHash
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import encode_text
from lnrecur.wire.tlv import TlvStream

U64_MAX = 2**64 - 1
ONE_OFF_EXPIRY_S = 7200
OVERPAY_MAX = 5
FIRST_WINDOW_S = 60


class Version(Enum):
    """Which Core Lightning."""

    V26_06 = "v26.06"
    MASTER = "master"


@dataclass(frozen=True)
class Label:
    """Under what an invoice is stored: nothing else makes a request the same or another one [5]."""

    offer_id: bytes
    payer_id: bytes
    counter: int


@dataclass
class Stored:
    """An invoice, or the empty one that a cancel leaves behind."""

    label: Label
    request: InvoiceRequest
    """The request it answers, and mirrors whoever asks [5]."""
    amount_msat: int
    created_at: int
    expires_at: int
    basetime: int | None
    paid: bool = False
    cancelled: bool = False
    withdrawn: bool = False
    data: bytes | None = None
    """Its bytes, once somebody has written it."""

    def status(self, now: int) -> str:
        if self.paid:
            return "paid"
        return "expired" if self.withdrawn or self.cancelled or now > self.expires_at else "unpaid"


@dataclass(frozen=True)
class Refused:
    text: str


class _No(Exception):
    """A refusal on its way out."""


@dataclass
class ClnIssuer:
    version: Version = Version.V26_06
    chain: ChainHash = REGTEST
    rates: Mapping[str, ExchangeRate] = field(default_factory=dict)
    open: dict[bytes, bool] = field(default_factory=dict)
    """Its offers by id: whether they are sold."""
    single_use: set[bytes] = field(default_factory=set)
    invoices: dict[Label, Stored] = field(default_factory=dict)

    # --- what its owner does -----------------------------------------------------------------------------------------

    def publish(self, offer_id: bytes, *, single_use: bool = False) -> None:
        self.open[offer_id] = True
        if single_use:
            self.single_use.add(offer_id)

    def disable(self, offer_id: bytes) -> None:
        self.open[offer_id] = False
        for stored in self.invoices.values():
            if stored.label.offer_id == offer_id and not stored.paid:
                stored.withdrawn = True

    def forget(self, label: Label) -> None:
        """delinvoice [14]."""
        del self.invoices[label]

    def paid(self, label: Label) -> None:
        self.invoices[label].paid = True
        if label.offer_id in self.single_use:
            self.disable(label.offer_id)

    # --- what others ask ---------------------------------------------------------------------------------------------

    def asked(self, data: bytes, now: int) -> Stored | Refused | None:
        """The invoice, perhaps one of before; a refusal; or nothing, for a cancel that it took or lost."""
        try:
            request = self._read(data)
            recurrence = seen_in(request)
            label = Label(request.offer_id, request.payer_id, request.counter or 0)
            self._check_sale(request, recurrence, now)
            amount, basetime, ends = self._amount(request), None, now + ONE_OFF_EXPIRY_S
            if recurrence is not None:
                basetime, ends = self._times(request, recurrence, label, now)
                amount = _begun(request, recurrence, basetime, amount, now)
            if request.is_cancel:
                self._cancel(label, request, basetime, now)
                return None
            return self._create(Stored(label, request, amount, now, max(now + 1, ends), basetime), now)
        except _No as refusal:
            return Refused(str(refusal))

    def _read(self, data: bytes) -> InvoiceRequest:
        if 0 not in {record.type for record in TlvStream.from_bytes(data)}:
            raise _No("Missing invreq_metadata")
        try:
            request = InvoiceRequest.from_bytes(data)
        except WireError as error:
            raise _No("invalid invreq data") from error
        except Bolt12Error as error:
            raise _No("unknown feature bit 100" if error.rule == "BR4" else "invalid invreq data") from error
        if request.chain != self.chain:
            raise _No("wrong chain")
        return request

    def _check_sale(self, request: InvoiceRequest, recurrence: Recurrence | None, now: int) -> None:
        if request.offer_id not in self.open:
            raise _No("Unknown offer")
        if not self.open[request.offer_id]:
            raise _No("Offer no longer available")
        expiry = request.absolute_expiry
        if not request.counter and expiry is not None and now >= expiry:
            raise _No("Offer expired")
        most, quantity = request.quantity_max, request.quantity
        if most is not None:
            if quantity is None:
                raise _No("missing invreq_quantity")
            if quantity == 0:
                raise _No("quantity zero invalid")
            if most and quantity > most:
                raise _No(f"quantity {quantity} > {most}")
        elif quantity is not None:
            raise _No("unexpected invreq_quantity")
        try:
            request.verify_signature()
        except NotSigned as error:
            raise _No("bad signature") from error
        if recurrence is not None and request.counter is None:  # optional or not [10]
            raise _No("missing invreq_recurrence_counter")
        if recurrence is None:
            for name, value in (("counter", request.counter), ("start", request.start)):
                if value is not None:
                    raise _No(f"unexpected invreq_recurrence_{name}")
            if request.is_cancel:
                raise _No("unexpected invreq_recurrence_cancel")

    def _amount(self, request: InvoiceRequest) -> int:
        asked = request.invreq_amount
        if request.amount is None:
            if asked is None and not request.is_cancel:
                raise _No("missing invreq_amount")
            return asked or 0
        price = request.amount
        if request.currency is not None:
            price = self.rates[request.currency].msat(price)
        price *= 1 if request.quantity is None else request.quantity
        if price > U64_MAX:
            raise _No(f"quantity {request.quantity} causes overflow")
        if asked is None:
            return price
        if asked < price:
            raise _No(f"Amount must be at least {price}msat")
        if asked // price > OVERPAY_MAX:
            raise _No(f"Amount vastly exceeds {price}msat")
        return asked

    def _times(self, request: InvoiceRequest, recurrence: Recurrence, label: Label, now: int) -> tuple[int, int]:
        """The start of period 0, and the last second in which this period may be paid."""
        counter = request.counter
        assert counter is not None
        before = None
        if counter:
            before = self.invoices.get(replace(label, counter=counter - 1))
            if before is None:
                raise _No(f"No previous invoice #{counter - 1}")
            if before.status(now) != "paid":
                raise _No(f'Previous invoice #{counter - 1} status "{before.status(now)}"')
        if recurrence.base is not None and request.start is None:
            raise _No("missing invreq_recurrence_start")
        if recurrence.base is None and request.start is not None:
            raise _No("unexpected invreq_recurrence_start")
        index = (request.start or 0) + counter  # whatever the start was before [6]
        if recurrence.limit is not None and index > recurrence.limit:
            raise _No(f"period_index {index} too great")
        basetime = now if before is None else before.basetime
        if recurrence.base is not None:
            basetime = recurrence.base.basetime
        assert basetime is not None
        opens, ends = window(recurrence, basetime, index)
        if now < opens:
            raise _No(f"period_index {index} too early (start {opens})")
        if now > ends:
            raise _No(f"period_index {index} too late (ended {ends})")
        return basetime, ends

    def _cancel(self, label: Label, request: InvoiceRequest, basetime: int | None, now: int) -> None:
        """[3]: where an invoice of this label is stored already, nothing happens. [4]: counter 0 is as good as any."""
        if label not in self.invoices:
            self.invoices[label] = Stored(label, request, 0, now, now, basetime, cancelled=True)

    def _create(self, wanted: Stored, now: int) -> Stored:
        known = self.invoices.get(wanted.label)
        if known is None:
            self.invoices[wanted.label] = wanted
            return wanted
        status = known.status(now)
        if status == "paid":
            raise _No("Internal error")
        if status == "unpaid":
            return known  # whatever this request says [5]
        if self.version is Version.V26_06:
            raise _No("invoice expired (cancelled?)")
        if known.cancelled:
            raise _No("invoice cancelled")
        self.invoices[wanted.label] = wanted  # [11]
        return wanted


def seen_in(message: OfferFields) -> Recurrence | None:
    """The recurrence, in Core Lightning's own numbers; odd ones of the draft mean nothing to it [1]."""
    recurrence = message.recurrence
    return recurrence if recurrence is not None and recurrence.dialect is Dialect.CLN else None


def _begun(request: InvoiceRequest, recurrence: Recurrence, basetime: int, amount: int, now: int) -> int:
    """[2]: any request inside a proportional period."""
    index = (request.start or 0) + (request.counter or 0)
    begins = period_start(basetime, recurrence.unit, recurrence.period, index)
    return 1 if recurrence.proportional and now >= begins else amount


def window(recurrence: Recurrence, basetime: int, index: int) -> tuple[int, int]:
    """First and last second in which a period may be paid: both count [8]."""

    def start(number: int) -> int:
        return period_start(basetime, recurrence.unit, recurrence.period, number)

    paywindow = recurrence.paywindow
    if paywindow is None:
        return (start(index - 1) if index else 0), start(index + 1) - 1
    after = paywindow.seconds_after
    if index == 0 and recurrence.base is None:
        after = max(after, FIRST_WINDOW_S)  # [9]
    return max(0, start(index) - paywindow.seconds_before), start(index) + after


def framed(request: bytes, text: str) -> str:
    """A refusal as it goes out: the request is quoted, but not for an internal error."""
    return text if text == "Internal error" else f"Failed invreq {encode_text('lnr', request)}: {text}"
