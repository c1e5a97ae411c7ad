"""What every `lnrecur.ports.RecurrenceManager` has to do for the processes that work on it, as tests to be inherited.

A subclass of `WorkersContract` gives the fixture `manager`; `SharedWorkersContract` is for stores that several managers
share, and wants `open_manager` (see recurrence_manager.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from recurrence_manager import NOW, booking, inbound_state, later, new, offer_record, outbound_state, request_effect

from lnrecur.ports import Change, LeaseLost, NotOurStore, RecurrenceManager, Seat, SeatTaken
from lnrecur.recurrence.effects import Emit, FailBack, Pay, SendCancel
from lnrecur.values import Msat, PaymentHash

Open = Callable[[], RecurrenceManager]
OWNER = b"\x02" * 33
ALL = Seat("here")
MESSAGING = Seat("mail room", work=False)
WORKER = Seat("desk 1", messages=False)
ANOTHER = Seat("desk 2", messages=False)
PAY = Pay(PaymentHash(bytes(32)), b"invoice", Msat(1), Msat(0))


def deeds(manager: RecurrenceManager, limit: int = 10) -> Sequence[object]:
    return [entry.effect for entry in manager.claim_outbox(NOW, limit)]


def writes(manager: RecurrenceManager) -> list[Callable[[], object]]:
    """Everything that changes something, each ready to be done."""
    return [
        lambda: manager.commit_outbound(Change(outbound_state(payments=9), 1, NOW, events=(Emit("lost"),))),
        lambda: manager.commit_inbound(new(inbound_state(7), bookings=(booking(7),))),
        lambda: manager.effect_done(1),
        lambda: manager.postpone_effect(1, later(99)),
        lambda: manager.save_receipt_cursor("lost"),
    ]


class WorkersContract:
    """One worker alone."""

    def test_claiming_needs_a_seat(self, manager: RecurrenceManager) -> None:
        for claim in (manager.claim_outbounds, manager.claim_inbounds, manager.claim_outbox):
            with pytest.raises(LeaseLost):
                claim(NOW, 10)
        with pytest.raises(LeaseLost):
            manager.beat()
        assert list(manager.workers()) == []

    def test_who_joins_is_listed_and_counted(self, manager: RecurrenceManager) -> None:
        number = manager.join(ALL, OWNER, "1.2")
        [before] = manager.workers()
        assert (before.number, before.seat, before.version) == (number, ALL, "1.2")
        [after] = manager.beat()
        assert after == replace(before, beats=before.beats + 1)
        manager.leave()
        manager.leave()
        assert list(manager.workers()) == []

    def test_joining_again_gives_a_greater_number(self, manager: RecurrenceManager) -> None:
        numbers = []
        for _ in range(3):
            numbers.append(manager.join(ALL, OWNER))
            manager.leave()
        numbers += [manager.join(ALL, OWNER), manager.join(ALL, OWNER)]
        assert sorted(set(numbers)) == numbers
        assert [worker.number for worker in manager.workers()] == numbers[-1:]

    def test_a_store_belongs_to_the_seed_that_used_it_first(self, manager: RecurrenceManager) -> None:
        manager.join(ALL, OWNER)
        manager.leave()
        with pytest.raises(NotOurStore):
            manager.join(ALL, b"\x03" * 33)
        manager.join(ALL, OWNER)

    def test_subscriptions_are_claimed_longest_due_first_and_only_once(self, manager: RecurrenceManager) -> None:
        for number, wakes in ((1, 30), (2, 10), (3, 20), (4, 99)):
            manager.commit_outbound(new(outbound_state(number, wake_at=later(wakes))))
            manager.commit_inbound(new(inbound_state(number, wake_at=later(wakes))))
        paying = [outbound_state(number).recurrence_id for number in (2, 3, 1)]
        paid = [(inbound_state(number).offer_id, inbound_state(number).payer_id) for number in (2, 3, 1)]
        manager.join(ALL, OWNER)
        assert list(manager.claim_outbounds(later(9), 10)) == []
        assert list(manager.claim_outbounds(later(50), 2)) == paying[:2]
        assert list(manager.claim_outbounds(later(50), 2)) == paying[2:]
        assert list(manager.claim_outbounds(later(50), 2)) == []
        assert list(manager.claim_inbounds(later(50), 2)) == paid[:2]
        assert list(manager.claim_inbounds(later(50), 2)) == paid[2:]
        assert list(manager.claim_inbounds(later(50), 2)) == []
        assert manager.next_wake() == later(99), "what is claimed is in good hands"

    def test_a_committed_subscription_can_be_claimed_again(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(wake_at=later(1))))
        manager.commit_inbound(new(inbound_state(wake_at=later(1))))
        manager.join(ALL, OWNER)
        for version in range(1, 4):
            assert len(manager.claim_outbounds(later(version), 10)) == 1
            assert len(manager.claim_inbounds(later(version), 10)) == 1
            wakes = later(version + 1)
            manager.commit_outbound(Change(outbound_state(wake_at=wakes), version, NOW))
            manager.commit_inbound(Change(inbound_state(wake_at=wakes), version, NOW))
            assert list(manager.claim_outbounds(later(version), 10)) == []
            assert manager.next_wake() == wakes

    def test_what_was_claimed_and_not_committed_is_given_back(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(wake_at=NOW), request_effect()))
        manager.commit_inbound(new(inbound_state(wake_at=NOW)))
        manager.join(ALL, OWNER)
        for _ in range(2):
            assert len(manager.claim_outbounds(NOW, 10)) == len(manager.claim_inbounds(NOW, 10)) == 1
            manager.release()
        assert deeds(manager) == [request_effect()]
        manager.release()
        assert deeds(manager) == [], "an effect is kept until it is done or postponed"

    def test_of_each_subscription_only_the_first_effect_is_given_out(self, manager: RecurrenceManager) -> None:
        first = manager.commit_outbound(new(outbound_state(1), request_effect(1), request_effect(2)))
        manager.commit_outbound(new(outbound_state(2), request_effect(3)))
        manager.join(ALL, OWNER)
        assert deeds(manager) == [request_effect(1), request_effect(3)]
        assert deeds(manager) == []
        assert manager.next_wake() is None, "the second waits for the first"
        manager.effect_done(first[0].id)
        assert manager.next_wake() == NOW
        assert deeds(manager) == [request_effect(2)]

    def test_a_postponed_effect_can_be_claimed_again_when_its_time_has_come(self, manager: RecurrenceManager) -> None:
        [entry] = manager.commit_outbound(new(outbound_state(), request_effect()))
        manager.join(ALL, OWNER)
        assert deeds(manager) == [request_effect()]
        manager.postpone_effect(entry.id, later(7))
        assert manager.next_wake() == later(7)
        assert deeds(manager) == []
        assert list(manager.claim_outbox(later(7), 10)) == [replace(entry, due_at=later(7), tries=1)]

    def test_who_sits_in_the_mail_room_gets_letters_only(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(1, wake_at=NOW), SendCancel(b"c")))
        manager.commit_outbound(new(outbound_state(2), PAY, at=later(-9)))
        manager.commit_inbound(new(inbound_state(), FailBack(PaymentHash(bytes(32)), "late"), at=later(-9)))
        manager.join(MESSAGING, OWNER)
        assert (list(manager.claim_outbounds(NOW, 9)), list(manager.claim_inbounds(NOW, 9))) == ([], [])
        assert manager.next_wake() == NOW
        assert deeds(manager) == [SendCancel(b"c")]
        assert manager.next_wake() is None

    def test_who_sits_at_a_desk_gets_no_letters(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(1, wake_at=later(5)), SendCancel(b"c")))
        manager.commit_outbound(new(outbound_state(2), PAY))
        manager.join(WORKER, OWNER)
        assert deeds(manager) == [PAY]
        assert manager.next_wake() == later(5)
        assert list(manager.claim_outbounds(later(5), 9)) == [outbound_state(1).recurrence_id]

    def test_who_was_expelled_writes_nothing_any_more(self, manager: RecurrenceManager) -> None:
        manager.commit_outbound(new(outbound_state(), request_effect()))
        manager.join(ALL, OWNER)
        assert deeds(manager) == [request_effect()]
        [me] = manager.workers()
        assert manager.expel(me)
        assert not manager.expel(me)
        before = (list(manager.outbounds()), list(manager.due_outbox(NOW, 9)), list(manager.events()))
        for write in [*writes(manager), manager.beat, lambda: manager.claim_outbox(NOW, 9)]:
            with pytest.raises(LeaseLost) as raised:
                write()
            assert raised.value.retry
        after = (list(manager.outbounds()), list(manager.due_outbox(NOW, 9)), list(manager.events()))
        assert after == before
        assert (list(manager.inbounds()), list(manager.payments()), manager.receipt_cursor()) == ([], [], None)
        assert manager.join(ALL, OWNER) > me.number
        assert deeds(manager) == [request_effect()]

    def test_who_has_shown_life_since_is_not_expelled(self, manager: RecurrenceManager) -> None:
        manager.join(ALL, OWNER)
        [before] = manager.workers()
        manager.beat()
        assert not manager.expel(before)
        assert len(manager.workers()) == 1


class SharedWorkersContract(WorkersContract):
    """Several workers on one store."""

    def test_two_workers_get_different_work(self, open_manager: Open) -> None:
        one, other = open_manager(), open_manager()
        for number in range(1, 7):
            one.commit_outbound(new(outbound_state(number, wake_at=later(number)), request_effect(number)))
        one.join(ALL, OWNER)
        other.join(WORKER, OWNER)
        got = [
            *one.claim_outbounds(later(9), 2),
            *other.claim_outbounds(later(9), 3),
            *one.claim_outbounds(later(9), 9),
        ]
        assert got == [outbound_state(number).recurrence_id for number in range(1, 7)]
        assert other.next_wake() is None
        assert one.next_wake() == NOW, "letters are not for the desk"

    def test_subscriptions_that_are_paid_to_us_are_for_who_knows_the_receipts(self, open_manager: Open) -> None:
        one, other = open_manager(), open_manager()
        one.commit_inbound(new(inbound_state(wake_at=NOW)))
        other.join(WORKER, OWNER)
        assert list(other.claim_inbounds(NOW, 9)) == []
        assert other.next_wake() is None
        one.join(MESSAGING, OWNER)
        assert one.next_wake() == NOW
        paid = (inbound_state().offer_id, inbound_state().payer_id)
        assert list(one.claim_inbounds(NOW, 9)) == [paid]
        one.leave()
        one.join(ALL, OWNER)
        assert list(one.claim_inbounds(NOW, 9)) == [paid], "a claim is free once its owner has left"

    def test_what_a_worker_had_claimed_is_free_once_it_left_or_was_expelled(self, open_manager: Open) -> None:
        one, other = open_manager(), open_manager()
        one.commit_outbound(new(outbound_state(wake_at=NOW), PAY))
        other.join(ANOTHER, OWNER)
        for end in ("leaves", "is expelled", "comes back"):
            number = one.join(WORKER, OWNER)
            assert len(one.claim_outbounds(NOW, 9)) == 1
            assert deeds(one) == [PAY]
            assert list(other.claim_outbounds(NOW, 9)) == []
            assert deeds(other) == []
            assert other.next_wake() is None
            if end == "leaves":
                one.leave()
            elif end == "is expelled":
                [dead] = [worker for worker in other.beat() if worker.number == number]
                assert other.expel(dead)
            else:
                open_manager().join(WORKER, OWNER)
            assert other.next_wake() == NOW
            assert len(other.claim_outbounds(NOW, 9)) == 1
            assert deeds(other) == [PAY]
            other.leave()
            other.join(ANOTHER, OWNER)

    def test_a_worker_that_slept_past_its_lease_can_undo_nothing(self, open_manager: Open) -> None:
        """It comes back with old claims, while another has done their work."""
        sleeper, other = open_manager(), open_manager()
        [entry] = sleeper.commit_outbound(new(outbound_state(wake_at=NOW), PAY))
        sleeper.join(WORKER, OWNER)
        assert len(sleeper.claim_outbounds(NOW, 9)) == 1
        assert deeds(sleeper) == [PAY]
        other.join(ANOTHER, OWNER)
        [dead] = [worker for worker in other.beat() if worker.seat == WORKER]
        assert other.expel(dead)
        assert deeds(other) == [PAY]
        other.commit_outbound(Change(outbound_state(payments=1), 1, NOW, events=(Emit("paid"),)))
        for write in [*writes(sleeper), lambda: sleeper.add_offer(offer_record()), sleeper.release]:
            with pytest.raises(LeaseLost):
                write()
        assert [state.payments for state in other.outbounds()] == [1]
        assert [event.name for event in other.events()] == ["paid"]
        assert list(other.due_outbox(NOW, 9)) == [entry]
        assert list(other.offers()) == []
        other.effect_done(entry.id)

    def test_only_one_serves_the_messages(self, open_manager: Open) -> None:
        one, other = open_manager(), open_manager()
        number = one.join(ALL, OWNER, "1")
        for seat in (Seat("there"), Seat("there", work=False)):
            with pytest.raises(SeatTaken) as raised:
                other.join(seat, OWNER)
            assert (raised.value.worker.number, raised.value.worker.seat) == (number, ALL)
        other.join(WORKER, OWNER)
        open_manager().join(ANOTHER, OWNER)
        [first, *_] = other.beat()
        assert other.expel(first)
        other.join(MESSAGING, OWNER)
        with pytest.raises(LeaseLost):
            one.beat()

    def test_another_seed_is_refused_whoever_works(self, open_manager: Open) -> None:
        one, other = open_manager(), open_manager()
        one.join(WORKER, OWNER)
        with pytest.raises(NotOurStore):
            other.join(ANOTHER, b"\x03" * 33)
        assert len(one.workers()) == 1
