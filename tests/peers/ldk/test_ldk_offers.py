"""What LDK reads of offers: ours, and a table of others'."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lnrecur.adapters.entropy import SystemEntropy
from lnrecur.bolt12 import Dialect, Offer, OfferTerms, Recurrence, TimeUnit, write_offer
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import Messenger
from lnrecur.recurrence.offer_authenticity import NONCE_SIZE, write_authentic_offer
from lnrecur.values import REGTEST, Msat
from peers.ldk.nodes import LdkNodes
from peers.ldk.sidecar import LdkRefused, LdkSidecar

ISSUER = PrivateKey(b"\x51" * 32)
RECORDED = json.loads((Path(__file__).parents[2] / "vectors" / "data" / "ldk" / "messages.json").read_text())
TABLE: dict[str, dict[str, Any]] = RECORDED["offer_parse_table"]

MONTHLY = Recurrence(TimeUnit.MONTHS, 1, paywindow=Paywindow(3600, 86_400), limit=11)
BASED = replace(MONTHLY, base=RecurrenceBase(1, 1_767_225_600))


def ours(recurrence: Recurrence | None = None, **changes: Any) -> Offer:
    """An offer as our payee writes it, its metadata included."""
    terms = OfferTerms(description="a thing", amount=Msat(10_000), chains=(REGTEST,), issuer_id=ISSUER.point)
    terms = replace(terms, recurrence=recurrence, **changes)
    return write_authentic_offer(bytes(32), terms, bytes(NONCE_SIZE))


async def reads(ldk: LdkSidecar, offer: Offer) -> bool:
    """Whether LDK reads the bytes and the text, and writes back the same."""
    data, text = offer.to_bytes().hex(), offer.to_text()
    try:
        told = await ldk.call("parse_offer", offer=data)
    except LdkRefused:
        with pytest.raises(LdkRefused):
            await ldk.call("parse_offer_text", text=text)
        return False
    assert told == {"bytes": data, "text": text}
    assert await ldk.call("parse_offer_text", text=text) == data
    return True


PLAIN: dict[str, Callable[[], Offer]] = {
    "with our id": ours,
    "blinded": lambda: ours(issuer_id=None, paths=(Messenger(ISSUER).reply_path(bytes(32), ISSUER),)),
    "of any amount": lambda: ours(amount=None),
    "with a quantity": lambda: ours(quantity_max=10),
    "that expires": lambda: ours(absolute_expiry=1),
    "in a currency": lambda: ours(amount=995, currency="EUR"),
    "with an issuer": lambda: ours(issuer="the shop"),
}


@pytest.mark.parametrize("name", PLAIN)
async def test_ldk_reads_our_plain_offers(ldk: LdkNodes, name: str) -> None:
    assert await reads(ldk.payer, PLAIN[name]())


@pytest.mark.parametrize("dialect", Dialect)
async def test_ldk_reads_our_optional_recurrence(ldk: LdkNodes, dialect: Dialect) -> None:
    assert await reads(ldk.payer, ours(replace(MONTHLY, optional=True, dialect=dialect)))


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("recurrence", [MONTHLY, BASED], ids=["without a base", "with a base"])
async def test_ldk_refuses_our_compulsory_recurrence(ldk: LdkNodes, recurrence: Recurrence, dialect: Dialect) -> None:
    """As BOLT 12 wants it of a reader that does not know an even field."""
    assert not await reads(ldk.payer, ours(replace(recurrence, dialect=dialect)))


@pytest.mark.parametrize("name", TABLE)
async def test_this_ldk_reads_what_the_recorded_one_read(ldk: LdkNodes, name: str) -> None:
    """Where our reader decides otherwise stands in tests/vectors/test_recorded_strings.py."""
    row = TABLE[name]
    if row["accepted"]:
        assert (await ldk.payer.call("parse_offer", offer=row["hex"]))["bytes"] == row["hex"]
    else:
        with pytest.raises(LdkRefused, match="DecodeError_InvalidValue"):
            await ldk.payer.call("parse_offer", offer=row["hex"])


async def test_uppercase_and_text_in_pieces(ldk: LdkNodes) -> None:
    offer = ours()
    text, data = offer.to_text(), offer.to_bytes().hex()
    for form in (text.upper(), f"{text[:20]}+{text[20:]}", f"{text[:20]}+\n  {text[20:]}"):
        assert await ldk.payer.call("parse_offer_text", text=form) == data
    for form in (text[:8].upper() + text[8:], text + "+", text[:20] + "+ +" + text[20:]):
        with pytest.raises(LdkRefused):
            await ldk.payer.call("parse_offer_text", text=form)


async def test_an_offer_of_ours_without_description_is_none_for_ldk_either(ldk: LdkNodes) -> None:
    with pytest.raises(Bolt12Error):
        write_offer(OfferTerms(amount=1, chains=(REGTEST,), issuer_id=ISSUER.point))
    described = ours().to_bytes()
    cut = described.replace(b"\x0a\x07a thing", b"")
    with pytest.raises(LdkRefused):
        await ldk.payer.call("parse_offer", offer=cut.hex())


async def asks(ldk: LdkNodes, offer: Offer | bytes, **terms: Any) -> None:
    """Have LDK ask for an invoice; there is no way to this issuer, which LDK says to its log alone."""
    payment_id = SystemEntropy().take(32).hex()
    data = offer if isinstance(offer, bytes) else offer.to_bytes()
    await ldk.payer.call("pay_offer", offer=data.hex(), payment_id=payment_id, **terms)


NOT_ASKED: dict[str, tuple[Callable[[], Offer | bytes], dict[str, Any]]] = {
    "UnsupportedCurrency": (lambda: ours(amount=995, currency="EUR"), {}),
    "UnsupportedChain": (lambda: ours(chains=None), {}),
    "UnknownRequiredFeatures": (lambda: bytes.fromhex(TABLE["feature even unknown 100"]["hex"]), {}),
    "MissingAmount": (lambda: ours(amount=None), {}),
    "InsufficientAmount": (ours, {"amount_msat": 9_999}),
    "UnexpectedQuantity": (ours, {"quantity": 2}),
    "MissingQuantity": (lambda: ours(quantity_max=10), {}),
    "InvalidQuantity": (lambda: ours(quantity_max=10), {"quantity": 11}),
}
"""What LDK reads but asks no invoice for, by the error it names."""

ASKED: dict[str, tuple[Callable[[], Offer], dict[str, Any]]] = {
    "at its price": (ours, {}),
    "above its price": (ours, {"amount_msat": 20_000}),
    "of a quantity": (lambda: ours(quantity_max=10), {"quantity": 10}),
    "of any amount": (lambda: ours(amount=None), {"amount_msat": 1}),
    "that has expired": (lambda: ours(absolute_expiry=1), {}),  # this build has no clock
    "with an optional recurrence": (lambda: ours(replace(MONTHLY, optional=True)), {}),
}


@pytest.mark.parametrize("error", NOT_ASKED)
async def test_ldk_asks_no_invoice_for_what_it_cannot_pay_and_says_why(ldk: LdkNodes, error: str) -> None:
    make, terms = NOT_ASKED[error]
    with pytest.raises(LdkRefused, match=f"LDKBolt12SemanticError_{error}"):
        await asks(ldk, make(), **terms)


@pytest.mark.parametrize("name", ASKED)
async def test_ldk_would_pay_an_offer(ldk: LdkNodes, name: str) -> None:
    make, terms = ASKED[name]
    await asks(ldk, make(), **terms)
