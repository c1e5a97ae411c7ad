"""What strangers send writes nothing (Q21): a store that refuses every write never hears of one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from helpers.forged import forge_request
from helpers.rig import Hand, publish, recurring
from lnrecur.bolt12 import Dialect, Offer, fields
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.bolt12.fields import Field
from lnrecur.bolt12.offer import OfferTerms, write_offer
from lnrecur.ports import StoreUnavailable
from lnrecur.recurrence.offering import OfferPolicy, OfferStatus
from lnrecur.recurrence.rates import ExchangeRate
from lnrecur.service.assembly import Parts
from lnrecur.testing.rig import START, Rig
from lnrecur.values import REGTEST, UnixSeconds

READS = (
    "offer", "offers", "inbound", "inbounds", "outbound", "outbounds", "due_outbounds", "due_inbounds", "due_outbox",
    "next_wake", "receipt_cursor", "events", "payments",
)  # fmt: skip


class ReadOnly:
    """A store that cannot be written once it is sealed, and notes who tried."""

    def __init__(self) -> None:
        self.sealed = False
        self.tried: list[str] = []
        self._inner: Any = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not self.sealed or not callable(found) or name in READS or name.startswith("claim_"):
            return found

        def refuse(*_: Any, **__: Any) -> None:
            self.tried.append(name)
            raise StoreUnavailable("this disk is full")

        return refuse

    def dress(self) -> Callable[[Parts], Parts]:
        def dressed(parts: Parts) -> Parts:
            self._inner = parts.manager
            return replace(parts, manager=self, rates=FixedRate())  # type: ignore[arg-type]

        return dressed


class FixedRate:
    async def rate(self, currency: str) -> ExchangeRate:
        return ExchangeRate(currency, 5_000_000, UnixSeconds(START), "a test")


def _requests(offer: Offer, hand: Hand) -> list[bytes]:
    """All a stranger might ask for an offer, good and bad."""

    def written(dialect: Dialect | None = None, metadata: bytes = b"m" * 16, **told: Any) -> bytes:
        values: dict[Field[Any], Any] = {
            fields.INVREQ_METADATA: metadata,
            fields.INVREQ_CHAIN: REGTEST,
            fields.INVREQ_PAYER_ID: hand.key.point,
            fields.INVREQ_RECURRENCE_COUNTER: told.get("counter"),
            fields.INVREQ_RECURRENCE_START: told.get("start"),
            fields.INVREQ_RECURRENCE_CANCEL: told.get("cancel"),
            fields.INVREQ_RECURRENCE_PREV_STATE: told.get("state"),
            fields.INVREQ_AMOUNT: told.get("amount"),
            fields.INVREQ_QUANTITY: told.get("quantity"),
        }
        return forge_request(offer, values, dialect or offer.dialect, hand.key).to_bytes()

    good = written(counter=0)
    every = [written(counter=counter) for counter in (None, 0, 1, 2, 3, 4, 2**32 - 1)]
    every += [written(counter=0, start=start) for start in (0, 1, 3, 2**32 - 1)]
    every += [written(counter=counter, cancel=True) for counter in (0, 1, 3)]
    every += [written(counter=1, state=state) for state in (b"", b"x", bytes(60), b"\1" + bytes(59), bytes(1025))]
    every += [written(counter=0, amount=amount) for amount in (0, 1, 10_000, 10**9)]
    every += [written(counter=0, quantity=quantity) for quantity in (0, 1, 9)]
    every += [good[:-1] + bytes([good[-1] ^ 1]), good[:-9], good[3:], b"", bytes(40)]
    return [*every, good, good]


async def test_whatever_strangers_ask_nothing_is_written() -> None:
    async with Rig(seed=1) as rig:
        store = ReadOnly()
        merchant, other, hand = await rig.join("merchant", dress=store.dress()), await rig.join("other"), Hand(rig)
        carried = OfferPolicy(give_state=True)
        offers = [
            publish(merchant),
            publish(merchant, recurring(optional=True), policy=carried),
            publish(merchant, recurring(base=RecurrenceBase(1, START - 10)), policy=carried),
            publish(merchant, amount=999, currency="EUR", quantity_max=5),
            publish(merchant, amount=None),
        ]
        for status in (OfferStatus.RETIRED, OfferStatus.PAUSED, OfferStatus.ENDED):
            offers.append(publish(merchant, description=f"a {status} thing"))
            merchant.payee.subscribers.change_offer(offers[-1].offer_id, status)
        foreign = replace_issuer(publish(other), merchant.node_id)
        await rig.settle()
        store.sealed = True
        answered = 0
        for offer in [*offers, foreign]:
            for data in _requests(offer, hand):
                answered += len(await hand.ask(offer, data))
        assert store.tried == []
        assert answered > len(offers), "it did answer"
        store.sealed = False


def replace_issuer(offer: Offer, issuer: bytes) -> Offer:
    """Somebody's offer with our node in it, which we never wrote."""
    terms = OfferTerms(
        description=offer.description, amount=offer.amount, chains=(REGTEST,), issuer_id=issuer,  # type: ignore[arg-type]
        recurrence=offer.recurrence,
    )  # fmt: skip
    return write_offer(terms, bytes(24))
