"""The six promises, each as a checker that watches a simulated world: `docs/rules.md` lists them as P1 to P6."""

from __future__ import annotations

from typing import Final

from lnrecur.testing.simulator.promises.books_agree import BooksAgree
from lnrecur.testing.simulator.promises.events_complete import EventsComplete
from lnrecur.testing.simulator.promises.mandate_kept import MandateKept
from lnrecur.testing.simulator.promises.no_silence import NoSilence
from lnrecur.testing.simulator.promises.one_payment import OnePayment
from lnrecur.testing.simulator.promises.promise import Commit, Promise, PromiseBroken
from lnrecur.testing.simulator.promises.state_first import StateFirst

PROMISES: Final[tuple[type[Promise], ...]] = (
    OnePayment, MandateKept, NoSilence, StateFirst, EventsComplete, BooksAgree,
)  # fmt: skip

__all__ = ["PROMISES", "Commit", "Promise", "PromiseBroken"]
