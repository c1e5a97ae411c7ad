"""Offers: what a merchant decides becomes bytes, in either dialect, or is refused with the rule."""

import pytest
from bolt12_examples import MERCHANT, PATH, an_offer, terms

from lnrecur.bolt12 import Dialect, Offer, OfferTerms, Recurrence, TimeUnit, decode, fields, write_offer
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import WritingError
from lnrecur.crypto.hashes import sha256
from lnrecur.errors import Fault
from lnrecur.values import BITCOIN, REGTEST, Point
from lnrecur.wire.errors import WireError
from lnrecur.wire.tlv import TlvStream


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("optional", [False, True])
def test_what_was_decided_is_what_is_read(dialect: Dialect, optional: bool) -> None:
    told = terms(dialect, optional=optional, issuer="us", quantity_max=3, absolute_expiry=2_000_000_000)
    offer = write_offer(told, b"meta")
    read = Offer.from_text(offer.to_text())
    assert read == offer == decode(offer.to_text())
    assert hash(read) == hash(offer)
    assert (read.description, read.amount, read.issuer) == ("a month", 5_000_000, "us")
    assert (read.quantity_max, read.absolute_expiry, read.metadata) == (3, 2_000_000_000, b"meta")
    assert (read.issuer_id, list(read.accepted_chains)) == (MERCHANT.point, [REGTEST])
    assert read.recurrence == told.recurrence
    assert read.dialect is dialect


def test_a_base_and_its_proportional_amount_come_back() -> None:
    base = RecurrenceBase(1, 1_700_000_000)
    recurrence = Recurrence(TimeUnit.MONTHS, 1, base=base, dialect=Dialect.CLN)
    offer = write_offer(terms(recurrence=recurrence))
    assert offer.recurrence == recurrence
    assert offer.recurrence.proportional
    assert offer.has(fields.OFFER_RECURRENCE_BASE)
    assert offer.number(fields.OFFER_RECURRENCE_BASE) == 1_000_000_026
    assert not Recurrence(TimeUnit.MONTHS, 1, base=RecurrenceBase(0, 0)).proportional
    assert not Recurrence(TimeUnit.MONTHS, 1).proportional


def test_the_dialects_differ_in_numbers_only() -> None:
    draft, cln = write_offer(terms(Dialect.DRAFT)), write_offer(terms(Dialect.CLN))
    assert [record.type for record in draft.stream][-3:] == [24, 27, 29]
    assert [record.type for record in cln.stream][-3:] == [1_000_000_024, 1_000_000_027, 1_000_000_029]
    assert [record.value for record in draft.stream] == [record.value for record in cln.stream]
    assert draft != cln
    assert draft.offer_id != cln.offer_id


def test_an_offer_without_recurrence_has_no_dialect() -> None:
    offer = write_offer(terms(recurrence=None))
    assert offer.dialect is None
    assert offer.recurrence is None
    assert terms(recurrence=None).dialect is None


def test_an_offer_that_names_no_chain_is_for_bitcoin() -> None:
    assert list(write_offer(terms(chains=None)).accepted_chains) == [BITCOIN]


def test_the_offer_id_is_the_hash_of_the_offers_bytes() -> None:
    offer = an_offer(raw={33: b"odd and unknown"})
    assert offer.offer_id == sha256(offer.to_bytes())


def test_terms_are_authenticated_without_their_metadata() -> None:
    assert TlvStream(terms().records()).get(fields.OFFER_METADATA.number) is None
    assert TlvStream(terms().records()).to_bytes() == write_offer(terms()).to_bytes()


@pytest.mark.parametrize(
    ("changes", "rule", "field"),
    [
        ({"amount": 0}, "BO8", "offer_amount"),
        ({"description": None}, "BO4", "offer_description"),
        ({"amount": None, "currency": "USD"}, "BO5", "offer_amount"),
        ({"currency": "usd"}, "BO9", "offer_currency"),
        ({"issuer_id": None}, "BO6", "offer_issuer_id"),
        ({"chains": ()}, "BO3", "offer_chains"),
        ({"features": b"\1"}, "BO2", "offer_features"),
        ({"recurrence": Recurrence(TimeUnit.DAYS, 0)}, "O4", "offer_recurrence_compulsory"),
        ({"recurrence": Recurrence(TimeUnit.DAYS, 1, limit=0)}, "O5", "offer_recurrence_limit"),
        (
            {"recurrence": Recurrence(TimeUnit.DAYS, 1, optional=True, base=RecurrenceBase(0, 0))},
            "O2",
            "offer_recurrence_base",
        ),
        ({"recurrence": Recurrence(TimeUnit.DAYS, 1, base=RecurrenceBase(2, 0))}, "O10", "offer_recurrence_base"),
        (
            {"recurrence": Recurrence(TimeUnit.DAYS, 1, paywindow=Paywindow(2**32, 0))},
            "BOLT 1",
            "offer_recurrence_paywindow",
        ),
        ({"amount": -5}, "BOLT 1", "offer_amount"),
        ({"description": "\udc80"}, "BOLT 1", "offer_description"),
        ({"issuer_id": Point(b"\x02" + b"\xff" * 32)}, "BOLT 1", "offer_issuer_id"),
        ({"issuer_id": Point(b"")}, "BOLT 1", "offer_issuer_id"),
    ],
)
def test_terms_that_break_a_rule_are_a_mistake_of_the_caller(changes: dict[str, object], rule: str, field: str) -> None:
    with pytest.raises(WritingError) as refusal:
        write_offer(terms(**changes))
    assert (refusal.value.rule, refusal.value.breach.field) == (rule, field)
    assert refusal.value.fault is Fault.CALLER


def test_an_offer_by_its_path_needs_no_issuer_id() -> None:
    offer = write_offer(OfferTerms(description="by path", paths=(PATH,)))
    assert offer.issuer_id is None
    assert offer.paths == (PATH,)


@pytest.mark.parametrize(
    ("limit", "start", "payments"), [(None, 5, None), (11, 0, 12), (11, 11, 1), (11, 12, 0), (1, 40, 0)]
)
def test_a_limit_counts_from_period_zero(limit: int | None, start: int, payments: int | None) -> None:
    assert Recurrence(TimeUnit.DAYS, 1, limit=limit).payments_from(start) == payments


def test_a_text_of_another_kind_is_no_offer() -> None:
    text = write_offer(terms()).to_text()
    with pytest.raises(WireError, match="an offer begins with lno1, this text with lnr1"):
        Offer.from_text("lnr" + text[3:])
    with pytest.raises(WireError, match="lnx1 is no bolt12 text we know"):
        decode("lnx" + text[3:])


def test_white_space_around_a_text_is_forgiven() -> None:
    text = write_offer(terms()).to_text()
    assert decode(f"  {text}\n").to_text() == text


def test_a_repr_is_short() -> None:
    assert len(repr(write_offer(terms(description="long " * 1000)))) < 100
    assert repr(Offer.amount) == "Field(offer_amount)"
