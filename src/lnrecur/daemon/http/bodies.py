"""What the API accepts, as types; everything unknown, ill-typed or out of range is refused with the field's name.

Ranges are those of the wire and of the books (a signed 64-bit column); what a combination of fields means is checked
where it becomes a value, and what BOLT 12 says about it is left to `bolt12`.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from lnrecur.bolt12 import Dialect, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.crypto.errors import CryptoError
from lnrecur.crypto.keys import parse_point
from lnrecur.errors import UsageError
from lnrecur.recurrence.offering import Late, OfferPolicy, Windows
from lnrecur.values import Msat, NodeId
from lnrecur.wire.integers import U32_MAX

I64_MAX: Final = 2**63 - 1
"""Highest number the books can hold; far above all money there is, and all time there will be."""
TEXT_MAX: Final = 2000
"""Longest text in an offer or a request, in characters: all of them together fit into one onion message."""
OFFER_TEXT_MAX: Final = 30_000
"""Longest offer we subscribe to, in characters: the request mirrors it and has to fit into one onion message."""
VIA_MAX: Final = 16
_DEFAULT_POLICY = OfferPolicy()

Amount = Annotated[int, Meta(ge=0, le=I64_MAX)]
Moment = Annotated[int, Meta(ge=0, le=I64_MAX)]
Count = Annotated[int, Meta(ge=0, le=I64_MAX)]
Expiry = Annotated[int, Meta(ge=1, le=U32_MAX)]
U32 = Annotated[int, Meta(ge=0, le=U32_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]
Address = Annotated[str, Meta(max_length=400)]
NodeIdText = Annotated[str, Meta(max_length=66)]

Choice = TypeVar("Choice", bound=Enum)


class InvalidBody(UsageError):
    """A request's body is no JSON document, or not of the form the route takes; names the field."""

    def __init__(self, told: str, field: str) -> None:
        super().__init__(f"{field}: {told}", field=field)


class RecurrenceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The recurrence of a new offer. `payments` is a count; on the wire it becomes the highest index (O11)."""

    unit: str
    period: U32
    optional: bool = False
    basetime: Moment | None = None
    proportional: bool = False
    seconds_before: U32 | None = None
    seconds_after: U32 | None = None
    payments: U32 | None = None
    dialect: str | None = None

    def to_recurrence(self, dialect: Dialect) -> Recurrence:
        """The value the offer is written from.

        Raises:
            InvalidBody: a combination that means nothing.
        """
        units = {"seconds": TimeUnit.SECONDS, "days": TimeUnit.DAYS, "months": TimeUnit.MONTHS}
        if self.unit not in units:
            raise InvalidBody(f"one of {', '.join(units)}, not {self.unit!r}", "recurrence.unit")
        if self.payments is not None and self.payments < 2:
            told = "fewer than 2 cannot be written as a limit [O5, O11]; for a single payment leave the recurrence out"
            raise InvalidBody(told, "recurrence.payments")
        if self.proportional and self.basetime is None:
            told = "proportional prices need a basetime: without one every subscriber begins with a whole period"
            raise InvalidBody(told, "recurrence.proportional")
        return Recurrence(
            unit=units[self.unit],
            period=self.period,
            optional=self.optional,
            base=None if self.basetime is None else RecurrenceBase(int(self.proportional), self.basetime),
            paywindow=self._paywindow(),
            limit=None if self.payments is None else self.payments - 1,
            dialect=dialect if self.dialect is None else one_of(Dialect, self.dialect, "recurrence.dialect"),
        )

    def _paywindow(self) -> Paywindow | None:
        before, after = self.seconds_before, self.seconds_after
        if before is None and after is None:
            return None
        for name, value in (("seconds_before", before), ("seconds_after", after)):
            if value is None:
                told = "missing: a pay window has both seconds_before and seconds_after"
                raise InvalidBody(told, f"recurrence.{name}")
        if not before and not after:
            raise InvalidBody("a pay window of no length: nothing could ever be paid", "recurrence.seconds_after")
        return Paywindow(before or 0, after or 0)


class OfferBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new offer."""

    amount_msat: Amount | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    amount_minor: Amount | None = None
    description: Text | None = None
    issuer: Text | None = None
    absolute_expiry: Moment | None = None
    quantity_max: Count | None = None
    recurrence: RecurrenceBody | None = None
    label: Text = ""
    blinded: bool = False
    via_peers: Annotated[list[NodeIdText], Meta(max_length=VIA_MAX)] | None = None
    windows: str = _DEFAULT_POLICY.windows.value
    first_in_window: bool = _DEFAULT_POLICY.first_in_window
    invoice_expiry_s: Expiry = _DEFAULT_POLICY.invoice_expiry_s
    fiat_expiry_s: Expiry = _DEFAULT_POLICY.fiat_expiry_s
    early_s: U32 = _DEFAULT_POLICY.early_s
    grace_s: U32 = _DEFAULT_POLICY.grace_s
    arrears_max: U32 | None = _DEFAULT_POLICY.arrears_max
    amount_min_msat: Amount | None = None
    overask_max: Annotated[int, Meta(ge=1, le=U32_MAX)] = _DEFAULT_POLICY.overask_max
    after_window: str = _DEFAULT_POLICY.after_window.value
    after_cancel: str = _DEFAULT_POLICY.after_cancel.value
    after_end: str = _DEFAULT_POLICY.after_end.value
    give_state: bool = _DEFAULT_POLICY.give_state

    def to_terms(self, dialect: Dialect) -> OfferTerms:
        """What the offer will say.

        Raises:
            InvalidBody: a combination that means nothing.
        """
        if (self.currency is None) != (self.amount_minor is None):
            missing = "amount_minor" if self.amount_minor is None else "currency"
            raise InvalidBody("missing: a price in a currency has currency and amount_minor", missing)
        if self.currency is not None and self.amount_msat is not None:
            raise InvalidBody("an offer has one price: in msat or in a currency", "amount_msat")
        recurrence = None if self.recurrence is None else self.recurrence.to_recurrence(dialect)
        return OfferTerms(
            description=self.description,
            amount=self.amount_msat if self.currency is None else self.amount_minor,
            currency=self.currency,
            issuer=self.issuer,
            absolute_expiry=self.absolute_expiry,
            quantity_max=self.quantity_max,
            recurrence=recurrence,
        )

    def introductions(self) -> list[NodeId] | None:
        """The peers at which the offer's paths shall begin; None where that was not said.

        Raises:
            InvalidBody: a node id that is none.
        """
        if self.via_peers is None:
            return None
        return [_node_id(text, f"via_peers[{position}]") for position, text in enumerate(self.via_peers)]

    def to_policy(self) -> OfferPolicy:
        """What it does not say.

        Raises:
            InvalidBody: a word that is none, or a policy that this offer has no use for.
        """
        if self.amount_min_msat is not None and (self.amount_msat is not None or self.currency is not None):
            raise InvalidBody("is for offers that leave the amount to the payer", "amount_min_msat")
        windows = one_of(Windows, self.windows, "windows")
        if self.arrears_max is not None and windows is Windows.STRICT:
            raise InvalidBody("is for lenient windows: under strict ones nothing may be owed", "arrears_max")
        if self.grace_s and windows is Windows.LENIENT:
            raise InvalidBody("is for strict windows: lenient ones serve late periods anyway", "grace_s")
        return OfferPolicy(
            windows=windows,
            invoice_expiry_s=self.invoice_expiry_s,
            first_in_window=self.first_in_window,
            payments_max=None if self.recurrence is None else self.recurrence.payments,
            early_s=self.early_s,
            grace_s=self.grace_s,
            arrears_max=self.arrears_max,
            fiat_expiry_s=self.fiat_expiry_s,
            amount_min_msat=None if self.amount_min_msat is None else Msat(self.amount_min_msat),
            overask_max=self.overask_max,
            after_window=one_of(Late, self.after_window, "after_window"),
            after_cancel=one_of(Late, self.after_cancel, "after_cancel"),
            after_end=one_of(Late, self.after_end, "after_end"),
            give_state=self.give_state,
        )


class ReplaceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The offer, by the beginning of its id, that takes the place of another."""

    successor: Annotated[str, Meta(max_length=64)]


class WaiveBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How many periods to forgive."""

    periods: Annotated[int, Meta(ge=1, le=100)] = 1


class EndBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Why a subscription ends; for our own log."""

    why: Text = ""


def _node_id(text: str, field: str) -> NodeId:
    try:
        return NodeId(parse_point(bytes.fromhex(text)))
    except (ValueError, CryptoError) as error:
        raise InvalidBody("a node id is 66 hexadecimal digits of a public key", field) from error


def one_of(choices: type[Choice], word: str, field: str) -> Choice:
    """The choice that a word names.

    Raises:
        InvalidBody: none; the text lists those there are.
    """
    for choice in choices:
        if choice.value == word:
            return choice
    raise InvalidBody(f"one of {', '.join(choice.value for choice in choices)}, not {word!r}", field)
