"""What gives another daemon of our seed away, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.rig import PERIOD, recurring
from lnrecur.bolt12 import OfferTerms, write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Outbound, Phase, Step, Terms
from lnrecur.recurrence.receive_context import ReceiveContext
from lnrecur.service import seed_watch
from lnrecur.service.seed_watch import AGAIN_S, CLOCKS_DIFFER_S, SeedWatch
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import Msat, OfferId, Point, Preimage, RecurrenceId, UnixSeconds

START = UnixSeconds(1_750_000_000)
ISSUER = PrivateKey(b"\x07" * 32).point
TERMS = OfferTerms(description="a thing", amount=Msat(10_000), recurrence=recurring(limit=99), issuer_id=ISSUER)
OFFER = write_offer(TERMS)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


def invoice(number: int, created_at: int) -> ReceiveContext:
    preimage = Preimage(number.to_bytes(32, "big"))
    return ReceiveContext(
        OfferId(b"\x01" * 32), Point(b"\x02" * 33), number, 0, START, Msat(1), UnixSeconds(created_at), preimage
    )


def test_invoices_that_this_daemon_wrote_are_no_surprise(clock: VirtualClock) -> None:
    watch = SeedWatch(clock)
    clock.advance(2 * CLOCKS_DIFFER_S)
    mine = invoice(1, clock.now())
    watch.wrote(mine.payment_hash)
    assert (watch.of_receipt(mine), watch.seen) == ((), None)


def test_invoices_from_before_the_start_are_no_surprise_whatever_clock_they_were_written_by(
    clock: VirtualClock,
) -> None:
    watch = SeedWatch(clock)
    for created_at in (START - 1000, START, START + CLOCKS_DIFFER_S - 1):
        assert watch.of_receipt(invoice(1, created_at)) == ()
    assert watch.seen is None


def test_an_invoice_of_our_seed_that_this_daemon_did_not_write_is_told_once_an_hour(clock: VirtualClock) -> None:
    watch = SeedWatch(clock)
    clock.advance(2 * CLOCKS_DIFFER_S)
    [told] = watch.of_receipt(invoice(1, clock.now()))
    assert (told.name, told.data["counter"]) == ("subscription.seed_shared", 1)
    assert watch.seen is not None
    assert watch.of_receipt(invoice(2, clock.now())) == ()
    clock.advance(AGAIN_S)
    assert len(watch.of_receipt(invoice(3, clock.now()))) == 1


def test_what_was_forgotten_because_there_was_too_much_is_no_surprise(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_watch, "WRITTEN_MAX", 2)
    watch = SeedWatch(clock)
    clock.advance(2 * CLOCKS_DIFFER_S)
    mine = [invoice(number, clock.now()) for number in range(3)]
    for one in mine:
        watch.wrote(one.payment_hash)
    assert [watch.of_receipt(one) for one in mine] == [(), (), ()]


@pytest.mark.parametrize(("started", "noticed"), [(PERIOD // 2, True), (3 * PERIOD, False)])
def test_a_payment_of_somebody_else_is_one_of_a_window_that_opened_after_our_start(
    clock: VirtualClock, started: int, noticed: bool
) -> None:
    """What came before may have been paid by us, before the store was restored."""
    before = Outbound(
        RecurrenceId(b"\x07" * 32), OFFER.to_bytes(), Mandate(Msat(10_000)), Terms(), START, Phase.REQUESTING,
        next_counter=1, basetime=START, payments=1,
    )  # fmt: skip
    clock.advance(started)
    watch = SeedWatch(clock)
    clock.advance(3 * PERIOD)
    adopted = Step(replace(before, next_counter=3, adopted=2))
    assert bool(watch.of_adoption(before, adopted)) == noticed
    assert (watch.seen is not None) == noticed
    waived = Step(replace(before, next_counter=3, waived=2))
    assert watch.of_adoption(before, waived) == ()
