"""Two people, or two processes, answer one question at the same moment: the first answer that is stored counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from helpers.api import NOW, services_in_memory
from helpers.engine import ENTROPY, PRICE, a_mandate, an_offer
from lnrecur.adapters.store import open_postgresql_manager, open_sqlite_manager
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.errors import LnrecurError
from lnrecur.ports import Change, RecurrenceManager
from lnrecur.recurrence.outbound_model import Outbound, Phase, RefusalArrived, Terms
from lnrecur.recurrence.outbound_questions import question_of
from lnrecur.service.authorising import NothingWaits, replacement_id
from lnrecur.service.payer import PayerService
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, RecurrenceId, UnixSeconds

ROUNDS = 12
OLD, NEW = an_offer(chains=(REGTEST,)), an_offer(amount=PRICE * 2, chains=(REGTEST,))


@pytest.fixture(params=["sqlite", "postgresql"])
def open_manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], RecurrenceManager]]:
    """Each call is another process's view of one store."""
    on_postgresql = request.param == "postgresql"
    url: str = request.getfixturevalue("postgres_store") if on_postgresql else ""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            closing(open_postgresql_manager(url) if on_postgresql else open_sqlite_manager(tmp_path / "a.sqlite"))
        )


def asked(payer: PayerService, manager: RecurrenceManager, number: int) -> Outbound:
    """A subscription whose payee has named another offer."""
    name = RecurrenceId(bytes([number]) * 32)
    now = UnixSeconds(NOW)
    state = Outbound(name, OLD.to_bytes(), a_mandate(), Terms(chain=REGTEST), created_at=now, wake_at=now)
    manager.commit_outbound(Change(state=state, version=None, at=now))
    payer.wake(name)
    refusal = write_invoice_error(f"recurrence-changed: {NEW.to_text()}").to_bytes()
    waiting = payer.apply(name, lambda: RefusalArrived(refusal, ENTROPY)).state
    assert waiting.phase is Phase.NEEDS_APPROVAL
    assert waiting.request is None
    return waiting


def at_once(*answers: Callable[[], Outbound]) -> list[Outbound | LnrecurError]:
    """What each of them comes to, all begun at one moment."""
    ready, told = threading.Barrier(len(answers)), dict[int, Outbound | LnrecurError]()

    def give(number: int) -> None:
        ready.wait()
        try:
            told[number] = answers[number]()
        except LnrecurError as error:
            told[number] = error

    threads = [threading.Thread(target=give, args=(number,)) for number in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [told[number] for number in range(len(answers))]


def test_a_yes_never_wins_over_a_no_that_was_stored_first(open_manager: Callable[[], RecurrenceManager]) -> None:
    managers = [open_manager(), open_manager()]
    one, other = (services_in_memory(VirtualClock(NOW), manager).payer for manager in managers)
    for number in range(1, ROUNDS + 1):
        waiting = asked(one, managers[0], number)
        name, question = waiting.recurrence_id, question_of(waiting)
        yes, no = at_once(
            lambda name=name, question=question: one.approve(name, question=question),  # type: ignore[misc]
            lambda name=name, question=question: other.decline(name, question=question),  # type: ignore[misc]
        )
        stored, begun = managers[1].outbound(name), managers[0].outbound(replacement_id(waiting, NEW))
        told = [event.name for event in managers[0].events(subject=name)]
        assert stored is not None
        if isinstance(yes, Outbound):
            assert begun is not None
            assert (begun.state, stored.state.phase, told[-1]) == (yes, Phase.LAPSED, "subscription.replaced")
            assert isinstance(no, NothingWaits)
        else:
            assert begun is None, "nothing is subscribed to that somebody has said no to"
            assert (stored.state.phase, told[-2:]) == (
                Phase.CANCELLED, ["subscription.declined", "subscription.cancelled"],
            )  # fmt: skip
            assert isinstance(yes, NothingWaits)
            assert isinstance(no, Outbound)


def test_of_several_that_say_yes_at_once_one_is_heard_and_one_subscription_begins(
    open_manager: Callable[[], RecurrenceManager],
) -> None:
    managers = [open_manager() for _ in range(4)]
    payers = [services_in_memory(VirtualClock(NOW), manager).payer for manager in managers]
    name = asked(payers[0], managers[0], 1).recurrence_id
    told = at_once(*(lambda payer=payer: payer.approve(name) for payer in payers))  # type: ignore[misc]
    assert sorted(type(one).__name__ for one in told) == ["NothingWaits"] * 3 + ["Outbound"]
    assert len(managers[0].outbounds()) == 2
