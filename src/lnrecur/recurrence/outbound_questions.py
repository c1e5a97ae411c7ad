"""What exactly a person is asked, so that an answer counts for nothing but that.

Between the moment at which somebody sees a question and the moment at which the answer arrives, the payee may have
named another offer, a window may have closed, somebody else may have answered or amended. So every question has a name
that follows from all that a yes would lead to; an answer says which question it answers, and one to another question is
refused inside the step, which is stored against the version it looked at. Of two answers the first one stored counts.
"""

from __future__ import annotations

from typing import Final

from lnrecur.crypto.hashes import sha256
from lnrecur.errors import UsageError
from lnrecur.recurrence.outbound_model import Outbound, Phase

QUESTION_SIZE: Final = 16


class OtherQuestion(UsageError):
    """The answer is to a question that is not the one that is asked now."""

    def __init__(self) -> None:
        super().__init__("something else is asked now than what this answers: look at it again", field="question")


def question_of(state: Outbound) -> bytes | None:
    """The name of what a person is asked, 16 bytes; None where nobody is."""
    if state.phase is not Phase.NEEDS_APPROVAL:
        return None
    decides = (
        state.waits_for,
        state.next_counter,
        state.awaiting_msat,
        state.missed_through,
        state.new_offer,
        state.mandate,
        state.terms,
        state.spent,
        state.problem,
    )
    return sha256(b"lnrecur question", state.recurrence_id, repr(decides).encode())[:QUESTION_SIZE]


def check_question(state: Outbound, answered: bytes | None) -> None:
    """Make sure that an answer is to what is asked; one that does not say what it answers is to whatever that is.

    Raises:
        OtherQuestion: it is not.
    """
    if answered is not None and answered != question_of(state):
        raise OtherQuestion
