"""Write a store as version 1 of the tables left it, as SQL text, for the tests of migrations.

Run with the code of the last commit that had version 1, 9fa191d:

    git archive 9fa191d src | tar x -C /tmp/version-1
    PYTHONPATH=/tmp/version-1/src .venv/bin/python scripts/write_version_1_store.py

What it writes is tests/unit/adapters/data/store-version-1.sql. It is made once and never changed: it stands for the
databases that people have.
"""

import hashlib
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from lnrecur.adapters.store import open_sqlite_manager
from lnrecur.adapters.store.schema import SCHEMA_VERSION
from lnrecur.ports import Change, OfferRecord, RecurrenceManager
from lnrecur.recurrence import inbound_model, outbound_model
from lnrecur.recurrence.effects import (
    AskPaymentStatus,
    Book,
    Claim,
    Emit,
    FailBack,
    Pay,
    SendCancel,
    SendInvoiceRequest,
)
from lnrecur.recurrence.inbound_model import Inbound, OfferPolicy, OpenInvoice, Reservation, Windows
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import NextTry, Outbound, PendingPayment, PendingRequest, Terms
from lnrecur.recurrence.retry import RetryPolicy
from lnrecur.values import Msat, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

TARGET = Path(__file__).parents[1] / "tests" / "unit" / "adapters" / "data" / "store-version-1.sql"
NOW = 1_750_000_000
U64_MAX = 2**64 - 1


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def booking(text: str, counter: int, *, surplus: bool = False) -> Book:
    preimage = Preimage(digest(text))
    payment_hash = PaymentHash(hashlib.sha256(preimage).digest())
    at = UnixSeconds(NOW + counter)
    return Book(counter, payment_hash, preimage, Msat(25_000), Msat(7), at, at, surplus)


def fill(manager: RecurrenceManager) -> None:
    now = UnixSeconds(NOW)
    for number, active in ((1, True), (2, False)):
        policy = OfferPolicy() if active else OfferPolicy(windows=Windows.STRICT)
        record = OfferRecord(
            OfferId(digest(f"offer {number}")), f"offer {number}".encode(), policy, now, f"shop {number}"
        )
        manager.add_offer(record)
        manager.set_offer_active(record.offer_id, active)
    for number, phase in enumerate(outbound_model.Phase):
        state = Outbound(
            recurrence_id=RecurrenceId(digest(f"outbound {number}")),
            offer_bytes=bytes(range(200)),
            mandate=Mandate(Msat(25_000 + number), purpose="rent ☂"),
            terms=Terms(via=("02" * 33 + "@127.0.0.1:9735",)),
            created_at=now,
            phase=phase,
            next_counter=number,
            wake_at=UnixSeconds(NOW + number) if number % 2 else None,
        )
        events = (
            Emit("subscription.created"),
            Emit("payment.settled", {"counter": number, "surplus": False, "x": None}),
        )
        change = Change(state, None, now, events=events, bookings=(booking(f"out {number}", number),))
        manager.commit_outbound(change)
    manager.commit_outbound(Change(a_full_payer(), None, now, outbox=payer_effects(), receipt_cursor="cursor 17"))
    for number, phase in enumerate(inbound_model.Phase):
        payer = Inbound(
            OfferId(digest("offer 1")), Point(b"\x02" + digest(f"payer {number}")), phase=phase, created_at=now
        )
        bookings = (booking(f"in {number}", 0), booking(f"again {number}", 0, surplus=True))
        manager.commit_inbound(Change(payer, None, now, events=(Emit("payment.claimed"),), bookings=bookings))
    claims = (
        Claim(PaymentHash(digest("claim")), Preimage(digest("its preimage"))),
        FailBack(PaymentHash(digest("fail")), "paid already"),
    )
    manager.commit_inbound(Change(a_full_payee(), None, now, outbox=claims))
    done = manager.due_outbox(now, 100)[-1]
    manager.effect_done(done.id)  # the highest id that was ever given is gone
    manager.postpone_effect(manager.due_outbox(now, 1)[0].id, UnixSeconds(NOW + 60))


def payer_effects() -> tuple[SendInvoiceRequest | SendCancel | Pay | AskPaymentStatus, ...]:
    payment_hash = PaymentHash(digest("pending"))
    return (
        SendInvoiceRequest(b"lnr"),
        SendCancel(b"cancel"),
        Pay(payment_hash, b"lni", Msat(25_000), Msat(100)),
        AskPaymentStatus(payment_hash),
    )


def a_full_payer() -> Outbound:
    """Every field says something."""
    terms = Terms(
        trigger=outbound_model.Trigger.ON_APPROVAL,
        missed=outbound_model.Missed.CATCH_UP,
        request_retry=RetryPolicy(1, 2, 3, 4, 5),
        payment_retry=RetryPolicy(6, 7, 8, 9, 10),
        start=2**32 - 1,
        quantity=U64_MAX,
        payer_note="for Änne",
        chain=bytes(32),
        via=("02" * 33 + "@127.0.0.1:9735", "b"),
    )
    end = UnixSeconds(NOW + 4)
    payment = PendingPayment(
        7, PaymentHash(digest("pending")), b"lni", Msat(2**63), Msat(9), end, UnixSeconds(2**64), 3, NextTry.NEW_INVOICE
    )
    return Outbound(
        recurrence_id=RecurrenceId(digest("a full one")),
        offer_bytes=bytes(range(256)),
        mandate=Mandate(Msat(1), Msat(2), 3, end, Msat(5), 6, "rent"),
        terms=terms,
        created_at=UnixSeconds(NOW),
        phase=outbound_model.Phase.PAYING,
        next_counter=7,
        basetime=UnixSeconds(U64_MAX),
        request=PendingRequest(7, b"\x00\xff", 2),
        payment=payment,
        attempt=4,
        awaiting_msat=Msat(U64_MAX),
        approved_counter=7,
        approved_msat=Msat(0),
        cancel_asked=True,
        payments=7,
        paid_msat=Msat(2**64),
        fees_msat=Msat(11),
        next_state=b"",
        problem="no route",
        wake_at=UnixSeconds(2**64),
    )


def a_full_payee() -> Inbound:
    """Every field says something."""
    return Inbound(
        offer_id=OfferId(digest("offer 2")),
        payer_id=Point(b"\x03" + bytes(range(32))),
        phase=inbound_model.Phase.RENEWING,
        recurring=False,
        start=0,
        basetime=UnixSeconds(U64_MAX),
        next_counter=2**32,
        reserved=Reservation(5, PaymentHash(digest("reserved"))),
        open_invoice=OpenInvoice(5, PaymentHash(digest("open"))),
        payments=5,
        received_msat=Msat(U64_MAX),
        surplus_msat=Msat(1),
        quantity=U64_MAX,
        payer_note="'quoted' \"twice\"",
        created_at=UnixSeconds(NOW),
        last_paid_at=UnixSeconds(U64_MAX),
        ended_at=UnixSeconds(NOW + 9),
    )


if __name__ == "__main__":
    assert SCHEMA_VERSION == 1, "this is not the code of version 1"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lnrecur.sqlite"
        with closing(open_sqlite_manager(file)) as opened:
            fill(opened)
        with closing(sqlite3.connect(file)) as connection:
            TARGET.write_text("\n".join(connection.iterdump()) + "\n")
