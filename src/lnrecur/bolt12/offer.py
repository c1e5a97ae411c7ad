"""Offers: what a merchant publishes and a payer answers with an invoice request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lnrecur.bolt12 import fields, rules
from lnrecur.bolt12.fields import Dialect, Field, in_offer_range, number_table
from lnrecur.bolt12.message import Bolt12Message, broken_in_writing, write_fields
from lnrecur.bolt12.recurrence_terms import Recurrence, TimeUnit
from lnrecur.crypto.hashes import sha256
from lnrecur.values import BITCOIN, ChainHash, OfferId, Point
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.tlv import TlvRecord, TlvStream


class OfferFields(Bolt12Message):
    """The fields of an offer, wherever they stand: in the offer, or mirrored in a request or an invoice."""

    __slots__ = ("_recurrence",)

    _recurrence: Recurrence | None
    """Kept once it was asked for: a message never changes."""

    chains = fields.OFFER_CHAINS
    metadata = fields.OFFER_METADATA
    currency = fields.OFFER_CURRENCY
    amount = fields.OFFER_AMOUNT
    description = fields.OFFER_DESCRIPTION
    features = fields.OFFER_FEATURES
    absolute_expiry = fields.OFFER_ABSOLUTE_EXPIRY
    paths = fields.OFFER_PATHS
    issuer = fields.OFFER_ISSUER
    quantity_max = fields.OFFER_QUANTITY_MAX
    issuer_id = fields.OFFER_ISSUER_ID

    @property
    def recurrence(self) -> Recurrence | None:
        """What the offer says about recurrence, None for a one-off.

        Raises:
            RuleBroken: a request or an invoice mirrors fields that break O1 to O10; an offer cannot.
        """
        try:
            return self._recurrence
        except AttributeError:
            self._recurrence = self._read_recurrence()
            return self._recurrence

    def _read_recurrence(self) -> Recurrence | None:
        values = self.values
        compulsory = values.get(fields.OFFER_RECURRENCE_COMPULSORY.name)
        found = compulsory or values.get(fields.OFFER_RECURRENCE_OPTIONAL.name)
        if found is None:
            return None
        rules.enforce(rules.RECURRENCE_RULES, self)
        return Recurrence(
            unit=TimeUnit(found.time_unit),
            period=found.period,
            optional=compulsory is None,
            base=values.get(fields.OFFER_RECURRENCE_BASE.name),
            paywindow=values.get(fields.OFFER_RECURRENCE_PAYWINDOW.name),
            limit=values.get(fields.OFFER_RECURRENCE_LIMIT.name),
            dialect=self.dialect or Dialect.DRAFT,
        )

    @property
    def accepted_chains(self) -> Sequence[ChainHash]:
        """The chains the offer may be paid on; bitcoin where none is named."""
        return self.chains or (BITCOIN,)

    def offer_records(self) -> tuple[TlvRecord, ...]:
        """The records of the offer, exactly as they came."""
        return tuple([record for record in self.stream.records if in_offer_range(record[0])])

    @property
    def offer_id(self) -> OfferId:
        """SHA-256 of the offer's bytes: how Core Lightning names offers, and so do we."""
        return OfferId(sha256(*[raw for _, _, raw in self.offer_records()]))


class Offer(OfferFields):
    """An offer that breaks no rule a reader can check without a clock or a chain (BO1 to BO10, O1 to O10)."""

    __slots__ = ()

    PREFIX = "lno"
    NAME = "offer"
    TABLE = number_table(fields.OFFER_FIELDS)

    def _check(self) -> None:
        rules.enforce(rules.OFFER_RULES, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """What a merchant decides about an offer. Amounts are msat, or minor units of `currency`."""

    description: str | None = None
    amount: int | None = None
    currency: str | None = None
    issuer: str | None = None
    chains: tuple[ChainHash, ...] | None = None
    absolute_expiry: int | None = None
    quantity_max: int | None = None
    recurrence: Recurrence | None = None
    features: bytes | None = None
    issuer_id: Point | None = None
    paths: tuple[BlindedPath, ...] | None = None

    def field_values(self) -> dict[Field[Any], Any]:
        """The offer fields that say this."""
        return {
            fields.OFFER_CHAINS: self.chains,
            fields.OFFER_CURRENCY: self.currency,
            fields.OFFER_AMOUNT: self.amount,
            fields.OFFER_DESCRIPTION: self.description,
            fields.OFFER_FEATURES: self.features,
            fields.OFFER_ABSOLUTE_EXPIRY: self.absolute_expiry,
            fields.OFFER_PATHS: self.paths,
            fields.OFFER_ISSUER: self.issuer,
            fields.OFFER_QUANTITY_MAX: self.quantity_max,
            fields.OFFER_ISSUER_ID: self.issuer_id,
            **(self.recurrence.field_values() if self.recurrence is not None else {}),
        }

    @property
    def dialect(self) -> Dialect | None:
        """The dialect the offer is written in."""
        return None if self.recurrence is None else self.recurrence.dialect

    def records(self) -> list[TlvRecord]:
        """The records of these terms, without metadata: what an authentication code is made over."""
        return write_fields(self.field_values(), self.dialect)


def write_offer(terms: OfferTerms, metadata: bytes | None = None) -> Offer:
    """Write an offer.

    Raises:
        WritingError: the terms break a rule; names rule and field.
    """
    records = terms.records() + write_fields({fields.OFFER_METADATA: metadata}, terms.dialect)
    with broken_in_writing():
        return Offer(TlvStream(records))
