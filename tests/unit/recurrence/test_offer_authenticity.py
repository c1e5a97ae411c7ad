"""Is this offer one of ours? Told by its metadata alone."""

from collections.abc import Iterable

import pytest

from helpers.engine import MERCHANT, STRANGER, a_request, every
from lnrecur.bolt12 import InvoiceRequest, Offer, OfferTerms, fields
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path
from lnrecur.recurrence.offer_authenticity import is_ours, path_secret, write_authentic_offer
from lnrecur.values import REGTEST
from lnrecur.wire.tlv import TlvRecord, TlvStream

KEY = b"\x61" * 32
NONCE = b"\x62" * 8
PATH = blind_path(PrivateKey(b"\x63" * 32), [(MERCHANT.point, b"\x06\x01\x01")])
TERMS = OfferTerms(
    description="a subscription",
    amount=1000,
    issuer="shop",
    chains=(REGTEST,),
    issuer_id=MERCHANT.point,
    recurrence=every(paywindow=Paywindow(1, 2), limit=11),
)
BLINDED = OfferTerms(description="hidden", amount=1000, recurrence=every(), paths=(PATH,))
BOTH = OfferTerms(description="both", amount=1000, recurrence=every(), paths=(PATH,), issuer_id=MERCHANT.point)


def _request_for(offer: Offer) -> InvoiceRequest:
    return a_request(0, offer)


def _with(offer: Offer, records: Iterable[TlvRecord]) -> Offer:
    changed = {record.type for record in records}
    return Offer(TlvStream([*(record for record in offer.stream if record.type not in changed), *records]))


def test_our_offer_is_known_in_a_request_that_came_directly() -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    assert is_ours(KEY, offer, None)
    assert is_ours(KEY, _request_for(offer), None)


def test_the_metadata_is_a_nonce_and_a_code() -> None:
    metadata = write_authentic_offer(KEY, TERMS, NONCE).metadata
    assert metadata is not None
    assert metadata[:8] == NONCE
    assert len(metadata) == 24
    assert write_authentic_offer(KEY, TERMS, b"\x64" * 8).metadata != metadata


@pytest.mark.parametrize("metadata", [None, b"", b"short", NONCE + bytes(16), NONCE + bytes(17)])
def test_an_offer_with_other_metadata_is_not_ours(metadata: bytes | None) -> None:
    assert not is_ours(KEY, write_offer(TERMS, metadata), None)


def test_an_offer_under_another_key_is_not_ours() -> None:
    assert not is_ours(b"\x65" * 32, write_authentic_offer(KEY, TERMS, NONCE), None)


@pytest.mark.parametrize("number", [record.type for record in write_authentic_offer(KEY, TERMS, NONCE).stream])
def test_any_changed_field_makes_it_another_offer(number: int) -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    others = {
        fields.OFFER_CHAINS.number: bytes(32),
        fields.OFFER_ISSUER_ID.number: STRANGER.point,
        fields.OFFER_RECURRENCE_COMPULSORY.number: b"\x01\x01",
    }
    value = offer.stream.get(number) or b""
    other = others.get(number, value[:-1] + bytes((value[-1] ^ 1,)))
    assert not is_ours(KEY, _with(offer, [TlvRecord.of(number, other)]), None)


@pytest.mark.parametrize("number", [21, 79, 1_000_000_001, 1_999_999_999])
def test_any_added_field_makes_it_another_offer(number: int) -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    assert not is_ours(KEY, _with(offer, [TlvRecord.of(number, b"")]), None)


@pytest.mark.parametrize("number", [fields.OFFER_ISSUER.number, fields.OFFER_RECURRENCE_LIMIT.number])
def test_any_removed_field_makes_it_another_offer(number: int) -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    assert not is_ours(KEY, Offer(TlvStream(record for record in offer.stream if record.type != number)), None)


def test_an_offer_without_paths_must_not_be_asked_for_over_one() -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    assert not is_ours(KEY, offer, path_secret(KEY, TERMS, NONCE))


@pytest.mark.parametrize("terms", [BLINDED, BOTH], ids=["paths only", "paths and issuer_id"])
def test_an_offer_with_paths_must_be_asked_for_over_one_of_them(terms: OfferTerms) -> None:
    offer = write_authentic_offer(KEY, terms, NONCE)
    secret = path_secret(KEY, terms, NONCE)
    assert len(secret) == 32
    assert is_ours(KEY, _request_for(offer), secret)
    assert not is_ours(KEY, offer, None)
    assert not is_ours(KEY, offer, bytes(32))
    assert not is_ours(KEY, offer, path_secret(KEY, terms, b"\x64" * 8))


def test_the_path_secret_does_not_depend_on_the_paths_it_stands_in() -> None:
    without = OfferTerms(description="hidden", amount=1000, recurrence=every())
    assert path_secret(KEY, without, NONCE) == path_secret(KEY, BLINDED, NONCE)


def test_exchanged_paths_make_it_another_offer() -> None:
    offer = write_authentic_offer(KEY, BLINDED, NONCE)
    elsewhere = blind_path(PrivateKey(b"\x66" * 32), [(STRANGER.point, b"\x06\x01\x01")])
    changed = _with(offer, [TlvRecord.of(fields.OFFER_PATHS.number, elsewhere.to_bytes())])
    assert not is_ours(KEY, changed, path_secret(KEY, BLINDED, NONCE))


def test_fields_of_the_request_do_not_matter() -> None:
    offer = write_authentic_offer(KEY, TERMS, NONCE)
    request = a_request(5, offer, values={fields.INVREQ_PAYER_NOTE: "hello", fields.INVREQ_CHAIN: REGTEST})
    assert is_ours(KEY, request, None)
